"""Runs on tiny videos with random weights, for tests of evaluation."""

import functools

import keras
import numpy as np
import pytest

from nonlocal_tf import models
from nonlocal_tf.models import backbones, video_resnet
from tests.training.data import films, fixtures
from training.data import datasets
from training.data.data_config import DataConfig
from training.data.sampling_config import SamplingConfig
from training.io import atomic_files
from training.loop import checkpointing
from training.recipes import overrides
from training.recipes.schema import ModelConfig, OptimizerConfig, Recipe
from training.runs import run_model
from training.runs.run_folder import RunFolder

SHALLOW = "shallow_r50"
# Deliberately not sorted.
CLASSES = tuple("dgbface")
# Scaled from odd sides to odd sides, no pixel lies halfway between two values,
# which float32 may round the other way.
SIZE = (35, 37)


@pytest.fixture(scope="module")
def shallow():
    """A registered network of the paper with one block per stage."""
    spec = backbones.resnet_config("i3d", (1, 1, 1, 1), {"res3": (0,)})
    builder = functools.partial(video_resnet.video_resnet, spec, name=SHALLOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.registry.MODELS, SHALLOW, builder)
        yield ModelConfig(SHALLOW, sampling="8x8", width=4)


def write_lists(root, videos):
    """Write lossless videos with mmaction2's lists.

    Args:
        root: folder of videos and lists.
        videos: (split, labels, frames) each; frames is a number or pixels.

    Returns:
        The data settings, and the paths of the test videos.
    """
    lines = {"train": [], "val": [], "test": []}
    for number, (split, labels, frames) in enumerate(videos):
        if isinstance(frames, int):
            frames = films.pictures(frames, SIZE, seed=number)
        name = f"{split} {number}.mkv".replace(" ", "_")
        films.write_film(root / name, frames, "ffv1", "bgr0")
        lines[split].append(f"{name} {labels}")
    data = DataConfig(
        root=str(root),
        train=fixtures.write(root / "train.txt", *lines["train"]),
        test=fixtures.write(root / "test.txt", *lines["test"]),
        max_bad_share=0.9,
        classes=fixtures.write(root / "classes.txt", *CLASSES),
    )
    return data, [root / line.split()[0] for line in lines["test"]]


def sampled(crop_px, frames=2, frame_stride=3):
    """Return a sampling configuration with one scale."""
    return SamplingConfig(
        frames=frames,
        frame_stride=frame_stride,
        min_short_side_px=crop_px,
        max_short_side_px=crop_px,
        crop_px=crop_px,
        eval_short_side_px=crop_px,
    )


def make_run(path, data, sampling, model=None, views=None, scale=0.05):
    """Make a run with random weights and clearly different scores."""
    recipe = Recipe(
        name="made",
        description="",
        dataset="mmaction2",
        model=model or ModelConfig("c2d_nl1_small"),
        optimizer=OptimizerConfig(base_lr=0.1),
        batch=1,
        steps=1,
        epoch_steps=1,
        data=data,
        sampling=sampling,
        views=views,
    )
    run = RunFolder(path)
    run.checkpoints.mkdir(parents=True)
    atomic_files.write_text(run.recipe_path, overrides.to_json(recipe))
    save(run, recipe, scale)
    return run


def save(run, recipe, scale=0.05, epoch=1):
    """Write the checkpoint of an epoch with random weights."""
    keras.utils.set_random_seed(0)
    dataset = datasets.load(recipe.dataset, recipe.data, recipe.sampling)
    network = run_model.build_model(recipe, dataset)
    run_model.compile_model(network, recipe, dataset)
    randomise(network, scale, epoch)
    checkpointing.save(network, run.checkpoints, [{"seconds": 0.0}] * epoch)


def randomise(network, scale=0.05, seed=1):
    """Perturb all weights, so that scores depend on the pixels."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        value = np.asarray(weight)
        noise = rng.normal(size=value.shape) * 0.1
        if weight.path.startswith("logits/kernel"):
            noise = rng.normal(size=value.shape) * scale
        if "variance" in weight.path:  # stays positive
            noise = np.abs(noise)
        weight.assign(value + noise)
