"""Views for which a SavedModel and an evaluation differ."""

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.evaluation.network_builder import NetworkBuilder
from training.io.user_error import UserError
from training.runs import trained_predictor

SAMPLING = SamplingConfig(crop_px=224)


@pytest.mark.parametrize(
    "views",
    [
        ViewsConfig(short_side_px=256, crop_px=224),
        ViewsConfig(starts="mmaction2"),
    ],
)
def test_views_that_a_saved_model_scores_as_evaluation_does(views):
    trained_predictor.check_windows(SAMPLING, views)


@pytest.mark.parametrize(
    "views", [ViewsConfig(short_side_px=256, crop_px=256), ViewsConfig(crops=0)]
)
def test_views_of_another_size_than_the_windows_are_refused(views):
    with pytest.raises(UserError, match="--crop 224 or --model"):
        trained_predictor.check_windows(SAMPLING, views)


def test_windows_are_of_networks_with_a_fully_convolutional_head():
    names = ("c2d_r50", "c2d_small")
    builders = [NetworkBuilder(name, {}) for name in names]
    assert [builder.has_windows for builder in builders] == [True, False]
