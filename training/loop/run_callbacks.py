"""Callbacks of runs: validation and checkpoints."""

import math
import time
from collections.abc import Callable

import keras

from ..io import finite
from ..io.paths import Path
from ..io.user_error import UserError
from . import best_epoch, checkpointing
from .epoch_plan import EpochPlan
from .precise_bn import BatchNormStatistics
from .preemption import Preempted, sigterm

# Age in seconds of the last checkpoint above which one is saved before a
# validation.
LAST_S = 60.0


class ValidateWithEmaWeights(keras.callbacks.Callback):
    """Validates with averaged weights and precise batch-norm statistics.

    Args:
        batches: a function of the number of the epoch to the batches that
            statistics are computed from, or None for those of training.
        alone: whether there are no other workers that would wait if this
            process stopped.

    Attributes:
        seconds: spent on the statistics in the current epoch.
    """

    def __init__(self, batches=None, alone: bool = True):
        super().__init__()
        self._batches = batches
        self._alone = alone
        self._precise: BatchNormStatistics | None = None
        self._epoch = 0
        self.seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self.seconds = 0.0

    def on_test_begin(self, logs=None):
        if self.model.average is not None:
            self.model.average.swap()
        if self._batches is None:
            return
        start = time.monotonic()
        if self._precise is None:
            self._precise = BatchNormStatistics(self.model)
        batches = self._batches(self._epoch)
        self._precise(_until_preempted(batches) if self._alone else batches)
        self.seconds = time.monotonic() - start

    def on_test_batch_end(self, batch, logs=None):
        if sigterm.requested and self._alone:
            raise Preempted  # there may be minutes left, not more

    def on_test_end(self, logs=None):
        if self.model.average is not None:
            self.model.average.swap()


