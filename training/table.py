"""Plain text tables for the screen."""

from collections.abc import Sequence


def render(rows: Sequence[Sequence[object]], indent: str = "  ") -> str:
    """Rows of cells as aligned columns, without rules."""
    text = [[str(cell) for cell in row] for row in rows]
    columns = zip(*text, strict=True)
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = (
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        for row in text
    )
    return "\n".join(indent + line.rstrip() for line in lines)


def percent(share: float) -> str:
    """0.98125 as "98.1 %"."""
    return f"{100 * share:.1f} %"
