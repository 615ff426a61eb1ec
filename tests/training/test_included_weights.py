"""What the weights of the package tell of clips that were not trained on."""

import numpy as np
import pytest

import nonlocal_tf as nl
from training.data import load
from training.data.made_motion import COLORS, SPEEDS

CLIPS = 24


@pytest.fixture(scope="module")
def scored():
    """Return the labels of new clips, and the logits of the network."""
    videos = load(dataset="made_motion")
    model = nl.create_model("i3d_strided_nl1_small", weights="made_motion")
    # No training has this seed.
    examples = videos.make(None, CLIPS, (2**31 - 1, 0))
    clips = nl.preprocess.normalize(examples["pixels"])
    logits = np.asarray(model(clips, training=False))
    labels = {name: i for i, name in enumerate(videos.classes)}
    return labels, examples["label"].numpy(), logits


# Bounds are far from chance, and three deviations of such a sample below the
# shares of a larger one: they are for weights that do not fit, not for noise.
def test_kinds_of_motion_are_told(scored):
    _, truth, logits = scored
    motions = slice(0, 12)
    right = truth[:, motions].argmax(1) == logits[:, motions].argmax(1)
    assert right.mean() > 0.7  # chance: 1 of 12


def test_colours_are_told(scored):
    labels, truth, logits = scored
    columns = [labels[color] for color in COLORS]
    right = truth[:, columns].argmax(1) == logits[:, columns].argmax(1)
    assert right.mean() > 0.7  # chance: 1 of 8


def test_speeds_are_told(scored):
    labels, truth, logits = scored
    columns = [labels[f"faster than {speed}"] for speed in SPEEDS]
    right = (truth[:, columns] > 0) == (logits[:, columns] > 0)
    assert right.mean() > 0.85  # chance: below 0.75, from the shares of each
