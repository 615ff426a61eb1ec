"""Progress of long work on the screen, and how long it still takes."""

import shutil
import sys
import time

# Before the first line of progress, and between two.
FIRST_SECONDS, EVERY_SECONDS = 5.0, 15.0


def duration(seconds: float) -> str:
    """3725 as "1 h 2 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def columns() -> int:
    """Return how many letters of a line that is written over are seen."""
    return shutil.get_terminal_size((80, 24)).columns - 1


def show(line: str) -> None:
    """Write a line on a terminal that the next output writes over."""
    width = columns()
    sys.stdout.write(f"\r{line[:width]:<{width}}\r")
    sys.stdout.flush()


def erase() -> None:
    """Erase what `show` wrote; nothing where stdout is no terminal."""
    if sys.stdout.isatty():
        show("")


def say(text: str) -> None:
    """Print at once, on lines of its own."""
    erase()
    print(text, flush=True)


class Progress:
    """Prints on stderr now and then how much is done; results go to stdout.

    The first of what is counted is left out of the estimate: it may build a
    graph.

    Args:
        total: how much there is.
        of: what is counted, as in "3 of 40 videos".
        every_seconds: between two lines; the first may come earlier.
        start: how much was done before.
    """

    def __init__(
        self,
        total: int,
        of: str,
        every_seconds: float = EVERY_SECONDS,
        start: int = 0,
    ):
        self._total, self._of, self._start = total, of, start
        self._every = every_seconds
        self._next = time.monotonic() + min(FIRST_SECONDS, every_seconds)
        self._first: tuple[int, float] | None = None

    def at(self, done: int) -> None:
        """Is called as often as something is done."""
        now = time.monotonic()
        if done >= self._total or done <= self._start:
            return
        if self._first is None:
            self._first = done, now
        if now < self._next:
            return
        self._next = now + self._every
        line = f"{done} of {self._total} {self._of}"
        count, since = done - self._first[0], now - self._first[1]
        if count:
            left = duration(since / count * (self._total - done))
            line += f", about {left} left"
        erase()
        print(line, file=sys.stderr, flush=True)
