"""Normalizations that have another form in the file."""

import numpy as np
import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError, norm_conversion
from nonlocal_tf.checkpoints.assignment_plan import AssignmentPlan
from nonlocal_tf.checkpoints.formats import FORMATS
from nonlocal_tf.checkpoints.read import ResNetCheckpoint
from nonlocal_tf.checkpoints.write import to_arrays
from tests.checkpoints import checkpoint_files
from tests.checkpoints.shallow_resnets import (
    OPTIONS,
    assert_equal_outputs,
    build,
    file_of,
    random,
)

# Variances as small as in trained networks, ten times epsilon.
ARRAYS = {
    "gamma": np.array([0.5, 2.0, 1.0]),
    "beta": np.array([0.1, 0.0, -3.0]),
    "moving_mean": np.array([0.3, -0.2, 0.01]),
    "moving_variance": np.array([1e-4, 2e-4, 5e-5]),
}


def planned(file_format, arrays, roles):
    """Plan the roles of a normalization from arrays of a file."""
    file = {f"conv1_bn/{role}": array for role, array in arrays.items()}
    plan = AssignmentPlan(
        ResNetCheckpoint("a.h5", FORMATS[file_format], file, (), {})
    )
    layer = "conv1_bn"
    variables = {f"{layer}/{role}": ARRAYS["gamma"] for role in roles}
    norm_conversion.plan_norm(plan, layer, variables)
    return {role: plan.values[f"{layer}/{role}"] for role in roles}


def normalize(x, epsilon, gamma, beta, moving_mean, moving_variance):
    return gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta


@pytest.mark.parametrize(
    ("file_format", "epsilon"),
    [("nonlocal_tf", 1e-5), ("keras_resnet", 1.001e-5)],
)
def test_statistics_become_a_scale_and_a_shift(file_format, epsilon):
    values = planned(file_format, ARRAYS, ("gamma", "beta"))
    x = np.array([0.7, -0.4, 0.02])
    np.testing.assert_allclose(
        values["gamma"] * x + values["beta"],
        normalize(x, epsilon, **ARRAYS),
        rtol=1e-12,
    )


def test_statistics_of_keras_resnets_are_for_another_epsilon():
    values = planned("keras_resnet", ARRAYS, ARRAYS)
    x = np.array([0.7, -0.4, 0.02])
    np.testing.assert_allclose(
        normalize(x, 1e-5, **values),
        normalize(x, 1.001e-5, **ARRAYS),
        rtol=1e-12,
    )


def test_a_scale_and_a_shift_become_statistics():
    arrays = {role: ARRAYS[role] for role in ("gamma", "beta")}
    values = planned("nonlocal_tf", arrays, ARRAYS)
    x = np.array([0.7, -0.4, 0.02])
    np.testing.assert_allclose(
        normalize(x, 1e-5, **values),
        arrays["gamma"] * x + arrays["beta"],
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    ("source", "target", "block"),
    [
        ("batch", "affine", None),
        ("batch", "affine", "affine"),
        ("affine", "batch", None),
        ("affine", "batch", "batch"),
    ],
)
def test_networks_convert_their_normalizations(source, target, block, tmp_path):
    options = {"nonlocal_block": {"norm": block} if block else None}
    expected = random("c2d_nl1", norm=source, **options)
    path = checkpoint_files.write(
        tmp_path / "a", "caffe2", to_arrays(expected, "caffe2")
    )
    model = build("c2d_nl1", norm=target)
    report = nl.load_weights(model, path)
    assert "conv1_" in report.converted[0]
    assert not report.kept + report.unused
    assert_equal_outputs(model, expected)
    built, _ = nl.from_checkpoint(path, norm=target, **OPTIONS)
    assert_equal_outputs(built, expected)


def test_a_shift_needs_a_bias(tmp_path):
    path = file_of(tmp_path, "c2d_nl1")
    model = build("c2d_nl1", norm="affine", nonlocal_block={"out_bias": 0})
    with pytest.raises(CheckpointError, match="out_bias=True"):
        nl.load_weights(model, path)
