"""A data set, a recipe and a callback of a user's own module, in a training."""

import json
import sys

import pytest

from training import train
from training.data import DATASETS
from training.io.user_error import UserError
from training.runs.run_folder import RunFolder

MODULE = '''
import dataclasses
import json
import pathlib

import keras

from training.data import digits
from training.data.datasets import register_dataset
from training.recipes import get_recipe


@register_dataset("own_frames")
class OwnFrames(digits.DigitsFrames):
    """Clips with fewer classes."""


def own_recipe():
    stage = get_recipe("digits_nl").image_stage
    return dataclasses.replace(
        stage, name="own", dataset="own_frames", batch=8, steps=3, epoch_steps=2
    )


def own_callback(folder):
    path = pathlib.Path(folder, "own.json")
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: path.write_text(
            json.dumps([epoch, logs["loss"]])
        )
    )


def no_callback(folder):
    return folder
'''


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A run of the module's recipe, and the folder of the module."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_training.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        train.main(
            [
                "--plugin=own_training",
                "--recipe=own_training:own_recipe",
                "--callback=own_training:own_callback",
                f"--workdir={folder}/run",
                "--verbose=0",
            ]
        )
        yield RunFolder(folder / "run")
    del DATASETS["own_frames"], sys.modules["own_training"]


def test_the_recipe_and_data_set_of_a_module_are_trained(own_run):
    recipe = own_run.read_recipe()
    assert (recipe.name, recipe.dataset) == ("own", "own_frames")
    assert own_run.read_result()["examples"] == 64


def test_the_callback_of_a_module_gets_each_epoch(own_run):
    epoch, loss = json.loads((own_run.path / "own.json").read_text())
    assert epoch == 1 and loss > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_training:no_callback", "It returned: str"),
        ("own_training:own_recipe", "Calling it fails"),
    ],
)
def test_what_is_no_callback_is_refused(name, message, own_run, tmp_path):
    with pytest.raises(UserError, match=message):
        train.main(
            [
                "--recipe=digits_c2d",
                f"--callback={name}",
                f"--workdir={tmp_path}/run",
                "--set=image_stage=null",
                "--verbose=0",
            ]
        )
