"""Convolutions against loops in float64, in every form and mode."""

import itertools

import numpy as np
import pytest

from nonlocal_tf.ops._convolution import (
    CONVOLUTION_METHODS,
    convolution,
    output_sizes,
    same_padding,
)
from tests.harness import array, normal
from tests.ops.execution import MODES, relative_error, value_and_gradients

# Kernel, strides, padding: those of the networks, and an uneven one.
KINDS = {
    "1x1x1": ((1, 1, 1), (1, 1, 1), (0, 0, 0)),
    "shortcut": ((1, 1, 1), (1, 2, 2), (0, 0, 0)),
    "3x1x1": ((3, 1, 1), (1, 1, 1), (1, 0, 0)),
    "1x3x3": ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
    "1x3x3 strided": ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "3x3x3 strided": ((3, 3, 3), (1, 2, 2), (1, 1, 1)),
    "stem": ((5, 7, 7), (2, 2, 2), (2, 3, 3)),
    "uneven": ((2, 3, 1), (1, 2, 1), (0, 0, 2)),
}
CLIPS = (2, 5, 8, 7, 3)


def by_loops(x, kernel, strides, padding):
    """Convolve in float64, position by position."""
    x, kernel = x.astype("float64"), kernel.astype("float64")
    x = np.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)])
    size = kernel.shape[:-2]
    counts = [
        (n - k) // s + 1
        for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)
    ]
    y = np.zeros((len(x), *counts, kernel.shape[-1]))
    for position in itertools.product(*map(range, counts)):
        window = tuple(
            slice(i * s, i * s + k)
            for i, s, k in zip(position, strides, size, strict=True)
        )
        axes = range(1, 2 + len(size)), range(len(size) + 1)
        y[:, *position] = np.tensordot(x[:, *window], kernel, axes)
    return y


def case(kind, shape=CLIPS):
    size, strides, padding = KINDS[kind]
    x, kernel = normal(shape), normal((*size, shape[-1], 4), 1)
    expected = by_loops(x, kernel, strides, padding)
    return x, kernel, strides, padding, expected


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_value_equals_the_loops(kind, method):
    x, kernel, strides, padding, expected = case(kind)
    y = convolution(x, kernel, strides, padding, method=method)
    # float32 sums of up to 735 products.
    assert relative_error(array(y), expected) < 2e-6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_the_plain_form(kind, mode):
    x, kernel, strides, padding, expected = case(kind)
    dy = normal(expected.shape, 2)

    def run(method, mode):
        def function(x, kernel):
            return convolution(x, kernel, strides, padding, method=method)

        def unknown_shape(array):
            is_kernel = array.shape == kernel.shape
            return array.shape if is_kernel else (None,) * 4 + array.shape[4:]

        arrays = [x, kernel]
        return value_and_gradients(function, arrays, dy, mode, unknown_shape)

    fast, plain = run("auto", mode), run("plain", MODES[0])
    for actual, expected in zip(fast, plain, strict=True):
        assert relative_error(actual, expected) < 2e-6


def test_an_image_equals_a_clip_of_one_frame():
    x, kernel, strides, padding, expected = case(
        "1x3x3 strided", (2, 1, 8, 7, 3)
    )
    y = convolution(x[:, 0], kernel[0], strides[1:], padding[1:])
    assert relative_error(array(y), expected[:, 0]) < 2e-6


GROUPED = {
    "clips": ((2, 5, 8, 7, 6), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    "images": ((2, 8, 7, 6), (3, 3), (1, 1), (1, 1)),
    "images strided": ((2, 8, 7, 6), (3, 3), (2, 2), (1, 1)),
    "images 1x1": ((2, 8, 7, 6), (1, 1), (1, 1), (0, 0)),
}


def grouped_case(kind):
    """Build a case of three groups of 2 input and 5 output channels."""
    shape, size, strides, padding = GROUPED[kind]
    x, kernel = normal(shape), normal((*size, 2, 15), 1)
    expected = [
        by_loops(x[..., a : a + 2], kernel[..., b : b + 5], strides, padding)
        for a, b in ((0, 0), (2, 5), (4, 10))
    ]
    return x, kernel, strides, padding, np.concatenate(expected, axis=-1)


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", GROUPED)
def test_grouped_value_equals_loops_over_groups(kind, method):
    x, kernel, strides, padding, expected = grouped_case(kind)
    y = convolution(x, kernel, strides, padding, method=method)
    assert relative_error(array(y), expected) < 2e-6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["images", "images strided"])
def test_grouped_gradients_equal_a_block_diagonal_kernel(kind, mode):
    x, kernel, strides, padding, expected = grouped_case(kind)
    dy = normal(expected.shape, 2)
    # 1 where an output depends on a channel: (channel, output).
    block_diagonal = np.kron(np.eye(3), np.ones((2, 5))).astype("float32")
    full = np.tile(kernel, (1, 1, 3, 1)) * block_diagonal

    def run(kernel, mode):
        def unknown_shape(array):
            is_kernel = array.shape == kernel.shape
            return array.shape if is_kernel else (None,) * 3 + array.shape[3:]

        return value_and_gradients(
            lambda x, k: convolution(x, k, strides, padding),
            [x, kernel],
            dy,
            mode,
            unknown_shape,
        )

    y, dx, dk = run(kernel, mode)
    full_y, full_dx, full_dk = run(full, MODES[0])
    full_dk = (full_dk * block_diagonal).reshape(3, 3, 3, 2, 15).sum(2)
    for actual, expected in ((y, full_y), (dx, full_dx), (dk, full_dk)):
        assert relative_error(actual, expected) < 2e-6


@pytest.mark.parametrize("shape", [(3, 3, 4, 15), (3, 3, 2, 7)])
def test_channels_that_do_not_form_groups_are_an_error(shape):
    with pytest.raises(ValueError, match="divides the channels into groups"):
        convolution(normal((2, 8, 7, 6)), normal(shape), (1, 1), (1, 1))


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", ["1x1x1", "1x3x3", "3x1x1"])
def test_bias_and_activation_of_each_form(kind, method):
    x, kernel, strides, padding, expected = case(kind)
    bias = normal((4,), 3)
    y = convolution(
        x, kernel, strides, padding, bias, lambda y: y * 2, method=method
    )
    assert relative_error(array(y), 2 * (expected + bias)) < 2e-6


def test_unknown_method_is_an_error():
    x, kernel, strides, padding, _ = case("1x1x1")
    with pytest.raises(ValueError, match="Did you mean 'plain'"):
        convolution(x, kernel, strides, padding, method="plane")


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_detected(k, stride):
    for size, p in itertools.product(range(3, 12), range(k)):
        count = -(-size // stride)  # definition of "same"
        before = max((count - 1) * stride + k - size, 0) / 2
        positions = (size + 2 * p - k) // stride + 1
        is_same = p > 0 and positions == count and before == p
        assert same_padding((size,), (k,), (stride,), (p,)) == is_same


def test_strided_windows_of_unknown_sizes_are_not_same():
    assert not same_padding((None,), (3,), (2,), (1,))
    assert same_padding((None,), (3,), (1,), (1,))


def test_output_sizes_of_the_papers_stem():
    stem = (5, 7, 7), (2, 2, 2), (2, 3, 3)
    assert output_sizes((32, 224, 224), *stem) == (16, 112, 112)
    assert output_sizes((None, 256, 224), *stem) == (None, 128, 112)


def test_window_larger_than_the_input_is_an_error():
    with pytest.raises(ValueError, match=r"at least as large.*\(3, 3\)"):
        output_sizes((2, 5), (3, 3), (1, 1), (0, 0))
