"""Views for which a SavedModel and an evaluation may differ."""

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.exporting.clip_description import ClipDescription
from training.runs import trained_predictor

WINDOWED = ClipDescription(SamplingConfig(crop_px=224), window_px=224)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        (ViewsConfig(short_side_px=256, crop_px=256), True),
        (ViewsConfig(crops=0), True),
        (ViewsConfig(short_side_px=256, crop_px=224), False),
        (ViewsConfig(starts="mmaction2"), False),
    ],
)
def test_windows_are_of_views_of_another_size(views, expected):
    assert trained_predictor.has_windows(WINDOWED, views) == expected


def test_network_without_windows_is_scored_on_whole_views():
    description = ClipDescription(SamplingConfig(crop_px=224))
    assert not trained_predictor.has_windows(
        description, ViewsConfig(crop_px=256)
    )
