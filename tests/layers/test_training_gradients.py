"""Gradients of the block in training, beside differences of loops."""

import types

import keras
import numpy as np

from tests import harness
from tests.harness import normal
from tests.layers.blocks import (
    active_block,
    array,
    attend_by_loops,
    dense,
    embed_by_loops,
    full_on_jax,
)

SHAPE = (2, 7, 6)
LAYERS = ("pairwise", "theta", "phi", "g", "out")


def stand_in(block, weights, change, step):
    """Return what the loops need of a block whose weights have changed."""
    layers = {"heads": 1}
    by_path = {w.path: i for i, w in enumerate(block.weights)}
    for name in LAYERS:
        layer = getattr(block, name, None)
        if layer is not None:
            indices = [by_path[w.path] for w in layer.weights]
            values = [weights[i] + step * change[i] for i in indices]
            layers[name] = types.SimpleNamespace(
                get_weights=lambda values=values: values
            )
    layers["pairwise"].embeds = block.pairwise.embeds
    return types.SimpleNamespace(**layers)


def loss_by_loops(block, x, pairwise):
    """Compute the sum of the squared outputs in float64."""
    total = 0.0
    for example in x.astype("float64"):
        rows = *embed_by_loops(block, example), dense(example, block.g)
        y = attend_by_loops(block, pairwise, *rows)
        total += ((example + dense(y, block.out)) ** 2).sum()
    return total


@full_on_jax
def test_gradients_equal_differences_of_the_loops(pairwise):
    inputs = keras.Input(SHAPE[1:])
    block = active_block(pairwise)
    model = keras.Model(inputs, block(inputs))
    harness.randomise(block)
    x = normal(SHAPE)
    _, *gradients = harness.logits_and_gradients(model, x)
    weights = [array(w).astype("float64") for w in block.weights]
    for index, gradient in enumerate(gradients):
        change = [np.zeros_like(w) for w in weights]
        change[index] = normal(gradient.shape, seed=index, dtype="float64")
        step = 1e-5
        after, before = (
            loss_by_loops(stand_in(block, weights, change, s), x, pairwise)
            for s in (step, -step)
        )
        expected = (after - before) / (2 * step)
        actual = (gradient * change[index]).sum()
        # Rounding of float32 in sums of 84 squares.
        assert abs(actual - expected) < 1e-4 * max(1, abs(expected))
