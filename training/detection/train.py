"""Trains a detector into a run folder; the same command resumes it."""

import math
import sys
from collections.abc import Sequence

from ..coco import annotations, batches, coco_api, coco_scores
from ..coco.annotations import Annotations
from ..io import atomic_files, cli, quoting, tables
from ..io.remote import Path
from ..io.user_error import UserError
from ..loop import checkpointing, distribution
from ..loop.preemption import Preempted, sigterm
from ..recipes import coco, detection_schema, overrides
from ..recipes.detection_schema import DetectionRecipe
from ..runs import train_options
from ..runs.run_folder import RunFolder
from . import export, fitting, trained
from .fitting import Data

EXAMPLE = (
    "python -m training.detection.train --recipe small --set "
    "data.train=annotations.json --set data.pictures=pictures"
)
# What of a test is shown at the end.
SHOWN = ("AP", "AP50", "AP75")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.train`."""
    parser = cli.parser(
        "training.detection.train",
        "Trains a detector on annotations in COCO's form. --workdir alone "
        "resumes a run that\nwas stopped, and does nothing if it is done. "
        "Without arguments: lists the recipes.",
        EXAMPLE,
    )
    train_options.add(parser)
    options, given = cli.parse(parser, arguments)
    if options.list or not given:
        print(catalogue())
        return
    chosen = train_options.chosen(
        options, detection_schema.KIND, detection_schema.get_recipe
    )
    settings = options.set
    if options.seed is not None:
        settings = [*settings, f"seed={options.seed}"]
    chosen = detection_schema.override(chosen, settings)
    if options.print:
        print(overrides.to_json(chosen))
        return
    run = RunFolder(
        options.workdir or f"runs/{chosen.name}", detection_schema.KIND
    )
    out = train_options.export_place(options, run)
    if out is not None:  # what is wrong with it is said now, not at the end
        export.check_out(out)
    devices = distribution.choose(options.devices)
    verbose = train_options.verbosity(options)
    again = train_options.resume(run, options, "detection.train")
    if verbose:
        print("Reading the annotations and building the network.")
    try:
        with sigterm.handled():
            result = train(
                chosen, run, verbose, devices, 60 * options.checkpoint_minutes
            )
    except Preempted:
        saved = run.recipe_path.exists()
        print("\nStopped by SIGTERM." + f" To go on: {again}" * saved)
        return
    except KeyboardInterrupt:
        print(f"\nTo go on from the last checkpoint: {again}")
        raise
    exported = None
    if out is not None:
        exported = export.export(trained.of_run(run.path), out)
    print(_summary(chosen, run, result, exported))


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
            "--set data.pictures=FOLDER"
        )
    train = _read(where.train, where.pictures)
    validation = None
    if where.validation is not None:
        folder = where.validation_pictures or where.pictures
        validation = _read(where.validation, folder)
        coco_scores.with_ids_of(validation, train.categories)
    return Data(train, validation, where.pictures)


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


def catalogue() -> str:
    """All recipes, with what they are to reach."""
    rows = []
    for found in detection_schema.RECIPES.values():
        reference = found.reference
        expected = (
            f"{reference.table}: {reference.expected}" if reference else ""
        )
        rows.append((found.name, found.description, expected))
    return (
        f"{tables.render(rows)}\n\nNumbers are those of the paper, on COCO; "
        "they were not run here. What they need, and what is\nour choice: "
        f"python -m pydoc {coco.__name__}\n\nExample:\n  {EXAMPLE}"
    )


def _summary(
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
        (title, train_options.module(f"detection.{name}", *rest))
        for title, name, *rest in commands
    ]
    return (
        f"\n{chosen.name}\n{tables.render(rows)}\n\nTry next\n"
        f"{tables.render(typed)}"
    )


if __name__ == "__main__":
    sys.exit(cli.run(main))
