"""Normalisations that have another form in the file."""

import pytest

import nonlocal_tf as nl
from nonlocal_tf.weights import CheckpointError
from nonlocal_tf.weights.write import to_arrays
from tests.models.tiny import tiny
from tests.weights import files
from tests.weights.models import (
    OPTIONS,
    equal,
    file_of,
    random,
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
def test_normalisations_change_their_form(source, target, block, tmp_path):
    options = {"nonlocal_block": {"norm": block} if block else None}
    expected = random("c2d_nl1_r50", norm=source, **options)
    path = files.write(tmp_path / "a", "caffe2", to_arrays(expected, "caffe2"))
    model = tiny("c2d_nl1_r50", norm=target)
    report = nl.load_weights(model, path)
    assert "conv1_" in report.converted[0]
    assert not report.kept + report.unused
    equal(model, expected)
    built, _ = nl.from_checkpoint(path, norm=target, **OPTIONS)
    equal(built, expected)


def test_a_shift_needs_a_bias_to_go_into(tmp_path):
    path = file_of(tmp_path, "c2d_nl1_r50")
    model = tiny("c2d_nl1_r50", norm="affine", nonlocal_block={"out_bias": 0})
    with pytest.raises(CheckpointError, match="out_bias=True"):
        nl.load_weights(model, path)
