"""Training of the main example: the claims of README."""

import numpy as np
import pytest

from nonlocal_tf import preprocess
from nonlocal_tf.attention import block_attention
from tests.training import whole_runs
from training.data import datasets, digits
from training.runs import run_model
from training.runs.run_folder import RunFolder

# Half the steps of both stages or fewer; validated once.
SHORT = (
    "--set=steps=900",
    "--set=epoch_steps=900",
    "--set=image_stage.steps=300",
    "--set=image_stage.epoch_steps=300",
)


@pytest.fixture(scope="module")
def digits_nl(tmp_path_factory):
    """The folder of the main example's run."""
    return whole_runs.train("digits_nl", tmp_path_factory.mktemp("r"), *SHORT)


# In CI, cells of the table of abilities are trained: test_ability_table.py.
@pytest.mark.full
def test_one_block_solves_recall(digits_nl):
    assert whole_runs.accuracy(digits_nl) >= 0.9


@pytest.mark.full
def test_the_full_run_has_the_accuracy_of_readme(tmp_path):
    assert whole_runs.accuracy(whole_runs.train("digits_nl", tmp_path)) >= 0.95


@pytest.mark.full
def test_the_queried_digit_attends_to_the_flash(digits_nl):
    model, *_ = run_model.load_trained(RunFolder(digits_nl))
    dataset = datasets.load("digits_recall")
    hits = []
    for index in range(50):
        example = dataset.example("test", index)
        clip = preprocess.normalize(example.pixels)
        attention = block_attention.attention_map(model, clip, example.query)
        frame, *middle = attention.center_pixel(attention.strongest_cells(1)[0])
        away = np.abs(np.subtract(middle, example.target[1:]))
        inside = away <= digits.FLASH_PX // 2
        hits.append(frame == 0 and inside.all())
    assert np.mean(hits) >= 0.9
