"""The rate of every recipe at every step that matters, typed from the sources.

Not from the recipes: from the tables of the authors' code, SlowFast's epochs,
and section 5.2 of the paper.
"""

import fnmatch
import math

import numpy as np
import pytest

from training.loop import schedules
from training.recipes import get_recipe
from training.recipes.schema import Recipe, names_of

# recipes: batch, steps, the first step of each rate
DROPS = {
    "k400_*_4gpu_600k": (
        (32, 600_000),
        {0: 0.005, 300_000: 0.0005, 500_000: 0.00005},
    ),
    "k400_*_4gpu_300k": (
        (32, 300_000),
        {0: 0.005, 150_000: 0.0005, 250_000: 0.00005},
    ),
    "k400_*_8x8_300k": (
        (64, 300_000),
        {0: 0.01, 150_000: 0.001, 250_000: 0.0001},
    ),
    "k400_*_8x8": ((64, 400_000), {0: 0.01, 150_000: 0.001, 300_000: 0.0001}),
    "k400_*_32x2": ((64, 400_000), {0: 0.01, 150_000: 0.001, 300_000: 0.0001}),
    "k400_*_32x4": (
        (16, 400_000),
        {0: 0.0025, 150_000: 0.00025, 300_000: 0.000025},
    ),
    "k400_*_128x1": (
        (16, 400_000),
        {0: 0.0025, 150_000: 0.00025, 300_000: 0.000025},
    ),
    # 118 epochs of 3666 steps; drops at the epochs 44 and 88.
    "slowfast_*_in1k": (
        (64, 432_588),
        {0: 0.01, 161_304: 0.001, 322_608: 0.0001},
    ),
    "charades_*": (
        (8, 200_000),
        {0: 0.00125, 75_000: 0.000125, 150_000: 0.0000125},
    ),
}
SLOWFAST = ["slowfast_*_r50_8x8", "slowfast_*_r101_8x8"]
# recipes: batch, steps, warm-up, rate at its end; then a cosine to zero
OURS = {
    "digits_image": (128, 600, 0, 3e-3),
    "digits_*": (32, 2400, 50, 3e-3),
    "abilities_*": (32, 800, 20, 3e-3),
    "made_motion": (16, 6400, 200, 3e-3),
    "finetune": (8, 1200, 20, 2e-3),
    "finetune_pretrained": (16, 3000, 200, 1e-4),
    "linear_probe": (16, 1000, 20, 1e-3),
}
PATTERNS = [*DROPS, *SLOWFAST, *OURS]
# float32 is right to 6e-8 of a value; the rates take some operations.
ROUNDING = 1e-6


def learning_rate(recipe):
    return schedules.learning_rate(recipe.optimizer, recipe.batch, recipe.steps)


def matching(patterns):
    """Each recipe with the first of all patterns that it matches."""
    pairs = [
        (name, next((p for p in PATTERNS if fnmatch.fnmatch(name, p)), None))
        for name in names_of(Recipe)
    ]
    return [pair for pair in pairs if pair[1] in patterns]


def test_every_recipe_is_in_one_of_the_tables_and_every_line_has_one():
    names = matching(PATTERNS)
    missing = set(names_of(Recipe)) - {name for name, _ in names}
    assert not missing, "add them to DROPS, SLOWFAST or OURS"
    assert {pattern for _, pattern in names} == set(PATTERNS)


@pytest.mark.parametrize(("name", "pattern"), matching(DROPS))
def test_rates_drop_at_the_step_of_the_reference(name, pattern):
    recipe = get_recipe(name)
    (batch, steps), rates = DROPS[pattern]
    assert (recipe.batch, recipe.steps) == (batch, steps)
    rate = learning_rate(recipe)
    firsts = [*rates, steps]
    for (first, expected), last in zip(rates.items(), firsts[1:], strict=True):
        for step in (first, first + 1, (first + last) // 2, last - 1):
            assert float(rate(step)) == pytest.approx(expected, rel=ROUNDING)


def slowfast_rate(epoch):
    """At a fraction of an epoch, as its settings say, in float64."""

    def cosine(epoch):
        return 0.1 * (math.cos(math.pi * epoch / 196) + 1) / 2

    if epoch < 34:
        return 0.01 + epoch * (cosine(34) - 0.01) / 34
    return cosine(epoch)


@pytest.mark.parametrize(("name", "pattern"), matching(SLOWFAST))
def test_rates_are_slowfasts_at_each_fraction_of_an_epoch(name, pattern):
    recipe = get_recipe(name)
    steps_an_epoch = 3666  # whole batches of 64 in 234,643 videos
    assert (recipe.batch, recipe.steps) == (64, 196 * steps_an_epoch)
    rate = learning_rate(recipe)
    warmup = 34 * steps_an_epoch
    steps = [0, 1, 3665, 3666, warmup - 1, warmup, warmup + 1, 400_000]
    steps += [recipe.steps - 2, recipe.steps - 1]
    np.testing.assert_allclose(
        [float(rate(step)) for step in steps],
        [slowfast_rate(step / steps_an_epoch) for step in steps],
        # Of the last rates, 5e-12 of the first, float64 leaves five digits in
        # one plus the cosine.
        rtol=2e-5,
    )


@pytest.mark.parametrize(("name", "pattern"), matching(OURS))
def test_our_own_rates_rise_and_fall_to_zero(name, pattern):
    recipe = get_recipe(name)
    batch, steps, warmup, base = OURS[pattern]
    assert (recipe.batch, recipe.steps) == (batch, steps)
    rate = learning_rate(recipe)
    if warmup:
        assert float(rate(0)) == 0
    for step in range(0, warmup, 7):
        assert float(rate(step)) == pytest.approx(base * step / warmup)
    for step in (warmup, warmup + 1, steps // 2, steps - 1, steps):
        along = (step - warmup) / (steps - warmup)
        expected = base * (1 + math.cos(math.pi * along)) / 2
        assert float(rate(step)) == pytest.approx(expected, abs=1e-6 * base)
