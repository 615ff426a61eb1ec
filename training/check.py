"""Validate a data set and print statistics.

Reads every frame and prints counts, lengths, sizes and classes. Unreadable
videos are listed with their reasons in bad_videos.csv; contact_sheet.png shows
the middle frames of some videos. With --annotations, validates annotations of
images and reads all images.
With --augmented, draws training clips with and without augmentation.
With --dataset abilities, draws generated clips of each ability.
"""

import argparse
import collections
import dataclasses
import io
import pathlib
import statistics
import sys
from collections.abc import Sequence

import numpy as np

from nonlocal_tf.attention.plots import image_grid

from .coco import annotation_check
from .data import (
    augmented_strips,
    bad_videos,
    class_name_warnings,
    clip_strips,
    dataset_options,
)
from .data.abilities import Abilities
from .data.clip_reader import Probe
from .data.data_config import DataConfig
from .data.manifest import Video
from .data.sampling_config import SamplingConfig
from .data.video_dataset import VideoDataset
from .io import atomic_files, cli, outputs, plots, tables
from .io.user_error import UserError
from .recipes import overrides
from .recipes.schema import Recipe, get_recipe

EXAMPLE = "nonlocal-tf check --dataset folder --set data.root=videos"
CONTACT_SHEET, AUGMENTED = "contact_sheet.png", "augmented.png"
GENERATED = "abilities"  # a data set of no videos, which is drawn
COLUMNS, ROWS = 6, 4
TILE_PX = 128
SEED = 2018


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Settings for `--set`."""

    data: DataConfig = DataConfig()
    sampling: SamplingConfig = SamplingConfig()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf check`."""
    parser = cli.parser("check", (__doc__ or "").strip(), EXAMPLE)
    dataset_options.add_arguments(parser)
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="instead of a data set of videos: annotations of images, in "
        "COCO's format",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        default=".",
        help="folder of the annotated images (default: .)",
    )
    parser.add_argument(
        "--augmented",
        metavar="RECIPE",
        nargs="?",
        const="finetune",
        help="instead of statistics, draw clips as a recipe reads them in "
        "training (default: finetune), each below the same without "
        "augmentation; takes --set sampling.*",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="check",
        help="output folder (default: check)",
    )
    options, has_arguments = cli.parse(parser, arguments)
    if not has_arguments:
        print(dataset_options.overview(EXAMPLE))
        return
    if options.annotations is not None:
        if options.dataset is not None or options.set:
            raise UserError(
                "--annotations excludes --dataset and --set. Give --images DIR."
            )
        annotation_check.check(options.annotations, options.images)
        return
    if options.dataset == GENERATED:
        draw_abilities(options)
        return
    if options.augmented is not None:
        draw_augmented(options)
        return
    kind = dataset_options.video_dataset(options.dataset, [GENERATED])
    out = outputs.Outputs(pathlib.Path(options.out))
    for name in (bad_videos.FILE_NAME, CONTACT_SHEET):
        out.check(name)
    config = overrides.apply(CheckConfig(), options.set)
    if config.sampling != SamplingConfig():
        raise UserError("--set sampling.* is for --augmented.")
    # Report bad videos, however many there are.
    data = dataclasses.replace(config.data, max_bad_share=1.0)
    sampling = SamplingConfig(
        frames=1,
        min_short_side_px=TILE_PX,
        crop_px=TILE_PX,
        eval_short_side_px=TILE_PX,
    )
    atomic_files.check_writable_folder(out.folder)
    plots.require_pillow()
    print("Reading all videos.", flush=True)
    dataset = kind(data, sampling)
    dataset.read_all_frames()
    print(report(dataset))
    if dataset.bad:
        path = out.write_text(
            bad_videos.FILE_NAME, bad_videos.as_csv(dataset.bad)
        )
    else:
        out.remove(bad_videos.FILE_NAME)
    image = out.write_bytes(CONTACT_SHEET, contact_sheet(dataset))
    if dataset.bad:
        print(f"\nBad videos are listed in {path}")
        share = len(dataset.bad) / sum(dataset.listed.values())
        if share > config.data.max_bad_share:
            print(
                f"They are {tables.percent(share)}, and training stops at more "
                f"than {tables.percent(config.data.max_bad_share)}: repair or "
                "delete them, or train with a larger --set data.max_bad_share"
            )
    print(f"\nImage written to {image}")


def draw_augmented(options: argparse.Namespace) -> None:
    """Draw training clips without and with a recipe's augmentation."""
    kind = dataset_options.video_dataset(options.dataset)
    recipe = get_recipe(options.augmented)
    if not isinstance(recipe, Recipe) or recipe.sampling is None:
        raise UserError(
            "Expected --augmented with a recipe of videos, such as finetune. "
            f"Received: {options.augmented}"
        )
    out = outputs.Outputs(pathlib.Path(options.out))
    out.check(AUGMENTED)
    config = overrides.apply(CheckConfig(sampling=recipe.sampling), options.set)
    picture = augmented_strips.draw(kind, config.data, config.sampling)
    image = out.write_bytes(AUGMENTED, picture)
    print(
        f"Image written to {image}: the first training clips of seed 0, each "
        "below the same without augmentation"
    )


