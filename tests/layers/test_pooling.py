import keras
import pytest

from nonlocal_tf.layers import MaxPool
from tests import harness
from tests.harness import normal


def test_the_papers_pool():
    x = normal((2, 4, 9, 7, 3))
    layer = MaxPool((2, 3, 3), strides=(2, 2, 2))
    expected = (2, 2, 4, 3, 3)
    assert tuple(layer(x).shape) == expected
    assert tuple(layer.compute_output_shape(x.shape)) == expected
    assert MaxPool.from_config(layer.get_config()).strides == (2, 2, 2)


@pytest.mark.parametrize("padding", [(0, 0, 0), (0, 1, 1)])
def test_unknown_sizes(padding):
    inputs = keras.Input((None, None, None, 3))
    layer = MaxPool((1, 3, 3), (1, 2, 2), padding)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, None, 3)
    x = normal((2, 4, 8, 7, 3))
    assert tuple(model(x).shape) == layer.compute_output_shape(x.shape)


def test_saving(tmp_path):
    inputs = keras.Input((4, 8, 8, 3))
    pool = MaxPool((1, 3, 3), (1, 2, 2), (0, 1, 1))
    model = keras.Model(inputs, pool(inputs))
    harness.check_saving(model, normal((2, 4, 8, 8, 3)), tmp_path)


def test_other_number_of_strides_than_axes_is_an_error():
    with pytest.raises(ValueError, match="of the same length"):
        MaxPool((1, 3, 3), strides=(2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool_size": 2}, "`pool_size` to have an integer of at least 1"),
        ({"pool_size": (0, 2)}, "`pool_size` to have"),
        ({"pool_size": (2, 2), "strides": (2, 0.5)}, "`strides` to have"),
        ({"pool_size": (2, 2), "padding": (-1, 0)}, "of at least 0 per axis"),
    ],
)
def test_invalid_sizes_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        MaxPool(**options)


def test_window_of_padding_alone_is_an_error():
    with pytest.raises(ValueError, match="at most half"):
        MaxPool((1, 3, 3), padding=(0, 2, 2))


def test_input_of_another_rank_is_an_error():
    with pytest.raises(ValueError, match="expected ndim=5"):
        MaxPool((1, 3, 3))(normal((2, 9, 9, 3)))
