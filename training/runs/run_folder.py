"""Files of a run folder: recipe, versions, metrics and checkpoints.

recipe.json     the resolved recipe
versions.json   one entry each time the run was started or resumed
metrics.csv     one row an epoch
weights.json    files that the weights started from
data.json       classes and shapes of the data, to build the network
classes.json    label of each class name
training_files.csv  the training files, which must not change
bad_videos.csv  unreadable videos, with reasons; bad_images.csv of a detector
result.json     scores of the trained network; its presence ends the run
report.md       report of the run, with curves.png
checkpoints/    the last two
tests/          scores and metrics of nonlocal-tf evaluate
image_stage/    run folder of the image network, if the recipe has one

The folder may be at a URL such as s3://bucket/run. Object stores have no locks:
start one process at a time there.
"""

import contextlib
import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ..data import BadVideo, bad_videos
from ..data.data_files import DataFile
from ..data.dataset_info import DatasetInfo
from ..io import atomic_files, json_text, paths
from ..io.paths import UrlPath
from ..io.user_error import UserError
from ..io.versions import versions
from ..recipes import overrides, trusted_cache
from ..recipes.schema import BaseRecipe
from . import provenance, run_shapes, training_files

# Of a run: nothing is written through links in their place.
FOLDERS = (
    "checkpoints",
    "image_stage",
    "tests",
    "tensorboard/train",
    "tensorboard/validation",
)


class Data(Protocol):
    """Training data of a run."""

    @property
    def info(self) -> DatasetInfo:
        """Classes and shapes."""

    @property
    def bad(self) -> Sequence[BadVideo]:
        """Inputs that cannot be read."""

    def fingerprint(self) -> str | None:
        """Return a digest, as older versions of the code stored it."""

    def training_files(self) -> list[DataFile] | None:
        """List the training files; None if code generates the data."""

    def held_out(self) -> dict[str, list[DataFile]]:
        """List the files of each other split, where those can change."""


