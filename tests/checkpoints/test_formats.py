"""Name tables of formats against those of their software."""

import numpy as np
import pytest

from nonlocal_tf import create_model
from nonlocal_tf.checkpoints.formats import (
    FORMATS,
    Weight,
    from_keras_layout,
    parse_path,
    to_keras_layout,
)
from nonlocal_tf.checkpoints.write import to_arrays
from tests import harness
from tests.checkpoints.checkpoint_files import DATA
from tests.models.tiny import tiny, without_weights

COLUMNS = {"caffe2": 0, "slowfast": 2, "mmaction2": 3}


def table(depth):
    lines = (DATA / f"names_r{depth}.tsv").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


@pytest.fixture(scope="module")
def variable_paths():
    """Paths of the variables of I3D with five blocks, by depth."""
    paths = {}
    for depth in (50, 101):
        with without_weights():
            model = tiny(f"i3d_nl5_r{depth}")
            paths[depth] = [variable.path for variable in model.weights]
    return paths


@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize("file_format", COLUMNS)
def test_every_weight_has_a_name_in_each_format(
    file_format, depth, variable_paths
):
    column = {row[COLUMNS[file_format]] for row in table(depth)}
    expected = {name for name in column if not name.startswith("(")}
    matched = set()
    for path in variable_paths[depth]:
        names = FORMATS[file_format].names(parse_path(path))
        matched |= {name for name in names if name in expected}
        is_bias = file_format == "mmaction2" and path.endswith("out/bias")
        assert is_bias or set(names) & expected, path
    assert matched == expected


def test_arrays_have_the_shapes_of_caffe2():
    with without_weights():
        model = create_model("i3d_nl5_r50", sampling="8x8")
    arrays = to_arrays(model, "caffe2")
    for name, shape, *_ in table(50):
        assert arrays[name].shape == tuple(map(int, shape.split("x"))), name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("conv1/kernel", Weight("stem")),
        ("conv1_bn/gamma", Weight("stem", is_norm=True, role="gamma")),
        ("conv1_affine/beta", Weight("stem", is_norm=True, role="beta")),
        ("res4_block12_conv2/kernel", Weight("conv2", 4, 12)),
        (
            "res2_block0_shortcut_bn/moving_mean",
            Weight("shortcut", 2, 0, is_norm=True, role="moving_mean"),
        ),
        (
            "res3_block1_nonlocal/theta/bias",
            Weight("nonlocal", 3, 1, "theta", role="bias"),
        ),
        (
            "res3_block1_nonlocal/bn/beta",
            Weight("nonlocal", 3, 1, "bn", True, "beta"),
        ),
        ("logits/bias", Weight("logits", role="bias")),
    ],
)
def test_paths_are_parsed(path, expected):
    assert parse_path(path) == expected


@pytest.mark.parametrize("path", ["stage1_conv1/kernel", "dense/kernel", "x"])
def test_paths_of_other_networks_are_none(path):
    assert parse_path(path) is None


@pytest.mark.parametrize(
    ("file_format", "expected"),
    [
        ("caffe2", ("pred_w", "fc1000_w")),
        ("keras_resnet", ("predictions/kernel", "probs/kernel")),
    ],
)
def test_classifiers_have_two_names(file_format, expected):
    assert FORMATS[file_format].names(Weight("logits")) == expected


@pytest.mark.parametrize("file_format", FORMATS)
def test_layout_conversions_are_inverse(file_format):
    for path, shape in {
        "res3_block1_conv2/kernel": (1, 3, 3, 2, 5),
        "res3_block1_nonlocal/theta/kernel": (6, 3),
        "res3_block1_nonlocal/pairwise/w_f": (6, 1),
        "res3_block1_conv2_bn/gamma": (5,),
        "logits/kernel": (6, 7),
    }.items():
        weight, array = parse_path(path), harness.normal(shape)
        stored = from_keras_layout(array, weight, FORMATS[file_format])
        back = to_keras_layout(stored, weight.role, FORMATS[file_format])
        np.testing.assert_array_equal(back.reshape(shape), array)
