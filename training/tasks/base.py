"""Protocol of a task: what training, and each command, need to know of it."""

import abc
import argparse
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from ..data import BadVideo
from ..data.data_files import DataFile
from ..data.dataset_info import DatasetInfo
from ..io.paths import Path
from ..io.user_error import UserError
from ..loop.distribution import Devices
from ..loop.resume import Batches
from ..loop.run_callbacks import SaveCheckpoints, ValidateWithEmaWeights
from ..loop.show_training import ShowTraining
from ..loop.train_step import Signals
from ..recipes.schema import BaseRecipe
from ..runs.provenance import WeightSource
from ..runs.run_folder import RunFolder


class TrainingData(Protocol):
    """The data of a run."""

    @property
    def info(self) -> DatasetInfo:
        """Classes and shapes, for the network and its users."""

    @property
    def bad(self) -> Sequence[BadVideo]:
        """Inputs that cannot be read."""

    def overview(self) -> str:
        """Describe the data for the screen; "" or whole lines."""

    def check_bad(self) -> None:
        """Raise a UserError if too many inputs are bad."""

    def fingerprint(self) -> str | None:
        """Return a digest of the data; None if code generates it."""

    def training_files(self) -> list[DataFile] | None:
        """List the training files; None if code generates the data."""

    def held_out(self) -> dict[str, list[DataFile]]:
        """List the files of each other split."""


class Task(abc.ABC):
    """A kind of networks that the commands train, evaluate and export.

    Attributes:
        name: of the task, for messages.
        schema: class of its recipes.
        inputs: name of its inputs in files and messages.
        metrics_shown: metrics of an epoch on the screen; None for all.
    """

    name: str
    schema: type[BaseRecipe]
    inputs: str
    metrics_shown: tuple[str, ...] | None = None

    def resolve(self, recipe: Any, run: RunFolder) -> tuple[Any, str]:
        """Replace fields that depend on the data.

        Returns:
            The recipe, and a line for the screen or "".
        """
        del run
        return recipe, ""

    def first_stage(self, recipe: Any) -> BaseRecipe | None:
        """Return the recipe of a network that is trained first, if any."""
        del recipe
        return None

    @abc.abstractmethod
    def data_name(self, recipe: Any) -> str:
        """Name the training data, for messages."""

    @abc.abstractmethod
    def open_data(self, recipe: Any) -> Any:
        """Open the data of a recipe as `TrainingData`.

        Raises:
            UserError: it cannot be read, or cannot be trained on.
        """

    @abc.abstractmethod
    def check(self, recipe: Any) -> Any:
        """Check a new run before its folder is created.

        Returns:
            The data, opened.

        Raises:
            UserError: data, network or start weights do not fit the recipe.
        """

    @abc.abstractmethod
    def build(
        self,
        recipe: Any,
        data: Any,
        run: RunFolder,
        strategy: tf.distribute.Strategy,
        is_new: bool,
    ) -> tuple[keras.Model, str, list[WeightSource] | None]:
        """Build the network, with its start weights in a new run.

        Returns:
            The network; a report on start weights for the screen; and the
            provenance of the weights, None where it is not known.
        """

    @abc.abstractmethod
    def trainer(
        self, model: Any, recipe: Any, data: Any, signals: Signals
    ) -> keras.Model:
        """Compile the network for training, under the strategy's scope."""

    @abc.abstractmethod
    def batches(self, recipe: Any, data: Any, devices: Devices) -> Batches:
        """Return the batches for `fit`."""

    @abc.abstractmethod
    def validation(
        self, recipe: Any, batches: Any, devices: Devices
    ) -> ValidateWithEmaWeights:
        """Return the callback that prepares the weights for validation."""

    def validation_after_epoch(
        self,
        recipe: Any,
        data: Any,
        validation: ValidateWithEmaWeights,
        saving: SaveCheckpoints,
        devices: Devices,
    ) -> list[keras.callbacks.Callback]:
        """Return callbacks that validate where `fit` cannot."""
        del recipe, data, validation, saving, devices
        return []

    def is_validated(self, data: Any) -> bool:
        """Return whether there is a validation after each epoch."""
        del data
        return True

    def metric_text(self, name: str, value: float) -> str:
        """Format a metric of an epoch for the screen."""
        del name
        return f"{value:.4g}"

    def show_training(
        self, recipe: BaseRecipe, data: Any, verbose: int
    ) -> ShowTraining:
        """Return the callback that shows the progress of training."""
        return ShowTraining(
            recipe.steps,
            recipe.epoch_steps,
            verbose,
            self.is_validated(data),
            self.metrics_shown,
            self.metric_text,
        )

    def begin_run(self, run: RunFolder, data: Any) -> None:
        """Write further files of a run folder, on the chief."""
        del run, data

    @abc.abstractmethod
    def notes(self, recipe: Any, model: keras.Model, data: Any) -> list[str]:
        """List remarks on the run before it begins; "" are left out."""

    @abc.abstractmethod
    def test(self, recipe: Any, run: RunFolder, history: list[dict]) -> dict:
        """Compute the scores in result.json of a trained run."""

    @abc.abstractmethod
    def export(self, run: RunFolder, out: Path, dtype: str = "float32") -> Path:
        """Export a trained run, unless the newest version has its weights.

        Args:
            run: the trained run.
            out: directory of versions.
            dtype: storage of the weights, of `quantization.DTYPES`.

        Returns:
            The version's directory.
        """

    def export_file(self, run: RunFolder, path: Path, dtype: str) -> str:
        """Write one file instead of a SavedModel, and describe it.

        Raises:
            UserError: the task has no such format.
        """
        del run, dtype
        raise UserError(
            f"{path.suffix} files are unsupported for {self.name}. Expected a "
            f"directory for a SavedModel. Received: {path}"
        )

    @abc.abstractmethod
    def add_evaluate_options(self, group: argparse._ArgumentGroup) -> None:
        """Add the task's options of the command `evaluate`."""

    @abc.abstractmethod
    def evaluate(self, options: argparse.Namespace) -> None:
        """Run the command `evaluate`."""

    @abc.abstractmethod
    def add_predict_options(self, group: argparse._ArgumentGroup) -> None:
        """Add the task's options of the command `predict`."""

    @abc.abstractmethod
    def predict(self, options: argparse.Namespace) -> None:
        """Run the command `predict`."""

    @abc.abstractmethod
    def add_visualize_options(self, group: argparse._ArgumentGroup) -> None:
        """Add the task's options of the command `visualize`."""

    @abc.abstractmethod
    def visualize(self, options: argparse.Namespace) -> None:
        """Run the command `visualize`."""

    @abc.abstractmethod
    def check_export(self, out: Path, recipe: Any) -> None:
        """Check the target of an export.

        Raises:
            UserError: the recipe cannot be exported there.
        """

    @abc.abstractmethod
    def summary(self, result: dict) -> list[tuple[str, str]]:
        """Return rows of the table at the end of training."""

    @abc.abstractmethod
    def next_commands(
        self, recipe: Any, workdir: str, model: str | None
    ) -> list[tuple[str, ...]]:
        """List commands to try after training.

        Args:
            recipe: of the run.
            workdir: option that names the run.
            model: option that names the SavedModel; None without an export.

        Returns:
            Title, command and options of each.
        """
