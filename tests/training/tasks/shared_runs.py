"""Short runs of each task, with what tasks have in common."""

import contextlib
import json

import nonlocal_tf as nl
from nonlocal_tf.detection import backbone
from tests.training.tasks import small_run
from training import train
from training.recipes import get_recipe, overrides

# Moving averages, gradient accumulation, gradient clipping, the best epoch.
SETTINGS = (
    "training.ema_decay=0.5",
    "training.micro_batches=2",
    "optimizer.clip_norm=0.5",
    "training.keep=best",
)


def options_of(recipe, folder, *settings, validation=True):
    """Return arguments of a training of some steps."""
    if recipe == "small":
        return small_run.options(
            folder / "set", *settings, validation=validation
        )
    short = ("steps=3", "epoch_steps=2", "batch=8", *settings)
    return ["--recipe=digits_image", *(f"--set={text}" for text in short)]


def start_weights(recipe, folder):
    """Write start weights to a file; return the setting that names it."""
    path = folder / "start.keras"
    if recipe == "small":
        config = overrides.override(get_recipe(recipe), small_run.SETTINGS)
        backbone.build_classifier(config.detector, num_classes=3).save(path)
        return f"start.weights={path}"
    shape = (32, 32, 3)
    nl.create_model("image_small", num_classes=5, image_shape=shape).save(path)
    return f"model.weights={path}"


def train_and_export(recipe, folder):
    """Write a run, its export, its options and what training prints."""
    start = start_weights(recipe, folder)
    options = options_of(recipe, folder, *SETTINGS, start)
    (folder / "options.json").write_text(json.dumps(options))
    run, models = folder / "run", folder / "models"
    with (
        open(folder / "printed.txt", "w") as printed,
        contextlib.redirect_stdout(printed),
    ):
        train.main(
            [*options, f"--workdir={run}", f"--export={models}", "--verbose=2"]
        )
