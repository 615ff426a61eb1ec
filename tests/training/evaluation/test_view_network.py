import keras
import numpy as np
import pytest

from nonlocal_tf import preprocess
from training.evaluation import view_network


@pytest.mark.parametrize("multi_label", [False, True])
def test_scores_are_the_mean_probability_over_positions(multi_label):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7, 3), "uint8")
    inputs = keras.Input((3, 5, 7, 3))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    logits = np.asarray(model(preprocess.normalize(pixels)), "float64")
    exps = np.exp(logits)
    shares = (
        exps / (1 + exps) if multi_label else exps / exps.sum(-1)[..., None]
    )
    scores = view_network.make_score_step(model, multi_label)(pixels)
    np.testing.assert_allclose(scores, shares.mean((1, 2, 3)), rtol=1e-5)
