"""How far long work is, and how long it still takes."""

import sys
import time

EVERY_SECONDS = 5.0


def duration(seconds: float) -> str:
    """3725 as "1 h 2 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """Says on stderr now and then how much is done; results go to stdout.

    Args:
        total: how much there is.
        of: what is counted, as in "3 of 40 videos".
        every_seconds: between two lines.
    """

    def __init__(
        self, total: int, of: str, every_seconds: float = EVERY_SECONDS
    ):
        self._total, self._of = total, of
        self._every = every_seconds
        self._began = self._said = time.monotonic()

    def at(self, done: int) -> None:
        """Is called as often as something is done."""
        now = time.monotonic()
        if done >= self._total or now - self._said < self._every:
            return
        self._said = now
        left = (now - self._began) / done * (self._total - done)
        print(
            f"{done} of {self._total} {self._of}, about {duration(left)} left",
            file=sys.stderr,
            flush=True,
        )
