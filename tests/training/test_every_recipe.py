"""One training step of every kind of recipe, on small synthetic data.

Recipes that differ in numbers alone (depth, number and place of blocks, rates,
sizes) take the same step in a tiny network. One recipe of each kind is trained,
with one residual block per stage except for `WHOLE`. That the network of each
recipe can be built is tested in `recipes/test_networks.py`.
"""

import csv
import functools

import pytest

from nonlocal_tf.models import backbones, registry, video_resnet
from tests.training.data import films
from training import train
from training.recipes import get_recipe
from training.recipes.schema import Recipe, names_of
from training.runs.run_folder import RunFolder

# Trained in the default tests too.
QUICK = ("digits_image",)
# In CI: one of the paper's; for folders of videos and multi-label data see
# test_video_runs.py. The others, which share their code, are in
# `make test-full`.
IN_CI = ("k400_i3d_nl5_r50_128x1",)
# Trained with all of its residual blocks.
WHOLE = ("k400_i3d_nl5_r50_32x2", "finetune_pretrained")


def kind(recipe: Recipe) -> tuple:
    """Return the settings that decide the computation of a step."""
    if recipe.reference is None:
        return (recipe.name,)
    backbone, *blocks, _ = recipe.model.name.split("_")
    block = recipe.model.nonlocal_block
    return (
        backbone,
        bool(blocks),
        block and block.pairwise,
        block and block.axes,
        recipe.model.inflation,
        recipe.model.norm or "batch",
        recipe.dataset,
        recipe.optimizer.schedule,
    )


def kinds() -> dict[tuple, str]:
    """Choose a recipe of each kind, preferably a quick one."""
    names = [*QUICK, *WHOLE, *names_of(Recipe)]
    recipe_of_kind: dict[tuple, str] = {}
    for name in names:
        recipe_of_kind.setdefault(kind(get_recipe(name)), name)
    return recipe_of_kind


STEPPED = kinds()


def test_every_kind_of_recipe_is_trained():
    assert {kind(get_recipe(name)) for name in names_of(Recipe)} == set(STEPPED)
    assert {*QUICK, *IN_CI} <= set(STEPPED.values())
    # Only numbers differ within a kind.
    for name in names_of(Recipe):
        recipe, stepped = (
            get_recipe(name),
            get_recipe(STEPPED[kind(get_recipe(name))]),
        )
        assert bool(recipe.model.nonlocal_block) == bool(
            stepped.model.nonlocal_block
        )
        assert type(recipe.views) is type(stepped.views)
        assert recipe.training.precision == stepped.training.precision


def folders(root):
    for name in ("a/1", "a/2", "b/1", "b/2"):
        films.write_film(root / f"{name}.mkv", 9)
    return [f"data.root={root}"]


def kinetics(root):
    rows = []
    for index, label in enumerate(("jogging", "juggling balls") * 2):
        films.write_film(root / label / f"clip{index}_000003_000013.mp4", 40)
        rows.append((label, f"clip{index}", 3, 13))
    path = root / "clips.csv"
    with open(path, "w", newline="") as file:
        columns = ("label", "youtube_id", "time_start", "time_end")
        csv.writer(file).writerows([columns, *rows])
    return [f"data.root={root}"] + [
        f"data.{split}={path}" for split in ("train", "validation")
    ]


def charades(root):
    names = ("AAAAA", "BBBBB", "CCCCC", "DDDDD")
    for name in names:
        films.write_film(root / f"{name}.mp4", 40)
    classes, path = root / "classes.txt", root / "videos.csv"
    classes.write_text("c000 Holding a cup\nc001 Closing a door\n")
    actions = "c000 0.00 1.20;c001 0.40 1.60"
    lines = [f"{name},{actions}" for name in names]
    path.write_text("\n".join(["id,actions", *lines]) + "\n")
    return [f"data.root={root}", f"data.classes={classes}"] + [
        f"data.{split}={path}" for split in ("train", "validation")
    ]


DATA = {"folder": folders, "kinetics": kinetics, "charades": charades}


def small(recipe: Recipe, root) -> list[str]:
    """Return settings that make a step of a recipe cheap."""
    stages = ["", "image_stage."] if recipe.image_stage else [""]
    settings = [
        f"{stage}{field}"
        for stage in stages
        for field in ("steps=1", "epoch_steps=1", "batch=8")
    ]
    settings.append("optimizer.warmup_steps=0")
    if recipe.data is not None:
        settings += DATA[recipe.dataset](root)
        settings += [
            "sampling.min_short_side_px=64",
            "sampling.max_short_side_px=64",
            "sampling.crop_px=64",
        ]
    if recipe.reference is not None:
        settings += tiny(recipe)
    elif recipe.model.start != "scratch":
        settings.append("model.start=scratch")
    return settings


def tiny(recipe: Recipe) -> list[str]:
    """Return settings that make a step of the paper's networks cheap."""
    # Two groups of four frames where blocks attend within groups.
    frames = {"8x8": 4, "32x2": 16, "32x4": 16, "128x1": 64}
    settings = [
        "batch=2",
        "model.width=4",
        "model.start=scratch",
        f"sampling.frames={frames[recipe.model.sampling]}",
        "sampling.eval_short_side_px=64",
        "views.clips=1",
        "views.short_side_px=64",
        "views.crop_px=64",
    ]
    if recipe.training.precise_bn_batches:
        settings.append("training.precise_bn_batches=1")
    return settings


def shallow(name: str):
    """Return a builder of a network with one residual block per stage."""
    backbone, *blocks, _ = name.split("_")
    places: backbones.Places = {"res3": (0,), "res4": (0,)} if blocks else {}
    spec = backbones.resnet_config(backbone, (1, 1, 1, 1), places)
    return functools.partial(video_resnet.video_resnet, spec, name=name)


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name in QUICK:
        return []
    return [pytest.mark.slow if name in IN_CI else pytest.mark.full]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks(name)) for name in STEPPED.values()]
)
def test_every_recipe_trains_a_step(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = get_recipe(name)
    if recipe.reference is not None and name not in WHOLE:
        network = recipe.model.name
        monkeypatch.setitem(registry.MODELS, network, shallow(network))
    settings = small(recipe, tmp_path / "videos")
    train.main(
        [f"--recipe={name}", f"--workdir={tmp_path / 'run'}", "--verbose=0"]
        + [f"--set={setting}" for setting in settings]
    )
    assert RunFolder(tmp_path / "run").read_result()["recipe"] == name