class RunFolder:
    """Paths and records of one run; writes nothing until it is `opened`.

    Args:
        path: of the folder, or its URL.
    """

    def __init__(self, path: str | os.PathLike | UrlPath):
        self.path = paths.as_path(path)
        self.recipe_path = self.path / "recipe.json"
        self.versions_path = self.path / "versions.json"
        self.metrics_path = self.path / "metrics.csv"
        self.result_path = self.path / "result.json"
        self.provenance_path = self.path / "weights.json"
        self.data_path = self.path / "data.json"
        self.classes_path = self.path / "classes.json"
        self.training_files_path = self.path / "training_files.csv"
        self.checkpoints = self.path / "checkpoints"
        self.image_stage = self.path / "image_stage"

    @contextlib.contextmanager
    def opened(self, recipe: BaseRecipe) -> Iterator[None]:
        """Create or reopen the folder, and lock it against other processes.

        Raises:
            UserError: the folder holds another run or something else, or
                another process is training in it.
        """
        self.check(recipe)
        with atomic_files.locked(self.path):
            self.check(recipe)  # it may have been started in between
            self.check_links()
            if not self.recipe_path.exists():
                atomic_files.write_text(
                    self.recipe_path, overrides.to_json(recipe)
                )
            self.checkpoints.mkdir(exist_ok=True)
            atomic_files.remove_scratch(self.checkpoints, stale_s=0)
            yield

    def read_recipe(self, kind: type[BaseRecipe] = BaseRecipe) -> Any:
        """Read the recipe of an existing run.

        Args:
            kind: class of recipes, of one task or of all.

        Raises:
            UserError: there is no run here, or its recipe cannot be read, or
                is of another task.
        """
        if not self.recipe_path.is_file():
            raise UserError(
                f"{self.path} is not a run folder: it has no recipe.json. "
                "Give the --workdir of a nonlocal-tf train command."
                f"{_hint(self.path)}"
            )
        self._check_files()
        try:
            text = self.recipe_path.read_text("utf-8")
            recipe = overrides.from_json(text)
        except overrides.OtherVersionError as error:
            raise UserError(
                f"{self.recipe_path}: {error}. Another version began this "
                "run: train in a new --workdir, or use that version."
            ) from error
        except (UserError, UnicodeDecodeError) as error:
            raise UserError(f"{self.recipe_path}: {error}") from error
        if not isinstance(recipe, kind):
            raise UserError(
                f"This is not supported for recipe {recipe.name!r}, which is "
                f"of another task. Received: the run {self.path}"
            )
        return trusted_cache.without_foreign_cache(recipe, self.recipe_path)

    def _check_files(self) -> None:
        """Raise a UserError for a file whose reading would never end."""
        if isinstance(self.path, pathlib.Path):
            for path in (*self.path.iterdir(), *self.path.glob("tests/*/*")):
                if atomic_files.is_endless(path):
                    raise UserError(
                        f"{path} cannot be read: {atomic_files.ENDLESS}. "
                        "Delete it."
                    )

    def check_links(self) -> None:
        """Raise a UserError for a folder that is a link out of the run."""
        for name in FOLDERS:
            atomic_files.check_inside(self.path / name, self.path)

    def record_versions(self, devices: int = 1) -> None:
        """Append this start and its number of devices to versions.json."""
        starts = [*self.read_versions(), {**versions(), "devices": devices}]
        atomic_files.write_text(
            self.versions_path, json.dumps(starts, indent=2)
        )

    def read_versions(self) -> list[dict]:
        """Read versions and machine of each start of the run."""
        return _read_json(self.versions_path, [], run_shapes.VERSIONS)

    def write_metrics(self, history: list[dict]) -> None:
        """Rewrite metrics.csv from all rows so far."""
        text = io.StringIO()
        # Rows of older versions of the code have fewer columns.
        names = list(dict.fromkeys(name for row in history for name in row))
        writer = csv.DictWriter(text, fieldnames=names)
        writer.writeheader()
        writer.writerows(history)
        atomic_files.write_text(self.metrics_path, text.getvalue())

    def check_data(self, dataset: Data) -> None:
        """Record the training data, or compare it with the recorded data.

        Raises:
            UserError: files to train on came, went or changed since the run
                began, or classes did; the message names them.
        """
        before = _read_json(self.data_path, None, run_shapes.DATA)
        info, now = dataset.info, dataset.training_files()
        if before is not None:
            self._check_classes(before["classes"], info.classes)
            self._check_training_files(before, dataset, now)
            self._note_held_out(before.get("held_out", {}), dataset)
        if before is None or "element_shape" not in before:
            if now is not None:
                text = training_files.to_csv(now)
                atomic_files.write_text(self.training_files_path, text)
            labels = {name: label for label, name in enumerate(info.classes)}
            _write_json(self.classes_path, labels)
            held_out = _digests(dataset)
            kept = {**dataclasses.asdict(info), "held_out": held_out}
            _write_json(self.data_path, kept)

    def read_info(self) -> DatasetInfo | None:
        """Read classes and shapes of the data; None in an older run."""
        kept = _read_json(self.data_path, {}, run_shapes.DATA)
        if kept.get("element_shape") is None:
            return None
        return DatasetInfo(
            tuple(kept["classes"]),
            tuple(kept["element_shape"]),
            bool(kept.get("multi_label")),
            kept.get("description") or "",
            kept.get("summary") or "",
        )

    def read_training_files(self) -> list[DataFile]:
        """Read the list of training files; empty in an older run."""
        path = self.training_files_path
        if not path.exists():
            return []
        # Text files lose carriage returns, which names may have.
        return training_files.from_csv(path.read_bytes().decode("utf-8"), path)

    def keep_data_paths(self, recipe: BaseRecipe) -> None:
        """Store the current data paths in the recipe, after `check_data`."""
        if overrides.differences(self.read_recipe(), recipe):
            atomic_files.write_text(self.recipe_path, overrides.to_json(recipe))

    def _note_held_out(self, before: dict, dataset: Data) -> None:
        """Print which held-out splits have changed since the run began."""
        now = _digests(dataset)
        other = [split for split in before if before[split] != now.get(split)]
        if other:
            print(
                f"note: {' and '.join(other)}: not the files that {self.path} "
                "began with, so its figures before and after differ in that too"
            )

    def _check_classes(self, before: Sequence[str], now: Sequence[str]) -> None:
        if list(before) == list(now):
            return
        removed = [name for name in before if name not in now]
        new = [name for name in now if name not in before]
        how = "; ".join(
            f"{kind}: {', '.join(names)}"
            for kind, names in (("gone", removed), ("new", new))
            if names
        )
        raise UserError(
            f"The classes are not those that {self.path} began with: "
            f"{how or 'they come in another order'}. Put them back, or train "
            "in a new --workdir."
        )

    def _check_training_files(
        self,
        before: dict,
        dataset: Data,
        now: Sequence[DataFile] | None,
    ) -> None:
        if now is None:
            return
        how = ""
        if self.training_files_path.exists():
            bad = {b.path for b in dataset.bad if b.split == "train"}
            held_out = dataset.held_out().values()
            names = {file.name for split in held_out for file in split}
            how = training_files.differences(
                self.read_training_files(), now, bad, names
            )
        elif before.get("sha256") != dataset.fingerprint():
            how = "an older version of the code began it, and kept no names"
        if how:
            raise UserError(
                f"The training data is not what {self.path} began with: {how}. "
                "Put it back, or train in a new --workdir."
            )

    def bad_inputs_path(self, inputs: str = "videos", worker: int = 0) -> Any:
        """Path of the list of bad inputs of a worker.

        Args:
            inputs: "videos" or "images".
            worker: number of the process.
        """
        suffix = f"_worker{worker}" if worker else ""
        return self.path / f"bad_{inputs}{suffix}.csv"

    def add_bad_inputs(
        self,
        bad: Sequence[BadVideo],
        inputs: str = "videos",
        worker: int = 0,
    ) -> None:
        """Add to the list of inputs that are left out.

        Inputs that an earlier start has listed stay in it.
        """
        path = self.bad_inputs_path(inputs, worker)
        listed = {
            (b.split, b.path): b for b in bad_videos.read_bad_videos(path)
        }
        listed |= {(b.split, b.path): b for b in bad}
        bad_videos.write_bad_videos(path, list(listed.values()))

    def write_provenance(
        self, sources: Sequence[provenance.WeightSource]
    ) -> None:
        """Write the provenance of the start weights."""
        rows = [dataclasses.asdict(origin) for origin in sources]
        atomic_files.write_text(
            self.provenance_path, json.dumps(rows, indent=2)
        )

    def read_provenance(self) -> list[provenance.WeightSource] | None:
        """Read the provenance of the start weights; None in an older run."""
        rows = _read_json(self.provenance_path, None, run_shapes.ORIGINS)
        if rows is None:
            return None
        return [
            provenance.WeightSource(row["file"], row["format"]) for row in rows
        ]

    def write_result(self, result: dict) -> None:
        """Write result.json, which marks the run as finished."""
        atomic_files.write_text(self.result_path, json.dumps(result, indent=2))

    def read_result(self) -> dict | None:
        """Read the result of a finished run; None without one."""
        return _read_json(self.result_path, None, run_shapes.RESULT)

    def check(self, recipe: BaseRecipe) -> None:
        """Raise a UserError unless the folder is new, empty or of this run."""
        if self.recipe_path.exists():
            self._check_same(recipe)
        elif self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file, not a run folder.")
        elif self.path.exists() and any(
            not path.name.startswith(".") for path in self.path.iterdir()
        ):
            raise UserError(
                f"{self.path} is neither empty nor a run folder (it has no "
                "recipe.json). Give another --workdir."
            )

    def _check_same(self, recipe: BaseRecipe) -> None:
        stored = self.read_recipe()
        if stored.name != recipe.name:
            raise UserError(
                f"{self.path} holds a run of recipe {stored.name!r}, not "
                f"{recipe.name!r}. Give another --workdir."
            )
        changed = overrides.differences(stored, recipe, ignore_data_paths=True)
        if changed:
            raise UserError(
                f"{self.path} holds a run with other settings (there, here): "
                f"{'; '.join(changed)}. Give --workdir alone to resume it, or "
                "another --workdir."
            )


def _hint(path: paths.Path) -> str:
    """Return a hint if a folder is a SavedModel."""
    if isinstance(path, UrlPath):  # some cannot be listed
        return ""
    folders = [path, *path.glob("[0-9]*")]
    if any((folder / "saved_model.pb").is_file() for folder in folders):
        return " (This is a SavedModel: give the run it was exported from.)"
    return ""


def _digests(dataset: Data) -> dict[str, str]:
    """Return the digest of each split that is not trained on."""
    return {
        split: training_files.digest(rows)
        for split, rows in dataset.held_out().items()
    }


def _write_json(path: paths.Path, content: object) -> None:
    atomic_files.write_text(
        path, json.dumps(content, indent=2, ensure_ascii=False)
    )


def _read_json(path: paths.Path, default, shape):
    if not path.exists():
        return default
    try:
        return json_text.parse_as(path.read_bytes(), shape)
    except ValueError as error:
        raise UserError(
            f"{path} cannot be read ({error}). Delete it and run the same "
            "command again."
        ) from error
