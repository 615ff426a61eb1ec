"""Views for which a SavedModel and an evaluation differ."""

import pytest

from training.data.sampling_config import ViewsConfig
from training.io.user_error import UserError
from training.prediction import predictor
from training.recipes.schema import get_recipe

RECIPE = get_recipe("k400_c2d_r50_8x8")
PX = RECIPE.sampling.crop_px


@pytest.mark.parametrize(
    ("views", "same"),
    [
        (ViewsConfig(short_side_px=256, crop_px=PX), True),
        (ViewsConfig(short_side_px=256, crop_px=256), False),
        (ViewsConfig(crops=0), False),
        (ViewsConfig(starts="mmaction2"), True),
    ],
)
def test_networks_with_windows_take_views_of_the_training_size_only(
    views, same
):
    if same:
        predictor._check_windows(RECIPE, RECIPE.sampling, views)
        return
    with pytest.raises(UserError, match=f"--crop {PX} or --model"):
        predictor._check_windows(RECIPE, RECIPE.sampling, views)


def test_networks_without_windows_take_views_of_any_size():
    recipe = get_recipe("finetune")
    predictor._check_windows(recipe, recipe.sampling, ViewsConfig(crops=0))
