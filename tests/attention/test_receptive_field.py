"""Receptive fields against the response of a network to one line of pixels."""

import keras
import numpy as np
import pytest
from keras import layers

import nonlocal_tf as nl
from nonlocal_tf.attention import receptive_field
from nonlocal_tf.layers import Conv3D, MaxPool
from tests.models.tiny import shallow, tiny

whole_network = pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="the same on all backends; compiling takes minutes",
)


def responses(model, sizes, axis):
    """Return which cells respond to each line of an axis, `(pixels, cells)`.

    Averaging kernels do not cancel, so that each cell with the line in its
    receptive field responds.
    """
    for layer in model.layers:
        if hasattr(layer, "kernel") and hasattr(layer, "strides"):
            shape = layer.kernel.shape
            layer.kernel.assign(np.full(shape, 1 / np.prod(shape[:-1])))
    lines = np.zeros((sizes[axis], *sizes, 3), "float32")
    for line in range(sizes[axis]):
        lines[(line, *[slice(None)] * axis, line)] = 1e6
    cells = keras.ops.convert_to_numpy(model(lines, training=False))
    reduced = tuple(a for a in range(1, cells.ndim) if a != axis + 1)
    return cells.max(reduced) > 0


def check(features, pixels, sizes):
    """Compare receptive fields of all axes with the cells' responses.

    Only at their ends: strides and dilation skip lines in between.
    """
    axes = receptive_field.feature_axes(features, pixels, sizes)
    model = keras.Model(pixels, features)
    for number, axis in enumerate(axes):
        is_active = responses(model, sizes, number)
        assert is_active.shape == (sizes[number], axis.size)
        for cell in range(axis.size):
            lines = np.flatnonzero(is_active[:, cell])
            low = axis.low + cell * axis.stride
            high = low + axis.field_px - 1
            assert lines[0] == max(low, 0)
            assert lines[-1] == min(high, sizes[number] - 1)


@whole_network
@pytest.mark.parametrize("sizes", [(3, 33, 26), (2, 16, 31)])
def test_small_networks(sizes):
    model = nl.create_model("i3d_nl1_small", clip_shape=(*sizes, 3))
    block = model.get_layer("stage2_nonlocal")
    check(block.input, model.inputs[0], sizes)


@whole_network
@pytest.mark.parametrize(
    "options",
    [
        {"stem": "official", "clip_shape": (4, 33, 46, 3)},
        {"stem": "slowfast", "clip_shape": (5, 38, 33, 3)},
        {"sampling": "32x2", "clip_shape": (8, 33, 34, 3)},
    ],
    ids=str,
)
def test_residual_networks(options):
    model = shallow("i3d", **options)
    block = model.get_layer("res3_block0_nonlocal")
    check(block.input, model.inputs[0], options["clip_shape"][:-1])


@pytest.mark.slow
@whole_network
@pytest.mark.parametrize("sampling", ["8x8", "32x2"])
def test_the_papers_networks(sampling):
    sizes = (int(sampling.split("x")[0]), 65, 78)
    model = tiny(
        "i3d_nl1_r50",
        clip_shape=(*sizes, 3),
        sampling=sampling,
        zero_init_residual=False,  # else residual paths are zero
    )
    (block,) = [x for x in model.layers if isinstance(x, nl.NonLocalBlock)]
    check(block.input, model.inputs[0], sizes)


LAYERS = {  # built in the test: Keras numbers layer names per module
    "same": lambda: [layers.Conv3D(1, (2, 4, 5), (2, 3, 2), padding="same")],
    "dilated": lambda: [layers.Conv3D(1, 3, dilation_rate=(1, 2, 3))],
    "padded": lambda: [
        layers.ZeroPadding3D(((0, 1), (2, 0), (1, 2))),
        layers.Conv3D(1, 3, 2),
    ],
    "cropped": lambda: [
        layers.Cropping3D(((0, 1), (2, 0), (1, 3))),
        MaxPool((1, 3, 2)),
    ],
    "ours": lambda: [
        MaxPool((3, 3, 5), (2, 2, 3), (1, 0, 2)),
        Conv3D(1, 3, 2),
    ],
    "average": lambda: [
        layers.AveragePooling3D((1, 3, 2), padding="same"),
        layers.ReLU(),
    ],
    "valid": lambda: [layers.MaxPooling3D((2, 2, 3), strides=(1, 3, 2))],
    "frames": lambda: [
        layers.TimeDistributed(layers.MaxPooling2D((3, 2), (2, 1)))
    ],
}


