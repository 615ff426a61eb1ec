"""Progress of long work on the screen, with the time remaining."""

import shutil
import sys
import time

# Before the first line of progress, and between two.
FIRST_SECONDS, EVERY_SECONDS = 5.0, 15.0


def duration(seconds: float) -> str:
    """Format seconds: 3725 as "1 h 2 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def columns() -> int:
    """Return the characters that fit on a line that is overwritten."""
    return shutil.get_terminal_size((80, 24)).columns - 1


def show(line: str) -> None:
    """Write a line on a terminal that the next output overwrites."""
    width = columns()
    sys.stdout.write(f"\r{line[:width]:<{width}}\r")
    sys.stdout.flush()


def erase() -> None:
    """Erase what `show` wrote; nothing where stdout is no terminal."""
    if sys.stdout.isatty():
        show("")


def say(text: str) -> None:
    """Print text on lines of its own, without buffering."""
    erase()
    print(text, flush=True)


class Progress:
    """Print the progress of a loop on stderr; results go to stdout.

    The first item is left out of the estimate: it may build a graph.

    Args:
        total: number of items.
        noun: of the items, as in "3 of 40 videos".
        every_seconds: between two lines; the first may come earlier.
        start: items that were finished before.
    """

    def __init__(
        self,
        total: int,
        noun: str,
        every_seconds: float = EVERY_SECONDS,
        start: int = 0,
    ):
        self._total, self._noun, self._start = total, noun, start
        self._every = every_seconds
        self._next = time.monotonic() + min(FIRST_SECONDS, every_seconds)
        self._first: tuple[int, float] | None = None

    def update(self, count: int) -> None:
        """Print progress if it is time, after `count` items."""
        now = time.monotonic()
        if count >= self._total or count <= self._start:
            return
        if self._first is None:
            self._first = count, now
        if now < self._next:
            return
        self._next = now + self._every
        line = f"{count} of {self._total} {self._noun}"
        timed, seconds = count - self._first[0], now - self._first[1]
        if timed:
            remaining = duration(seconds / timed * (self._total - count))
            line += f", about {remaining} left"
        erase()
        print(line, file=sys.stderr, flush=True)
