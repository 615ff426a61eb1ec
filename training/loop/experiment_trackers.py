"""Callbacks that send the metrics of each epoch to experiment trackers.

With `model.fit(..., callbacks=[MLflowMetrics()])`, or of the command line:
`nonlocal-tf train ... --callback
nonlocal_tf.training.loop.experiment_trackers:mlflow`. The packages are imported
when they are asked for; their own environment variables say where metrics go
(MLFLOW_TRACKING_URI, WANDB_MODE and others).
"""

import importlib
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import keras

from ..io.user_error import UserError


class MLflowMetrics(keras.callbacks.Callback):
    """Log metrics to the active run of MLflow, or to a new one.

    Args:
        name: of a new run.
        parameters: logged once, such as `{"learning_rate": 0.01}`.

    Raises:
        UserError: MLflow is not installed.
    """

    def __init__(
        self,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self._mlflow = _package("mlflow", "mlflow-skinny")
        self._name = name
        self._parameters = dict(parameters or {})
        self._own_id: str | None = None

    def on_train_begin(self, logs=None):
        if self._mlflow.active_run() is None:
            # The commands finish an interrupted epoch by a `fit` of its own.
            run = self._mlflow.start_run(self._own_id, run_name=self._name)
            self._own_id = run.info.run_id
        self._mlflow.log_params(self._parameters)

    def on_epoch_end(self, epoch, logs=None):
        self._mlflow.log_metrics(_numbers(logs), step=epoch)

    def on_train_end(self, logs=None):
        if self._own_id is not None:
            self._mlflow.end_run()


class WandbMetrics(keras.callbacks.Callback):
    """Log metrics to the active run of Weights & Biases, or to a new one.

    Args:
        **arguments: of `wandb.init`, such as `project`, for a new run.

    Raises:
        UserError: wandb is not installed.
    """

    def __init__(self, **arguments: Any):
        super().__init__()
        self._wandb = _package("wandb", "wandb")
        self._arguments = arguments
        self._run: Any = None

    def on_train_begin(self, logs=None):
        if self._wandb.run is None:
            self._run = self._wandb.init(**self._arguments)

    def on_epoch_end(self, epoch, logs=None):
        self._wandb.run.log({"epoch": epoch, **_numbers(logs)})

    def on_train_end(self, logs=None):
        if self._run is not None:
            self._run.finish()
            self._run = None


def mlflow(run_folder: str) -> MLflowMetrics:
    """Return the callback for a run folder, whose name the MLflow run has."""
    return MLflowMetrics(pathlib.PurePath(run_folder).name)


def wandb(run_folder: str) -> WandbMetrics:
    """Return the callback for a run folder, whose starts have one id."""
    name = pathlib.PurePath(run_folder).name
    return WandbMetrics(name=name, id=name, resume="allow")


def _package(name: str, distribution: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(
            f"{name} is not installed. Install it: pip install {distribution}"
        ) from error


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}