def draw_abilities(options: argparse.Namespace) -> None:
    """Draw clips of each ability, or of that of `--set data.clips`."""
    out = outputs.Outputs(pathlib.Path(options.out))
    data = overrides.apply(CheckConfig(), options.set).data
    names = clip_strips.strip_names(data)
    for name in names:
        out.check(name)
    for name, config in names.items():
        dataset = Abilities.load(dataclasses.replace(data, clips=config), None)
        picture, labels = clip_strips.draw_strips(config)
        print(f"{config.ability}: {clip_strips.overview(dataset)}")
        path = out.write_bytes(name, picture)
        print(f"  {path}: classes {', '.join(labels)}")


def report(dataset: VideoDataset) -> str:
    """Return statistics of a data set, as text."""
    parts = _good(dataset)
    bad = collections.Counter(b.split for b in dataset.bad)
    rows: list[Sequence[object]] = [("split", "listed", "bad", "good")]
    lengths: list[Sequence[object]] = [
        ("split", "frames", "seconds", "frames a second")
    ]
    all_sizes: list[Sequence[object]] = [("split", "width x height (videos)")]
    for split, listed in dataset.listed.items():
        probes = [probe for _, probe in parts.get(split, [])]
        seconds = [p.times.length_s for p in probes if p.times]
        sizes = collections.Counter(f"{p.width}x{p.height}" for p in probes)
        common = [f"{size} ({n})" for size, n in sizes.most_common(3)]
        if len(sizes) > len(common):
            common.append(f"and {len(sizes) - len(common)} more")
        rows.append((split, listed, bad[split], listed - bad[split]))
        lengths.append(
            (
                split,
                _range([p.frames for p in probes], "{:.0f}"),
                _range(seconds, "{:.1f}"),
                _range([p.fps for p in probes if p.fps], "{:.4g}"),
            )
        )
        all_sizes.append((split, ", ".join(common) or "-"))
    lines = [
        f"Videos of each split\n{tables.render(rows)}\n",
        f"Lengths of good videos: min / median / max\n"
        f"{tables.render(lengths)}\n",
        f"Sizes in pixels, the most frequent first\n"
        f"{tables.render(all_sizes)}\n",
        f"Good videos of each class\n{_balance(dataset)}",
    ]
    notes = _notes(dataset)
    if notes:
        lines += ["", *(f"note: {note}" for note in notes)]
    return "\n".join(lines)


def contact_sheet(dataset: VideoDataset) -> bytes:
    """Draw middle frames of random videos with their classes, as PNG.

    Raises:
        UserError: Pillow is not installed.
    """
    parts = _good(dataset)
    positions = [
        (split, index)
        for split, pairs in parts.items()
        for index in range(len(pairs))
    ]
    np.random.default_rng(SEED).shuffle(positions)
    frames, captions = [], []
    for split, index in positions[: COLUMNS * ROWS]:
        labels = parts[split][index][0].labels
        names = ", ".join(f"{k} {dataset.classes[k]}" for k in labels)
        number = dataset.readable(split)[index]
        frames.append(dataset.centre_clip(split, number)[0])
        captions.append([names or "no label", split])
    content = io.BytesIO()
    try:
        sheet = image_grid.draw_image_grid(frames, captions, COLUMNS)
    except ImportError as error:
        raise UserError(str(error)) from error
    sheet.save(content, format="PNG")
    return content.getvalue()


def _good(dataset: VideoDataset) -> dict[str, list[tuple[Video, Probe]]]:
    """Return the videos of which every frame is readable."""
    return {
        split: [part[index] for index in dataset.readable(split)]
        for split, part in dataset.probes().items()
    }


def _balance(dataset: VideoDataset) -> str:
    """Return a table of the number of good videos per class and split."""
    parts = _good(dataset)
    counts = {
        split: collections.Counter(
            label for video, _ in pairs for label in set(video.labels)
        )
        for split, pairs in parts.items()
    }
    rows: list[Sequence[object]] = [("label", "class", *parts)]
    rows += [
        (label, name, *(counts[split][label] for split in parts))
        for label, name in enumerate(dataset.classes)
    ]
    return tables.render(rows)


def _notes(dataset: VideoDataset) -> list[str]:
    """Return warnings about likely mistakes."""
    parts = _good(dataset)
    notes = []
    trained = {k for video, _ in parts["train"] for k in video.labels}
    missing = [
        name for k, name in enumerate(dataset.classes) if k not in trained
    ]
    if missing:
        notes.append(f"no training video: {', '.join(missing)}")
    notes += dataset.notes()
    short = sum(p.frames == 1 for pairs in parts.values() for _, p in pairs)
    if short:
        notes.append(f"{tables.number_of(short, 'video')} with one frame")
    names = dataset.classes
    warnings = (
        class_name_warnings.flip_note(names),
        class_name_warnings.order_note(names),
    )
    notes += filter(None, warnings)
    unknown_rate = sum(not p.fps for pairs in parts.values() for _, p in pairs)
    if unknown_rate:
        notes.append(
            "without a frame rate: " + tables.number_of(unknown_rate, "video")
        )
    guessed = sum(
        not p.stamped for pairs in parts.values() for _, p in pairs if p.fps
    )
    if guessed:
        notes.append(
            "timestamps are missing or out of order in "
            f"{tables.number_of(guessed, 'video')}, whose times are computed "
            "from the average frame rate"
        )
    return notes


def _range(values: Sequence[float], form: str) -> str:
    """Format the smallest, median and largest value."""
    if not values:
        return "-"
    ends = min(values), statistics.median(values), max(values)
    return " / ".join(form.format(value) for value in ends)


if __name__ == "__main__":
    sys.exit(cli.run(main))
