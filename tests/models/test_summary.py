import keras
import pytest

import nonlocal_tf as nl
from tests.models.tiny import tiny

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tables do not depend on the backend, and the networks are large",
)


def rows(*arguments, **options):
    table = nl.summary(tiny(*arguments, **options)).splitlines()
    return {line.split()[0]: line for line in table if line[0] != " "}


def test_each_stage_is_a_row():
    table = rows("i3d_nl5_r50")
    stages = ["conv1", "pool1", "res2", "pool2", "res3", "res4", "res5"]
    names = ["i3d_nl5_r50", "layer", *stages, "pool5", "logits", "total"]
    assert list(table) == names


def test_a_row_says_kernels_outputs_and_counts():
    table = rows("c2d_r50")
    assert "1x7x7, 4, stride 1x2x2" in table["conv1"]
    assert "8 x 32 x 32 x 4" in table["conv1"]
    assert "[1x1x1, 4; 1x3x3, 4; 1x1x1, 16] x 3" in table["res2"]


def test_totals_equal_the_cost():
    model = tiny("c2d_nl1_r50")
    cost = nl.cost(model)
    last = nl.summary(model).splitlines()[-1]
    assert f"{cost.parameters:,}" in last
    assert last.endswith(f"{cost.multiply_adds / 1e6:.2f} M")


def test_blocks_show_where_they_are():
    table = nl.summary(tiny("c2d_nl1_r50", pairwise="gaussian"))
    (line,) = (x for x in table.splitlines() if "non-local" in x)
    assert line.strip().startswith("[1x1x1, 16; 1x3x3, 16; 1x1x1, 64] + non-lo")
    assert "non-local, 32 (Gaussian)" in line


def test_a_shape_can_be_given():
    model = tiny("c2d_r50", clip_shape=(None, None, None, 3))
    assert "16 x 48 x 48 x 4" in nl.summary(model, (16, 96, 96, 3))
    with pytest.raises(ValueError, match="without unknown sizes"):
        nl.summary(model)


def test_any_model_has_a_table():
    table = nl.summary(nl.create_model("c2d_nl1_small"))
    assert "stage2_nonlocal" in table
    assert "112,138" in table.splitlines()[-1]
