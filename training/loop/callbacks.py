"""What happens between the steps and epochs of a training run."""

import math
import time
from collections.abc import Callable

import keras

from ..data import Dataset
from ..io.user_error import UserError
from ..recipes.schema import BaseRecipe
from ..runs.run_folder import RunFolder
from . import checkpointing, finite
from .precise_bn import PreciseBatchNorm
from .preemption import Preempted, sigterm

# Before a validation, a checkpoint is made if the last is older than this.
LAST_S = 60.0


class ListBadVideos(keras.callbacks.Callback):
    """Lists the videos that turned out bad, and stops if they are too many.

    Args:
        run: where to.
        dataset: that is trained on.
        worker: number of this process, of which each has a list.
    """

    def __init__(self, run: RunFolder, dataset: Dataset, worker: int = 0):
        super().__init__()
        self._run = run
        self._dataset = dataset
        self._worker = worker
        self._known = len(dataset.bad)

    def on_train_batch_end(self, batch, logs=None):
        if len(self._dataset.bad) == self._known:
            return
        self._known = len(self._dataset.bad)
        self._run.add_bad_videos(self._dataset.bad, self._worker)
        self._dataset.check_bad()


class TestAsTheyWillBe(keras.callbacks.Callback):
    """Validates what will be tested: averaged weights, precise statistics.

    Args:
        batches: a function of the number of the epoch to the batches that
            statistics are taken from, or None for those of training.
        alone: whether no other workers are to be told of a stop.
    """

    def __init__(self, batches=None, alone: bool = True):
        super().__init__()
        self._batches = batches
        self._alone = alone
        self._precise: PreciseBatchNorm | None = None
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
        began = time.monotonic()
        if self._precise is None:
            self._precise = PreciseBatchNorm(self.model)
        batches = self._batches(self._epoch)
        self._precise(_until_stopped(batches) if self._alone else batches)
        self.seconds = time.monotonic() - began

    def on_test_batch_end(self, batch, logs=None):
        if sigterm.requested and self._alone:
            raise Preempted  # there may be minutes left, not more

    def on_test_end(self, logs=None):
        if self.model.average is not None:
            self.model.average.swap()


def _until_stopped(batches):
    for batch in batches:
        if sigterm.requested:
            raise Preempted
        yield batch


class Record(keras.callbacks.Callback):
    """Saves checkpoints and metrics.csv, and how long what took.

    Args:
        run: where to; None on a worker that is not the chief.
        history: rows of the epochs before this start; grows.
        recipe: of the run.
        start: the checkpoint that a run goes on from, if within an epoch.
        tested: says how long precise statistics took.
        every_s: seconds between checkpoints within an epoch.
        any_of: whether something holds on any of the workers, who wait for
            each other in it.
        alone: whether a step's loss may stop this process, as no other
            workers wait for it.

    Raises:
        UserError: the loss, a figure of the validation, or a variable of the
            model is not finite; that is not saved.
    """

    def __init__(
        self,
        run: RunFolder | None,
        history: list[dict],
        recipe: BaseRecipe,
        start: checkpointing.Checkpoint | None = None,
        tested: TestAsTheyWillBe | None = None,
        every_s: float = math.inf,
        any_of: Callable[[bool], bool] = bool,
        alone: bool = True,
    ):
        super().__init__()
        self._alone = alone
        self._run = run
        self._history = history
        self._recipe = recipe
        self._start = start if start is not None and start.step else None
        self._tested = tested
        self._every_s = every_s
        self._last_s = min(every_s, LAST_S) if every_s < math.inf else every_s
        self._any_of = any_of
        self._saved_at = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()
        steps_after = self._recipe.steps_after
        self._epoch_steps = steps_after(epoch + 1) - steps_after(epoch)
        self._waited_before = self.model.waited_s
        self._validation = 0.0
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
        # What a stop in the validation that follows would lose is not much.
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
        # After `TestAsTheyWillBe`, which comes before in the list.
        self._test_began = time.monotonic()

    def on_test_end(self, logs=None):
        self._validation = time.monotonic() - self._test_began

    def on_epoch_end(self, epoch, logs=None):
        logs = {key: float(value) for key, value in (logs or {}).items()}
        self._check_loss(logs["loss"])
        self._check_figures(logs, epoch + 1)
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        times = self._times()
        self._history.append(
            {
                "epoch": epoch + 1,
                "step": self._recipe.steps_after(epoch + 1),
                "learning_rate": float(rate),
                **logs,
                **{key: round(value, 3) for key, value in times.items()},
            }
        )
        self._save()
        if self._run is not None:
            self._run.write_metrics(self._history)
        if self._any_of(sigterm.requested):
            raise Preempted

    def _check_loss(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        epoch = len(self._history)
        step = self._recipe.steps_after(epoch) + self._step
        self._stop(
            f"The loss is {loss} in epoch {epoch + 1}, step {step}", step
        )

    def _check_figures(self, logs: dict[str, float], epoch: int) -> None:
        figure = finite.not_finite(logs)
        if not figure:
            return
        variable = checkpointing.not_finite_variable(self.model)
        weights = "all weights are finite, but the outputs overflow"
        if variable:
            weights = f"{variable} is not finite"
        step = self._recipe.steps_after(epoch)
        self._stop(f"{figure} after epoch {epoch}, step {step} ({weights})")

    def _stop(self, why: str, step: int | None = None) -> None:
        """Ends training at something that is not finite."""
        saved = checkpointing.newest_name(self._run) if self._run else ""
        kept = f"The last checkpoint, {saved}, stays. " if saved else ""
        raise UserError(
            f"{why}; this was not saved. {kept}"
            f"{finite.remedy(self._recipe, step)}"
        )

    def _save(self, step: int = 0, times: dict | None = None) -> None:
        checkpointing.save(self.model, self._run, self._history, step, times)
        self._any_of(False)  # a worker that ends would be missed by the chief
        self._saved_at = time.monotonic()

    def _times(self) -> dict[str, float]:
        """Seconds of this epoch, those before a stop included."""
        precise = self._tested.seconds if self._tested else 0.0
        whole = time.monotonic() - self._began
        now = {
            "seconds": whole,
            "train_seconds": whole - self._validation - precise,
            "waiting_seconds": self.model.waited_s - self._waited_before,
            "precise_bn_seconds": precise,
            "validation_seconds": self._validation,
        }
        return {k: v + self._before.get(k, 0.0) for k, v in now.items()}
