"""Training and evaluation on two devices, in processes of their own.

Logical devices must be configured before TensorFlow runs anything.
"""

import pytest

from tests.training.processes import expect


@pytest.mark.full
@pytest.mark.parametrize("case", ["synchronized", "fused"])
def test_two_devices_train_a_loaded_network(case, tmp_path):
    expect("two_devices", case, tmp_path)


def test_a_trainer_on_devices_with_unequal_data():
    expect("trainer_on_two_devices")


def test_fit_trains_on_batches_of_videos(tmp_path, own_cache):
    expect("fit_on_two_devices", tmp_path)


def test_devices_share_the_views_of_an_evaluation():
    expect("views_on_two_devices")