@pytest.mark.parametrize("chain", LAYERS.values(), ids=LAYERS)
def test_layers_of_keras_and_ours(chain):
    x = inputs = keras.Input((7, 11, 13, 3))
    for layer in [Conv3D(1, (1, 3, 3), (1, 2, 2)), *chain()]:
        x = layer(x)
    check(x, inputs, (7, 11, 13))


def test_a_sum_unites_receptive_fields():
    inputs = keras.Input((3, 9, 10, 3))
    wide = layers.Conv3D(3, (1, 3, 3), (1, 2, 2), padding="same")(inputs)
    narrow = layers.Conv3D(3, 1, (1, 2, 2), padding="same")(inputs)
    check(wide + narrow, inputs, (3, 9, 10))


def test_a_network_as_a_layer():
    part = keras.Input((3, 8, 10, 1))
    inner = keras.Model(part, Conv3D(1, (1, 3, 3), (1, 2, 2))(part))
    inputs = keras.Input((3, 18, 21, 3))
    x = Conv3D(1, (1, 7, 7), (1, 2, 2))(inputs)
    x = layers.MaxPooling3D((1, 2, 2), (1, 1, 1))(x)
    (_, y, z) = receptive_field.feature_axes(inner(x), inputs, (3, 18, 21))
    # By hand: a pixel every 2, the pool's +1, then every second of those.
    assert (y.size, y.stride, y.first_center, y.field_px) == (4, 4, 1.5, 13)
    assert (z.size, z.stride, z.first_center, z.field_px) == (5, 4, 1.5, 13)


def test_nearest_cell_has_the_nearest_center():
    axis = receptive_field.FeatureAxis(size=5, stride=4, low=-2, high=8)
    centers = [axis.center(cell) for cell in range(5)]
    for position in np.arange(-3.3, 30.0, 0.5):
        distances = [abs(position - center) for center in centers]
        assert distances[axis.nearest_cell(position)] == min(distances)


def test_an_unsupported_layer_is_named():
    inputs = keras.Input((3, 4, 6, 3))
    x = layers.UpSampling3D((1, 2, 2), name="larger")(inputs)
    with pytest.raises(ValueError, match="'larger', a UpSampling3D"):
        receptive_field.feature_axes(x, inputs, (3, 4, 6))


@pytest.mark.parametrize(
    "move",
    [
        layers.Permute((2, 1, 3)),
        lambda x: keras.ops.flip(x, 1),
        lambda x: keras.ops.swapaxes(x, 1, 2),
    ],
    ids=["Permute", "flip", "swapaxes"],
)
def test_moved_positions_of_equal_shape_are_refused(move):
    pixels = keras.Input((6, 6, 3))
    with pytest.raises(ValueError, match="places"):
        receptive_field.feature_axes(move(pixels), pixels, (6, 6))


def test_maps_of_different_sizes_are_not_joined():
    inputs = keras.Input((3, 4, 6, 3))
    x = layers.MaxPooling3D((1, 2, 2))(inputs)
    x = layers.ZeroPadding3D((0, 1, (1, 2)))(x)
    odd = layers.Add(name="odd")([x, inputs])
    with pytest.raises(ValueError, match="cells of one size.*'odd'"):
        receptive_field.feature_axes(odd, inputs, (3, 4, 6))


def test_a_second_input_is_refused():
    inputs, second = keras.Input((3, 4, 6, 3)), keras.Input((3, 4, 6, 3))
    with pytest.raises(ValueError, match="depends on the pixels alone"):
        receptive_field.feature_axes(inputs + second, inputs, (3, 4, 6))


@pytest.mark.parametrize(
    "name", ["c2d_nl1_small", pytest.param("shallow", marks=whole_network)]
)
def test_first_centers_depend_on_the_remainder_of_the_size(name):
    if name == "shallow":
        model = shallow("i3d", clip_shape=(None, None, None, 3))
    else:
        model = nl.create_model(name, clip_shape=(None, None, None, 3))
    (block,) = [x for x in model.layers if isinstance(x, nl.NonLocalBlock)]
    strides, first_centers = receptive_field.strides_and_first_centers(
        block.input, model.inputs[0], 3
    )
    for size in range(20, 60):
        sizes = (size, size + 5, size + 9)
        axes = receptive_field.feature_axes(block.input, model.inputs[0], sizes)
        assert [axis.stride for axis in axes] == strides.tolist()
        assert [axis.first_center for axis in axes] == [
            row[n % stride]
            for row, n, stride in zip(
                first_centers, sizes, strides, strict=True
            )
        ]
