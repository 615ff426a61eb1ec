"""Training on the screen: how far it is, the losses, and the time left."""

import time
from collections.abc import Callable, Sequence

import keras

from ..io import progress, tables

SILENT, LIVE, LOG = 0, 1, 2
WIDTH = 79
BAR, LEAST_BAR = 20, 5
REFRESH_S = 0.5  # of the line on a terminal


class ShowTraining(keras.callbacks.Callback):
    """Shows a line that is written over, or prints one now and then.

    It is to be the last callback, so that it knows what others add to the logs
    of an epoch, and how long they take.

    Args:
        steps: of the whole run.
        epoch_steps: of an epoch.
        verbose: 0 silent, 1 a line on a terminal that is written over, 2 lines
            of a log, a quarter of a minute apart.
        is_validated: whether there is a validation after each epoch.
        figures: names in the logs that are shown. Default: all.
        text_of: writes a figure, given its name and value.
    """

    def __init__(
        self,
        steps: int,
        epoch_steps: int,
        verbose: int,
        is_validated: bool = True,
        figures: Sequence[str] | None = None,
        text_of: Callable[[str, float], str] = lambda _, value: f"{value:.4g}",
    ):
        super().__init__()
        self._steps, self._epoch_steps = steps, epoch_steps
        self._epochs = -(-steps // epoch_steps)
        self._verbose = verbose
        self._is_validated = is_validated
        self._figures, self._text_of = figures, text_of
        self._time = _TimeLeft()
        self._epoch = self._step = 0
        self._is_over = False  # the epoch, with all that follows its steps
        self._is_first = True  # a step builds the graph
        self._said_at = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._time.begin()
        self._epoch, self._began = epoch, time.monotonic()
        self._is_over = False
        first, last = epoch * self._epoch_steps, (epoch + 1) * self._epoch_steps
        self._of = min(last, self._steps) - first
        # What is left of an epoch has fewer steps.
        self._step = max(
            self._of - (self.params or {}).get("steps", self._of), 0
        )
        if self._is_first:
            first = "(the first builds the graph and takes longest)"
            self._say(
                [
                    f"{self._head()}: "
                    f"{tables.number_of(self._of, 'step')} {first}"
                ]
            )

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        self._time.step(self._is_first)
        self._is_first = False
        now = time.monotonic()
        if self._step >= self._of:
            rest = "validation" if self._is_validated else "saving"
            self._show(f"{self._head()}, {rest}")
        elif self._is_due(now):
            loss = f"loss {float((logs or {}).get('loss', 0)):.4g}"
            remaining = self._left()
            figures = [loss, f"{remaining} left"] if remaining else [loss]
            if self._verbose == LIVE:
                text = ", ".join(figures)
                self._show(_live(self._head(), self._step, self._of, text))
            else:
                step = f"step {self._step}/{self._of}"
                self._say([f"{self._head()}, {step}: {loss}", *figures[1:]])

    def on_test_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._is_due(now):
            text = f"{self._head()}, validation, batch {batch + 1}"
            if self._verbose == LIVE:
                self._show(text)
            else:
                self._say([text])

    def on_epoch_end(self, epoch, logs=None):
        self._time.end()
        self._is_over = True
        figures = [
            f"{name} {self._text_of(name, float(value))}"
            for name, value in (logs or {}).items()
            if self._figures is None or name in self._figures
        ]
        seconds = progress.duration(time.monotonic() - self._began)
        self._say([f"{self._head()}, {seconds}: {figures[0]}", *figures[1:]])
        epochs = self._epochs - epoch - 1
        if epochs:
            seconds = self._left()
            self._say(
                [
                    f"{tables.number_of(epochs, 'epoch')} left",
                    *[seconds] * bool(seconds),
                ]
            )

    def _head(self) -> str:
        return f"Epoch {self._epoch + 1}/{self._epochs}"

    def _left(self) -> str:
        steps_taken = self._epoch * self._epoch_steps + self._step
        rests = self._epochs - self._epoch - self._is_over
        seconds = self._time.left(self._steps - steps_taken, rests)
        if seconds is None:
            return ""
        suffix = " + validation" * (self._is_validated and not self._time.rests)
        return f"about {progress.duration(seconds)}{suffix}"

    def _is_due(self, now: float) -> bool:
        period_s = progress.EVERY_SECONDS
        period_s = REFRESH_S if self._verbose == LIVE else period_s
        return bool(self._verbose) and now - self._said_at >= period_s

    def _show(self, line: str) -> None:
        if self._verbose == LIVE:
            self._said_at = time.monotonic()
            progress.show(line)

    def _say(self, parts: Sequence[str]) -> None:
        """Print parts with commas between, on as many lines as they need."""
        if not self._verbose:
            return
        self._said_at = time.monotonic()
        lines = [parts[0]]
        for part in parts[1:]:
            if len(lines[-1]) + len(part) + len(", ,") > WIDTH:
                lines[-1] += ","
                lines.append(f"  {part}")
            else:
                lines[-1] += f", {part}"
        progress.say("\n".join(lines))


def _live(head: str, step: int, total: int, text: str) -> str:
    """Join what is known into a line, with a bar if there is room for it."""
    count = f"{step}/{total}"
    room = progress.columns() - len(f"{head} [] {count}, {text}")
    length = min(BAR, room)
    bar = ""
    if length >= LEAST_BAR:
        bar = f" [{'=' * (length * step // total):<{length}}]"
    return f"{head}{bar} {count}, {text}"


class _TimeLeft:
    """Mean times of steps, and of what follows the steps of an epoch.

    The first step and the first validation of a start build graphs: others
    count, as soon as there are any.

    Attributes:
        rests: seconds of validation and saving, of each epoch.
    """

    def __init__(self):
        self.rests: list[float] = []
        self._steps, self._step_seconds = 0, 0.0
        self._last = time.monotonic()

    def begin(self) -> None:
        """Note the beginning of an epoch."""
        self._last = time.monotonic()

    def step(self, is_first: bool) -> None:
        """Note the end of a step."""
        now = time.monotonic()
        if not is_first:
            self._steps += 1
            self._step_seconds += now - self._last
        self._last = now

    def end(self) -> None:
        """Note the end of an epoch."""
        self.rests.append(time.monotonic() - self._last)

    def left(self, steps: int, rests: int) -> float | None:
        """Estimate the seconds of steps and rests; None without a time."""
        if not self._steps:
            return None
        usual = self.rests[1:] or self.rests
        rest = sum(usual) / len(usual) if usual else 0.0
        return steps * self._step_seconds / self._steps + rests * rest
