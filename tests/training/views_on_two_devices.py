"""Score views on two devices and on one; see test_devices.py."""

import numpy as np

from tests.models.tiny import shallow
from tests.training import view_runs
from training.evaluation import Classifier, distributed_step

VIEWS = 5


def check(strategy, folder):
    source = shallow("i3d")
    view_runs.randomise(source)
    shape = (VIEWS, *source.input_shape[1:])
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    brightness = np.linspace(0.2, 1, VIEWS).reshape(-1, 1, 1, 1, 1)
    pixels = (pixels * brightness).astype(np.uint8)
    expected = Classifier(source).probabilities(pixels)
    assert not distributed_step.is_on_devices(source, strategy)
    with strategy.scope():
        model = Classifier(source).for_clips(source.input_shape[1:], copy=True)
    assert distributed_step.is_on_devices(model, strategy)
    step = Classifier(model).score_step(strategy)
    for count in (VIEWS, 4, 1):
        got = step(pixels[:count])
        # Batches of two views instead of five: rounding in float32.
        np.testing.assert_allclose(got, expected[:count], rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # views differ
