"""Training of a detector in a run folder."""

import math

from ..coco import annotations, batches, coco_api, coco_scores
from ..coco.annotations import Annotations
from ..io import atomic_files, quoting, tables
from ..io.remote import Path
from ..io.user_error import UserError
from ..loop import checkpointing, distribution
from ..recipes.detection_schema import DetectionRecipe
from ..runs import train_options
from ..runs.run_folder import RunFolder
from . import fitting
from .fitting import Data

# What of a test is shown at the end.
SHOWN = ("AP", "AP50", "AP75")


def train(
    chosen: DetectionRecipe,
    run: RunFolder,
    verbose: int,
    devices: distribution.Devices | None = None,
    every_s: float = math.inf,
) -> dict:
    """Trains what is left of a run and notes its last test.

    Args:
        chosen: the recipe; that of the folder, if it exists.
        run: where everything is written.
        verbose: as for `show_training.ShowTraining`.
        devices: to train on; by default the process's one.
        every_s: seconds between checkpoints within an epoch.

    Returns:
        The result, also in the folder's result.json.

    Raises:
        UserError: something of the recipe, the data or the folder is wrong.
        Preempted: the process was asked to stop, and the run is saved.
    """
    devices = devices or distribution.Devices()
    _check_devices(chosen, devices)
    run.check(chosen)
    result = run.read_result()
    if result is not None:
        print(f"{run.path} is trained: nothing to do.")
        checkpointing.latest(run)  # says whether it diverged
        return result
    atomic_files.check_writable_folder(run.path)
    config = chosen.detector
    coco_api.require(
        masks=config.has_masks,
        scores=chosen.data.validation is not None,
    )
    data = read_data(chosen)
    batches.check(data.train, chosen.batch_config)
    if data.validation is not None:
        coco_scores.check(data.validation, config)
        categories = data.train.categories
        for line in coco_scores.notes(data.validation, categories, config):
            print(f"note: {line}")
    if not run.recipe_path.exists():  # errors come before there is a folder
        fitting.start_from_weights(
            fitting.make_detector(chosen, data.train.categories), chosen
        )
    with run.opened(chosen):
        run.record_versions(devices.replicas)
        history = fitting.fit(chosen, run, data, verbose, devices, every_s)
        result = {
            "recipe": chosen.name,
            "seed": chosen.seed,
            "scores": fitting.scores_of(history[-1]),
            "train_seconds": round(sum(row["seconds"] for row in history), 1),
            "versions": run.read_versions()[-1],
        }
        run.write_result(result)
    return result


def read_data(chosen: DetectionRecipe) -> Data:
    """The annotations of a recipe, checked; says what is wrong with them.

    Raises:
        UserError: a file is not given, or has nothing good in it.
    """
    where = chosen.data
    if where.train is None:
        raise UserError(
            "Give the annotations, in COCO's form: --set data.train=FILE.json "
            "--set data.images=FOLDER"
        )
    train = _read(where.train, where.images)
    validation = None
    if where.validation is not None:
        folder = where.validation_images or where.images
        validation = _read(where.validation, folder)
        coco_scores.with_ids_of(validation, train.categories)
    return Data(train, validation, where.images)


def _read(path: str, folder: str) -> Annotations:
    found = annotations.read(path, folder)
    print(found.summary(), flush=True)
    return found


def _check_devices(
    chosen: DetectionRecipe, devices: distribution.Devices
) -> None:
    if devices.workers > 1:
        raise UserError(
            "Detectors are trained on one machine. Received: TF_CONFIG with "
            f"{devices.workers} workers; unset it."
        )
    if chosen.batch % devices.replicas:
        raise UserError(
            f"Expected batch to be a multiple of {devices.replicas}, the "
            f"devices that it is split over. Received: batch={chosen.batch}"
        )


def summary(
    chosen: DetectionRecipe, run: RunFolder, result: dict, exported: Path | None
) -> str:
    rows = [("run folder", str(run.path))]
    if exported is not None:
        rows.append(("exported", str(exported)))
    scores = result["scores"]
    for kind in ("box", "mask", "keypoint"):
        if f"{kind}_AP" in scores:
            shown = (
                f"{name} {coco_scores.shown(scores[f'{kind}_{name}'])}"
                for name in SHOWN
            )
            rows.append((f"validation, {kind}", ", ".join(shown)))
    if not scores:
        rows.append(("validation", "none (--set data.validation=FILE.json)"))
    workdir = f"--workdir {quoting.shell(run.path)}"
    commands: list[tuple[str, ...]] = [
        ("predict", "predict", "PICTURES", workdir, "--out found"),
        ("evaluate", "evaluate", workdir),
    ]
    if exported is None:
        name = quoting.shell(f"savedmodels/{run.path.resolve().name}")
        commands.append(("export", "export", workdir, f"--out {name}"))
    typed = [
        (title, train_options.command(f"detection.{command}", *rest))
        for title, command, *rest in commands
    ]
    return (
        f"\n{chosen.name}\n{tables.render(rows)}\n\nTry next\n"
        f"{tables.render(typed)}"
    )
