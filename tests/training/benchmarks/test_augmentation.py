"""The benchmark of augmentation: its cases, and what its figures mean."""

import json
import pathlib

from training.benchmarks import augmentation
from training.data.sampling_config import AUGMENTATION

# Settings of others, which cost nothing by themselves.
NOT_TIMED = {"flip_pairs", "crop_ratio", "magnitude"}


def test_each_augmentation_is_timed():
    timed = {name for case in augmentation.CASES.values() for name in case}
    assert timed >= {*AUGMENTATION, *augmentation.MIXING} - NOT_TIMED


def test_x_is_the_median_over_rounds():
    seconds = {"none": [0.1, 0.2, 0.4], "grey=0.2": [0.2, 0.25, 0.4]}
    text = augmentation.render(
        {"machine": "CPU", "videos": ["a.mp4"], "seconds": seconds}
    )
    assert "| none | 5.0 | 1.00 |" in text
    assert "| grey=0.2 | 4.0 | 0.80 |" in text
    assert "3 rounds" in text


def test_the_readme_has_the_figures():
    folder = pathlib.Path(augmentation.__file__).parent
    result = json.loads((folder / "augmentation.json").read_text("utf-8"))
    text = (folder / "README.md").read_text("utf-8")
    assert augmentation.render(result) in text
