import pytest

import nonlocal_tf as nl
from tests.layers.blocks import tensorflow_only
from tests.models import nested_models
from tests.models.tiny import shallow_outline

pytestmark = tensorflow_only


def rows(model):
    table = nl.summary(model).splitlines()
    return {line.split()[0]: line for line in table if line[0] != " "}


def test_each_stage_is_a_row(i3d_nl5_r50):
    table = rows(i3d_nl5_r50)
    stages = ["conv1", "pool1", "res2", "pool2", "res3", "res4", "res5"]
    names = ["i3d_nl5_r50", "layer", *stages, "pool5", "logits", "total"]
    assert list(table) == names


def test_row_has_kernels_outputs_and_counts(i3d_nl5_r50):
    table = rows(i3d_nl5_r50)
    assert "5x7x7, 4, stride 1x2x2" in table["conv1"]
    assert "8 x 32 x 32 x 4" in table["conv1"]
    assert "[3x1x1, 4; 1x3x3, 4; 1x1x1, 16] x 3" in table["res2"]


def test_totals_equal_the_cost():
    model = shallow_outline("c2d")
    cost = nl.cost(model)
    last = nl.summary(model).splitlines()[-1]
    assert f"{cost.parameters:,}" in last
    assert last.endswith(f"{cost.multiply_adds / 1e6:.2f} M")


def test_blocks_are_shown_after_their_residual_block():
    table = nl.summary(shallow_outline("c2d", pairwise="gaussian"))
    (line,) = (x for x in table.splitlines() if "non-local" in x)
    assert line.split()[1].startswith("[1x1x1")
    assert "] + non-local, 16 (Gaussian)" in line


def test_shape_of_a_model_of_unknown_sizes():
    model = shallow_outline("c2d", clip_shape=(None, None, None, 3))
    assert "16 x 48 x 48 x 4" in nl.summary(model, (16, 96, 96, 3))
    with pytest.raises(ValueError, match="without unknown sizes"):
        nl.summary(model)


def test_small_networks():
    table = nl.summary(nl.create_model("c2d_nl1_small"))
    assert "stage2_nonlocal" in table
    assert "112,138" in table.splitlines()[-1]


def test_network_called_twice_has_its_parameters_once():
    table = nl.summary(nested_models.called_twice().model).splitlines()
    first, second = (line for line in table if line.startswith("conv1"))
    assert first.split()[-3:] == ["116", "0.00", "M"]
    assert second.split()[-2:] == ["0.00", "M"] and "116" not in second


def test_rows_of_a_network_in_frames_have_the_frames():
    table = rows(nested_models.in_frames().model)
    assert "3 x 5 x 4 x 4" in table["conv1"]
