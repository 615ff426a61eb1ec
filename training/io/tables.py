"""Tables as aligned text and as Markdown."""

import re
from collections.abc import Sequence

from . import quoting


def render(rows: Sequence[Sequence[object]], indent: str = "  ") -> str:
    """Format rows of cells as aligned columns, without rules."""
    text = [[quoting.one_line(str(cell)) for cell in row] for row in rows]
    columns = zip(*text, strict=True)
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = (
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        for row in text
    )
    return "\n".join(indent + line.rstrip() for line in lines)


def markdown(rows: Sequence[Sequence[object]]) -> str:
    """Format rows of cells as a Markdown table; the first is the head."""
    head, *body = map(_markdown_row, rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def _markdown_row(cells: Sequence[object]) -> str:
    text = " | ".join(
        quoting.one_line(" ".join(str(cell).split())).replace("|", "\\|")
        for cell in cells
    )
    return re.sub(" +", " ", f"| {text} |")


def number_of(count: int, noun: str) -> str:
    """Format a count with its noun, such as "1 video", "1200 videos"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def percent(share: float) -> str:
    """Format a share: 0.98125 as "98.1 %"."""
    return f"{100 * share:.1f} %"
