"""Views for which a SavedModel and an evaluation differ."""

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.exporting.clip_description import ClipDescription
from training.io.user_error import UserError
from training.runs import trained_predictor

WINDOWED = ClipDescription(SamplingConfig(crop_px=224), window_px=224)


@pytest.mark.parametrize(
    "views",
    [
        ViewsConfig(short_side_px=256, crop_px=224),
        ViewsConfig(starts="mmaction2"),
    ],
)
def test_views_that_a_saved_model_scores_as_evaluation_does(views):
    trained_predictor.check_windows(WINDOWED, views)


@pytest.mark.parametrize(
    "views", [ViewsConfig(short_side_px=256, crop_px=256), ViewsConfig(crops=0)]
)
def test_views_of_another_size_than_the_windows_are_refused(views):
    with pytest.raises(UserError, match="--crop 224 or --model"):
        trained_predictor.check_windows(WINDOWED, views)


def test_network_without_windows_is_scored_on_whole_views():
    description = ClipDescription(SamplingConfig(crop_px=224))
    trained_predictor.check_windows(description, ViewsConfig(crop_px=256))
