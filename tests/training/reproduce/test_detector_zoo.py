"""Detection section of MODEL_ZOO.md."""

import json

import pytest

from training.recipes.detection_schema import DetectionRecipe
from training.recipes.schema import get_recipe, names_of
from training.reproduce import detector_zoo


def test_rows_of_the_paper_are_listed_as_not_reproduced():
    text = "\n".join(detector_zoo.section())
    for recipe in map(get_recipe, names_of(DetectionRecipe)):
        if recipe.reference is not None:
            assert f"| {recipe.name} |" in text
            assert recipe.reference.expected in text
    assert "None of them was reproduced here" in text


@pytest.mark.parametrize(
    ("file", "first", "second"),
    [
        (detector_zoo.FAR_CUE, "box", "mask"),
        (detector_zoo.FAR_CUE_KEYPOINTS, "keypoint", "box"),
    ],
)
def test_means_are_over_the_seeds(tmp_path, file, first, second):
    runs = [
        {
            "seed": seed,
            "block": block,
            "train": {f"{first}_AP50": 1.0, f"{second}_AP50": 1.0},
            "test": {
                f"{first}_AP50": 0.5 + 0.125 * seed + 0.25 * block,
                f"{second}_AP50": 0.25,
            },
            "seconds": 90.0 + 30 * seed,
            "versions": {"machine": "a chip"},
        }
        for seed in (1, 0)
        for block in (True, False)
    ]
    (tmp_path / file).write_text(json.dumps(runs))
    lines = "\n".join(detector_zoo.section(tmp_path)).splitlines()
    rows = [line for line in lines if line.startswith("| with")]
    assert rows == [
        "| without a block | 0.500 (0), 0.625 (1) | 0.562 | 0.250 "
        f"| {first} AP50 1.000 to 1.000, 1.5 to 2.0 min |",
        "| with one block | 0.750 (0), 0.875 (1) | 0.812 | 0.250 "
        f"| {first} AP50 1.000 to 1.000, 1.5 to 2.0 min |",
    ]
    assert "Run on a chip." in lines
