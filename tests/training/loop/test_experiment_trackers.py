"""Metrics of `fit` in MLflow's file store, and in Weights & Biases."""

import sys
import types

import keras
import numpy as np
import pytest

from training.io.user_error import UserError
from training.loop import experiment_trackers


def fit(callback, epochs=3, initial_epoch=0):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    x = np.array([[1.0, 2.0], [3.0, 5.0]])
    return model.fit(
        x,
        x[:, :1],
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[callback],
        verbose=0,
    ).history


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    yield mlflow
    mlflow.set_tracking_uri(before)


def logged(mlflow, name):
    """The one run of the store, and its values of a metric in order."""
    client = mlflow.MlflowClient()
    (run,) = client.search_runs(["0"])
    rows = client.get_metric_history(run.info.run_id, name)
    return run, [row.value for row in sorted(rows, key=lambda row: row.step)]


def test_mlflow_gets_each_epoch_and_the_parameters(mlflow):
    callback = experiment_trackers.MLflowMetrics("mine", {"rate": 0.5})
    history = fit(callback)
    run, losses = logged(mlflow, "loss")
    assert losses == history["loss"]
    assert run.info.run_name == "mine" and run.info.status == "FINISHED"
    assert run.data.params == {"rate": "0.5"}
    assert run.data.metrics["mae"] == history["mae"][-1]


def test_two_fits_with_one_callback_are_one_mlflow_run(mlflow):
    callback = experiment_trackers.mlflow("runs/mine")
    first = fit(callback, epochs=1)["loss"]
    second = fit(callback, epochs=3, initial_epoch=1)["loss"]
    run, losses = logged(mlflow, "loss")
    assert losses == [*first, *second]
    assert run.info.run_name == "mine"


def test_an_active_mlflow_run_is_used_and_stays_open(mlflow):
    with mlflow.start_run() as active:
        fit(experiment_trackers.MLflowMetrics())
        assert mlflow.active_run().info.run_id == active.info.run_id
    run, _ = logged(mlflow, "loss")
    assert run.info.run_id == active.info.run_id


class FakeWandb(types.ModuleType):
    """The three calls of wandb that are made, recorded."""

    def __init__(self):
        super().__init__("wandb")
        self.run, self.calls = None, []

    def init(self, **arguments):
        self.run = self
        self.calls.append(("init", arguments))
        return self

    def log(self, metrics):
        self.calls.append(("log", metrics))

    def finish(self):
        self.run = None
        self.calls.append(("finish", {}))


def test_wandb_gets_each_epoch(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    history = fit(experiment_trackers.WandbMetrics(project="p"), epochs=2)
    losses, maes = history["loss"], history["mae"]
    assert fake.calls == [
        ("init", {"project": "p"}),
        ("log", {"epoch": 0, "mae": maes[0], "loss": losses[0]}),
        ("log", {"epoch": 1, "mae": maes[1], "loss": losses[1]}),
        ("finish", {}),
    ]


def test_wandb_writes_an_offline_run(tmp_path, monkeypatch, capfd):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    history = fit(experiment_trackers.wandb("runs/mine"), epochs=2)
    assert list((tmp_path / "wandb").glob("offline-run-*-mine/run-mine.wandb"))
    # Its summary at the end.
    assert f"loss {history['loss'][-1]:.5f}" in capfd.readouterr().err


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        experiment_trackers.wandb("runs/mine")
