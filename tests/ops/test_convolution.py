"""Convolutions against loops in float64, in every form and way."""

import itertools

import numpy as np
import pytest

from nonlocal_tf.ops._convolution import (
    CONVOLUTION_METHODS,
    convolution,
    output_sizes,
    same_padding,
)
from tests.harness import normal
from tests.ops.running import WAYS, relative_error, value_and_gradients

# kernel, strides, padding: those of the networks, and one of no network.
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
    """Every window of every position, multiplied and summed in float64."""
    x, kernel = x.astype("float64"), kernel.astype("float64")
    x = np.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)])
    size = kernel.shape[:-2]
    counts = [
        (n - k) // s + 1
        for n, k, s in zip(x.shape[1:-1], size, strides, strict=True)
    ]
    y = np.zeros((len(x), *counts, kernel.shape[-1]))
    for at in itertools.product(*map(range, counts)):
        window = tuple(
            slice(i * s, i * s + k)
            for i, s, k in zip(at, strides, size, strict=True)
        )
        axes = range(1, 2 + len(size)), range(len(size) + 1)
        y[:, *at] = np.tensordot(x[:, *window], kernel, axes)
    return y


def case(kind, shape=CLIPS):
    size, strides, padding = KINDS[kind]
    x, kernel = normal(shape), normal((*size, shape[-1], 4), 1)
    expected = by_loops(x, kernel, strides, padding)
    return x, kernel, strides, padding, expected


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_value_is_that_of_the_loops(kind, method):
    x, kernel, strides, padding, expected = case(kind)
    y = convolution(x, kernel, strides, padding, method=method)
    # float32 sums of up to 735 products.
    assert relative_error(np.asarray(y), expected) < 1e-6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_plain_form(kind, way):
    x, kernel, strides, padding, expected = case(kind)
    dy = normal(expected.shape, 2)

    def run(method):
        def function(x, kernel):
            return convolution(x, kernel, strides, padding, method=method)

        def unknown(array):
            is_kernel = array.shape == kernel.shape
            return array.shape if is_kernel else (None,) * 4 + array.shape[4:]

        return value_and_gradients(function, [x, kernel], dy, way, unknown)

    fast, plain = (
        run("auto"),
        value_and_gradients(
            lambda x, k: convolution(x, k, strides, padding, method="plain"),
            [x, kernel],
            dy,
            WAYS[0],
        ),
    )
    for ours, theirs in zip(fast, plain, strict=True):
        assert relative_error(ours, theirs) < 2e-6


def test_images_are_convolved_as_clips_of_one_frame():
    x, kernel, strides, padding, expected = case(
        "1x3x3 strided", (2, 1, 8, 7, 3)
    )
    y = convolution(x[:, 0], kernel[0], strides[1:], padding[1:])
    assert relative_error(np.asarray(y), expected[:, 0]) < 1e-6


GROUPED = {
    "clips": ((2, 5, 8, 7, 6), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    "images": ((2, 8, 7, 6), (3, 3), (1, 1), (1, 1)),
    "images strided": ((2, 8, 7, 6), (3, 3), (2, 2), (1, 1)),
    "images 1x1": ((2, 8, 7, 6), (1, 1), (1, 1), (0, 0)),
}


def grouped_case(kind):
    """Three groups of 2 channels in and 5 out, one after the other."""
    shape, size, strides, padding = GROUPED[kind]
    x, kernel = normal(shape), normal((*size, 2, 15), 1)
    expected = [
        by_loops(x[..., a : a + 2], kernel[..., b : b + 5], strides, padding)
        for a, b in ((0, 0), (2, 5), (4, 10))
    ]
    return x, kernel, strides, padding, np.concatenate(expected, axis=-1)


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", GROUPED)
def test_each_group_sees_its_channels_alone(kind, method):
    x, kernel, strides, padding, expected = grouped_case(kind)
    y = convolution(x, kernel, strides, padding, method=method)
    assert relative_error(np.asarray(y), expected) < 1e-6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["images", "images strided"])
def test_gradients_of_groups_are_those_of_a_kernel_with_zeros(kind, way):
    x, kernel, strides, padding, expected = grouped_case(kind)
    dy = normal(expected.shape, 2)
    # 1 where an output is of a channel: (channel, output).
    is_seen = np.kron(np.eye(3), np.ones((2, 5))).astype("float32")
    full = np.tile(kernel, (1, 1, 3, 1)) * is_seen

    def run(kernel, way):
        def unknown(array):
            is_kernel = array.shape == kernel.shape
            return array.shape if is_kernel else (None,) * 3 + array.shape[3:]

        return value_and_gradients(
            lambda x, k: convolution(x, k, strides, padding),
            [x, kernel],
            dy,
            way,
            unknown,
        )

    y, dx, dk = run(kernel, way)
    full_y, full_dx, full_dk = run(full, WAYS[0])
    full_dk = (full_dk * is_seen).reshape(3, 3, 3, 2, 15).sum(2)
    for ours, theirs in ((y, full_y), (dx, full_dx), (dk, full_dk)):
        assert relative_error(ours, theirs) < 2e-6


@pytest.mark.parametrize("shape", [(3, 3, 4, 15), (3, 3, 2, 7)])
def test_a_kernel_of_no_groups_is_refused(shape):
    with pytest.raises(ValueError, match="divides the channels into groups"):
        convolution(normal((2, 8, 7, 6)), normal(shape), (1, 1), (1, 1))


@pytest.mark.parametrize("method", CONVOLUTION_METHODS)
@pytest.mark.parametrize("kind", ["1x1x1", "1x3x3", "3x1x1"])
def test_bias_then_activation_end_each_form(kind, method):
    x, kernel, strides, padding, expected = case(kind)
    bias = normal((4,), 3)
    y = convolution(
        x, kernel, strides, padding, bias, lambda y: y * 2, method=method
    )
    assert relative_error(np.asarray(y), 2 * (expected + bias)) < 1e-6


def test_an_unknown_method_is_refused():
    x, kernel, strides, padding, _ = case("1x1x1")
    with pytest.raises(ValueError, match="Did you mean 'plain'"):
        convolution(x, kernel, strides, padding, method="plane")


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_recognised_where_it_is_the_same(size, k, stride):
    for p in range(k):
        count = -(-size // stride)  # of "same", by its definition
        before = max((count - 1) * stride + k - size, 0) / 2
        places = (size + 2 * p - k) // stride + 1
        same = p > 0 and places == count and before == p
        assert same_padding((size,), (k,), (stride,), (p,)) == same


def test_unknown_sizes_are_padded_by_hand():
    assert not same_padding((None,), (3,), (2,), (1,))
    assert same_padding((None,), (3,), (1,), (1,))


def test_sizes_of_the_papers_networks():
    stem = (5, 7, 7), (2, 2, 2), (2, 3, 3)
    assert output_sizes((32, 224, 224), *stem) == (16, 112, 112)
    assert output_sizes((None, 256, 224), *stem) == (None, 128, 112)


def test_a_window_larger_than_the_input_is_refused():
    with pytest.raises(ValueError, match=r"at least as large.*\(3, 3\)"):
        output_sizes((2, 5), (3, 3), (1, 1), (0, 0))