def _until_preempted(batches):
    for batch in batches:
        if sigterm.requested:
            raise Preempted
        yield batch


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves checkpoints and the history, with the times of each epoch.

    Args:
        directory: folder of checkpoints; None on a worker that is not the
            chief.
        history: rows of the epochs before this start; grows.
        plan: of the run.
        start: the checkpoint that training resumes from, if any.
        write_history: writes the rows, after each epoch.
        validation: measures the time of precise statistics.
        every_s: seconds between checkpoints within an epoch.
        any_of: whether something holds on any of the workers, who wait for
            each other in it.
        alone: whether a step's loss may stop this process, as no other
            workers wait for it.
        remedy: advice after divergence in a step, if known, as
            `finite.remedy`.
        settings: of the epoch that is kept and of early stopping. Default: the
            last one, and none.

    Raises:
        UserError: the loss, a validation metric, or a variable of the model
            is not finite; that is not saved.
    """

    def __init__(
        self,
        directory: Path | None,
        history: list[dict],
        plan: EpochPlan,
        start: checkpointing.Checkpoint | None = None,
        write_history: Callable[[list[dict]], None] | None = None,
        validation: ValidateWithEmaWeights | None = None,
        every_s: float = math.inf,
        any_of: Callable[[bool], bool] = bool,
        alone: bool = True,
        remedy: Callable[[int | None], str] = lambda step: finite.remedy(
            step=step
        ),
        settings: best_epoch.EpochSettings | None = None,
    ):
        super().__init__()
        self._settings = settings
        self._alone = alone
        self._directory = directory
        self._history = history
        self._plan = plan
        self._start = start if start is not None and start.step else None
        self._write_history = write_history
        self._validation = validation
        self._every_s = every_s
        self._any_of = any_of
        self._remedy = remedy
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()
        steps_after = self._plan.steps_after
        self._epoch_steps = steps_after(epoch + 1) - steps_after(epoch)
        self._waited_before = self.model.waited_s
        self._validation_s = 0.0
        self._step = 0
        self._before: dict = {}
        if self._start is not None:
            self._step, self._before = self._start.step, self._start.times
            variables = self.model.metrics_variables
            sums = checkpointing.read_arrays(self._start, "metric", variables)
            for variable, array in zip(variables, sums, strict=True):
                variable.assign(array)
            self._start = None

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._alone:
            self._check_loss(float(logs["loss"]))
        if sigterm.requested:
            self.model.ask_to_stop()
        stopping = self.model.stopping
        since = time.monotonic() - self._saved_at
        # A preemption in the validation that follows then loses little.
        is_last = self._step == self._epoch_steps - 1
        late = since > (
            min(LAST_S, self._every_s) if is_last else self._every_s
        )
        if self._step < self._epoch_steps and (stopping or late):
            self._check_loss(float(logs["loss"]))
            self._save(self._step, self._times())
            if stopping:
                raise Preempted

    def on_test_begin(self, logs=None):
        # After `ValidateWithEmaWeights`, which is before it in the list.
        self._test_began = time.monotonic()

    def on_test_end(self, logs=None):
        self._validation_s = time.monotonic() - self._test_began

    def on_epoch_end(self, epoch, logs=None):
        logs = {key: float(value) for key, value in (logs or {}).items()}
        self._check_loss(logs["loss"])
        self._check_metrics(logs, epoch + 1)
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        times = self._times()
        self._history.append(
            {
                "epoch": epoch + 1,
                "step": self._plan.steps_after(epoch + 1),
                "learning_rate": float(rate),
                **logs,
                **{key: round(value, 3) for key, value in times.items()},
            }
        )
        self._save()
        if self._directory is not None and self._write_history is not None:
            self._write_history(self._history)
        if self._any_of(sigterm.requested):
            raise Preempted
        if self.is_stopped:
            self.model.stop_training = True

    @property
    def is_stopped(self) -> bool:
        """True once early stopping has ended the training."""
        return self._settings is not None and best_epoch.is_stopped(
            self._settings, self._history
        )

    def _check_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        epoch = len(self._history)
        step = self._plan.steps_after(epoch) + self._step
        self._diverged(
            f"The loss is {loss} in epoch {epoch + 1}, step {step}", step
        )

    def _check_metrics(self, logs: dict[str, float], epoch: int) -> None:
        metric = finite.not_finite(logs)
        if not metric:
            return
        variable = checkpointing.not_finite_variable(self.model)
        weights = "all weights are finite, but the outputs overflow"
        if variable:
            weights = f"{variable} is not finite"
        step = self._plan.steps_after(epoch)
        self._diverged(f"{metric} after epoch {epoch}, step {step} ({weights})")

    def _diverged(self, reason: str, step: int | None = None) -> None:
        """Raise a UserError for a value that is not finite."""
        saved = ""
        if self._directory is not None:
            saved = checkpointing.newest_name(self._directory)
        kept = f"The last checkpoint, {saved}, stays. " if saved else ""
        raise UserError(
            f"{reason}; this was not saved. {kept}{self._remedy(step)}"
        )

    def _save(self, step: int = 0, times: dict | None = None) -> None:
        checkpointing.save(
            self.model,
            self._directory,
            self._history,
            step,
            times,
            self._remedy(None),
            kept_epoch=self._kept_epoch(),
        )
        self._any_of(False)  # a worker that ends would be missed by the chief
        self._saved_at = time.monotonic()

    def _kept_epoch(self) -> int | None:
        if self._settings is None:
            return None
        return best_epoch.kept_epoch(self._settings, self._history)

    def _times(self) -> dict[str, float]:
        """Seconds of this epoch, those before a preemption included."""
        precise = self._validation.seconds if self._validation else 0.0
        whole = time.monotonic() - self._began
        now = {
            "seconds": whole,
            "train_seconds": whole - self._validation_s - precise,
            "waiting_seconds": self.model.waited_s - self._waited_before,
            "precise_bn_seconds": precise,
            "validation_seconds": self._validation_s,
        }
        return {k: v + self._before.get(k, 0.0) for k, v in now.items()}
