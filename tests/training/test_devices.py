"""Training and evaluation on two devices, in processes of their own.

Logical devices must be configured before TensorFlow runs anything.
"""

import json

import pytest

from tests.training import fine_tuning_runs
from tests.training.processes import expect


@pytest.mark.full
@pytest.mark.parametrize("case", ["synchronized", "fused"])
def test_two_devices_train_a_loaded_network(case, tmp_path):
    expect("two_devices", case, tmp_path)


@pytest.mark.full
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("case", fine_tuning_runs.SETTINGS)
def test_two_devices_and_a_preempted_one_fine_tune_as_one(case, tmp_path):
    expect("fine_tuning_on_two_devices", case, tmp_path)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The traceback of each check that does not hold, of one process."""
    folder = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        expect("on_two_devices", folder)
    return json.loads((folder / "outcomes.json").read_text("utf-8"))


def test_a_trainer_on_devices_with_unequal_data(outcomes):
    assert not outcomes["unequal data"], outcomes["unequal data"]


def test_fit_trains_on_batches_of_videos(outcomes):
    assert not outcomes["fit"], outcomes["fit"]


def test_fit_trains_on_augmented_clips(outcomes):
    assert not outcomes["augmented"], outcomes["augmented"]


def test_devices_share_the_views_of_an_evaluation(outcomes):
    assert not outcomes["views"], outcomes["views"]
