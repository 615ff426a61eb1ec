"""Files as they come, and files of something else."""

import dataclasses

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from tests.checkpoints import checkpoint_files
from tests.checkpoints.small_resnets import (
    OPTIONS,
    arrays_of,
    equal,
    random,
    zeros,
)
from tests.models.tiny import tiny


@pytest.mark.parametrize("wrapped", [True, False])
def test_blobs_may_be_wrapped(wrapped, tmp_path):
    arrays = {**arrays_of("c2d_r50"), "model_iter": 7, "lr": np.float32(0.1)}
    arrays["conv1_w_momentum"] = np.zeros(3, "float32")
    path = tmp_path / "a.pkl"
    if wrapped:
        checkpoint_files.write(path, "caffe2", arrays)
    else:
        import pickle

        path.write_bytes(pickle.dumps(arrays))
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert set(report.ignored) == {"model_iter", "lr", "conv1_w_momentum"}


def test_prefixes_of_parallel_training_do_not_matter(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    arrays = {f"module.{name}": array for name, array in arrays.items()}
    path = checkpoint_files.write(tmp_path / "a", "slowfast", arrays)
    assert nl.from_checkpoint(path, **OPTIONS)[0].name == "c2d_r50"


def test_sub_batch_statistics_are_those_of_the_whole(tmp_path):
    arrays = arrays_of("c2d_r50", "slowfast")
    renamed = {
        name.replace("bn.running", "bn.bn.running"): array
        for name, array in arrays.items()
    }
    renamed["s1.pathway0_stem.bn.split_bn.running_mean"] = np.zeros(
        8, "float32"
    )
    path = checkpoint_files.write(tmp_path / "a", "slowfast", renamed)
    _, report = nl.from_checkpoint(path, **OPTIONS)
    assert report.ignored == ("s1.pathway0_stem.bn.split_bn.running_mean",)


def test_a_keras_file_is_taken_as_it_is(tmp_path):
    expected = random("i3d_nl1_r50", pairwise="gaussian")
    expected.save(tmp_path / "a.keras")
    model, report = nl.from_checkpoint(tmp_path / "a.keras")
    equal(model, expected)
    assert report.format == "keras"
    with pytest.raises(ValueError, match="determines the whole model"):
        nl.from_checkpoint(tmp_path / "a.keras", sampling="8x8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"404: not found\n", "The file is text.*404"),
        (b"\x80\x04\x95 half a pickle", "The pickle is damaged"),
        (b"\xff\xd8\xff\xe0 an image", "is an image"),
        (b"PK\x03\x04 not much of an archive", "damaged or cut off"),
        (b"\x89HDF\r\n\x1a\n not much of one", "damaged or cut off"),
        (b"\x80\x02]\x2e", "Expected a dictionary of weights"),
        (b"\x80\x02}\x2e", "Received 0 arrays"),
    ],
)
def test_a_file_of_something_else_is_one_error(content, message, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    for load in (
        lambda: nl.from_checkpoint(path),
        lambda: nl.load_weights(tiny("c2d_r50"), path),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            load()
        assert "file.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer1.0.conv1.weight", "residual network of bottleneck"),
        ("s1.pathway1_stem.conv.weight", "two pathways"),
    ],
)
def test_weights_of_another_kind_of_network_are_refused(
    name, message, tmp_path
):
    arrays = {name: zeros(2), "s1.pathway0_stem.conv.weight": zeros(2)}
    if "layer1" in name:
        del arrays["s1.pathway0_stem.conv.weight"]
    path = checkpoint_files.write(tmp_path / "a", "slowfast", arrays)
    with pytest.raises(CheckpointError, match=message):
        nl.from_checkpoint(path)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nl.from_checkpoint(tmp_path / "none.pkl")


def test_a_report_says_what_became_of_everything():
    report = nl.checkpoints.LoadReport(
        "a.pkl",
        "caffe2",
        {"conv1/kernel": ("conv1_w",)},
        kept=("a", "b", "c", "d"),
        assumed={"sampling": "8x8"},
    )
    assert str(report).splitlines() == [
        "a.pkl (caffe2): 1 variables loaded",
        "  kept 4: a, b, c, ...",
        "  assumed sampling='8x8'",
    ]
    assert dataclasses.replace(report, kept=()).kept == ()
