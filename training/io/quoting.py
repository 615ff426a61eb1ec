"""Quoting of untrusted names in generated files and commands.

A file name may hold line breaks and any character but "/" and NUL.
"""

import csv
import io
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

# Controls, separators of lines and paragraphs, and halves of pairs.
BREAKING = ("Cc", "Zl", "Zp", "Cs")


def is_plain(text: str) -> bool:
    """Return whether a text is one line, without control characters."""
    return not any(_is_breaking(letter) for letter in text)


def one_line(text: str) -> str:
    """Return a text with line breaks and control characters as escapes."""
    return "".join(
        ascii(letter)[1:-1] if _is_breaking(letter) else letter
        for letter in text
    )


def shell(word: object) -> str:
    """Return a word as a shell reads it, in one line."""
    text = str(word)
    if is_plain(text):
        return shlex.quote(text)
    return f"$'{''.join(map(_in_quotes, text))}'"


def markdown_code(text: str) -> str:
    """Return a text as inline Markdown code, in one line."""
    line = one_line(text)
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def lines(names: Iterable[str]) -> str:
    """Return names as the content of a text file, one per line."""
    return "".join(f"{one_line(name)}\n" for name in names)


def csv_text(rows: Iterable[Sequence]) -> str:
    """Return rows as CSV whose lines end in a line feed.

    Python's writer leaves carriage returns without quotes then, which end a
    row for readers.
    """
    text = io.StringIO()
    for row in rows:
        has_return = any("\r" in str(cell) for cell in row)
        writer = csv.writer(
            text,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL,
        )
        writer.writerow(row)
    return text.getvalue()


def _in_quotes(letter: str) -> str:
    """A letter within the quotes $'...' of a shell."""
    if letter in "\\'":
        return f"\\{letter}"
    if not _is_breaking(letter):
        return letter
    try:
        content = os.fsencode(letter)  # a byte of a name that is no text
    except UnicodeEncodeError:
        content = letter.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in content)


def _is_breaking(letter: str) -> bool:
    return unicodedata.category(letter) in BREAKING
