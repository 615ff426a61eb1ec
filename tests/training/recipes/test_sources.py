"""References of the recipes to the paper, its code, SlowFast and Charades.

Facts are typed from those sources, as `training/recipes` cites them.
"""

import pathlib
import re

import pytest

from training.data.sampling_config import SamplingConfig, ViewsConfig
from training.recipes import (
    RECIPES,
    catalogue,
    charades,
    get_recipe,
    kinetics400,
    slowfast,
)
from training.reproduce import model_zoo

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "pages" / "paper.md"


def one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    "fact",
    [
        "theta, phi, g and W_z are drawn from N(0, 0.01)",
        "scaled by d^-1/2",
        "pool of a block comes before phi and g",
        "take 2 frames, that after conv1 1 for 8x8 and 32x4",
        "on short clips of the same graph, and with a new classifier",
        "blocks in res3 work on groups of 4 frames",
        "blocks have no normalization",
        "Nesterov's momentum, no weight decay of batch normalizations, a last "
        "scale",
        "precise BN",
        "3 crops of each clip, not on whole frames",
    ],
)
def test_where_paper_and_code_differ_is_listed(fact):
    text = one_line(kinetics400.__doc__)
    listed = text.split("Where the paper and the code differ")[1]
    assert fact in listed
    assert len(re.findall(r" \d\. ", listed)) == 9


@pytest.mark.parametrize(
    "choice", ["ten blocks of ResNet-101", "along time alone"]
)
def test_what_neither_says_is_called_a_choice(choice):
    text = one_line(kinetics400.__doc__)
    ours = text.split("are our choice, as neither says")[1].split("Where")[0]
    assert choice in ours


def test_the_order_of_an_epoch_is_not_called_a_difference():
    text = one_line(kinetics400.__doc__)
    assert "repeats one" not in text
    assert "shuffled their list 100 times" in text


@pytest.mark.parametrize(
    "text",
    [
        kinetics400.__doc__,
        model_zoo.REFERENCES,
        catalogue.FOOTER,
        PAGE.read_text("utf-8"),
    ],
    ids=["recipes", "MODEL_ZOO", "--list", "docs"],
)
def test_whole_frames_are_the_papers_test_and_crops_its_codes(text):
    text = one_line(text).replace("`", "")
    views = {
        "--views 10x1 --full-frame": "whole frames",
        "--views 10x3": "README",
    }
    for option, word in views.items():
        positions = [match.start() for match in re.finditer(option, text)]
        assert any(
            word in text[max(place - 150, 0) : place + 150]
            for place in positions
        )
    assert "10x3 # as the paper tests" not in text


@pytest.mark.parametrize("config", [SamplingConfig, ViewsConfig])
def test_defaults_of_the_code_are_not_called_the_papers(config):
    assert "The defaults are those of the authors' code" in config.__doc__


def test_numbers_of_slowfast_are_of_its_schedule():
    """pytorchvideo's zoo; SlowFast's own has files trained in Caffe2."""
    expected = {
        "slowfast_c2d_r50_8x8": "71.46 / 89.68 %",
        "slowfast_i3d_r50_8x8": "73.27 / 90.70 %",
        "slowfast_i3d_nl5_r50_8x8": "none published",
    }
    for name, number in expected.items():
        assert get_recipe(name).reference.expected.startswith(number)
        assert f"| {name} |" in model_zoo.render({})
        assert name in catalogue.catalogue()
    text = one_line(slowfast.__doc__)
    assert "73.5 / 90.8 and 74.0 / 91.1 %, were trained in Caffe2" in text


def test_c2d_of_slowfast_is_trained_as_its_i3d():
    c2d, i3d = (get_recipe(f"slowfast_{n}_r50_8x8") for n in ("c2d", "i3d"))
    for field in ("optimizer", "batch", "steps", "sampling", "views"):
        assert getattr(c2d, field) == getattr(i3d, field)
    assert (c2d.model.stem, c2d.model.name) == ("slowfast", "c2d_r50")


@pytest.mark.parametrize(
    "fact",
    [
        "mean over the 157 classes",
        "those of the actions that overlap it",
        "174 training videos without an action are trained on as negatives",
        "49 of the 1,863",
    ],
)
def test_choices_for_charades_are_named(fact):
    ours = one_line(charades.__doc__).split("Ours are:")[1]
    assert fact in ours


def test_numbers_of_charades_say_what_they_are_trained_on():
    for name in RECIPES:
        if name.startswith("charades"):
            expected = get_recipe(name).reference.expected
            assert "(train/val)" in expected and "(trainval/test)" in expected
