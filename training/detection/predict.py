"""Finds objects in pictures: JSON, and the pictures with what was found.

Files of earlier calls are replaced; a file of yours is not: a drawing then gets
another name, such as a_2.png.

DIR/detections.json
    {"model": ..., "pictures": [
      {"path": ..., "height": ..., "width": ..., "drawn": FILE.png, "objects": [
        {"class": ..., "score": ..., "box": [x1, y1, x2, y2],
         "mask": {"size": [height, width], "counts": [run lengths]},
         "keypoints": [{"name": ..., "x": ..., "y": ..., "score": ...}, ...]},
        ...]},
      {"path": ..., "error": "why it could not be looked at"}]}

Boxes and keypoints are in pixels of the picture, turned as its EXIF says; run
lengths are COCO's. A keypoint's score is a logit.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from nonlocal_tf.detection import Detections

from ..coco import drawing, image_files, rle, trained_detector
from ..coco.annotations import Category
from ..coco.trained_detector import TrainedDetector
from ..io import atomic_files, cli, outputs, paths
from ..io.paths import Path
from ..io.progress import say
from ..io.user_error import UserError
from ..tasks import detector_setup

EXAMPLE = (
    "python -m training.detection.predict photo.jpg --weights "
    "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --out found"
)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
SHOWN_SCORE, SHOWN = 0.5, 8
FOUND = "detections.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.predict`."""
    options, given = _parse(arguments)
    if not given:
        print(cli.overview_of_runs(EXAMPLE))
        return
    if not options.images:
        raise UserError("Give pictures, or folders of them.")
    image_paths = find(options.images)
    read = [*image_paths, *filter(None, (options.workdir, options.weights))]
    out = outputs.Outputs(paths.as_path(options.out), read)
    atomic_files.check_writable_folder(out.folder)
    out.check(FOUND)
    drawing.require()
    model = load(options)
    rows = []
    try:
        for row in _rows(model, image_paths, out, options.score_threshold):
            rows.append(row)
            print(_line(row, options.score_threshold), flush=True)
    finally:  # also what was found before someone stopped it
        out.write_text(FOUND, _text(model, rows))
    failures = [row["error"] for row in rows if "error" in row]
    read_count = len(rows) - len(failures)
    print(f"{read_count} pictures looked at: {out.folder / FOUND}")
    cli.list_failures(failures, len(rows))


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which detector."""
    parser.add_argument("--workdir", metavar="DIR", help="run folder")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="instead: a Mask or Keypoint R-CNN of torchvision or detectron2 "
        "that was trained on COCO",
    )


def load(options: argparse.Namespace) -> TrainedDetector:
    """The detector that the options name.

    Raises:
        UserError: they name none, or two.
    """
    if (options.workdir is None) == (options.weights is None):
        raise UserError("Give either --workdir DIR or --weights FILE.")
    if options.workdir is not None:
        return detector_setup.load_run(options.workdir)
    return trained_detector.load_detector(options.weights)


def find(given: Sequence[str]) -> list[Path]:
    """Pictures as they are given, and those in folders, each once.

    Drawings of this command that are in a folder are passed over.
    """
    found: dict[str, Path] = {}
    for text in given:
        path = paths.as_path(text)
        inside = [path]
        if path.is_dir():
            drawn = outputs.Outputs(path)
            inside = [
                one
                for one in path.iterdir()
                if one.suffix.lower() in EXTENSIONS
                and not drawn.is_own(one.name)
            ]
            inside.sort(key=str)
            if not inside:
                raise UserError(
                    f"{path} has no picture in it ({' '.join(EXTENSIONS)})."
                )
        for one in inside:
            found.setdefault(str(one), one)
    return list(found.values())


def objects_of(found: Detections, categories: Sequence[Category]) -> list[dict]:
    """Detections as JSON has them."""
    return [
        _object(found, number, categories[label - 1])
        for number, label in enumerate(found.labels)
    ]


def _object(found: Detections, number: int, category: Category) -> dict:
    made: dict = {
        "class": category.name,
        "score": _rounded(found.scores[number], 6),
        "box": [_rounded(side, 2) for side in found.boxes[number]],
    }
    if found.masks is not None:
        made["mask"] = rle.encode(found.masks[number])
    if found.keypoints is not None and found.keypoint_scores is not None:
        points, scores = found.keypoints[number], found.keypoint_scores[number]
        names = category.keypoints or map(str, range(1, len(points) + 1))
        made["keypoints"] = [
            {
                "name": name,
                "x": _rounded(x, 2),
                "y": _rounded(y, 2),
                "score": _rounded(score, 4),
            }
            for name, (x, y, _), score in zip(
                names, points, scores, strict=True
            )
        ]
    return made


def _text(model: TrainedDetector, rows: Sequence[dict]) -> str:
    """As JSON, with a picture a line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    origin = json.dumps(model.origin)
    return f'{{"model": {origin}, "pictures": [\n{lines}\n]}}\n'


def _rounded(number: np.floating, digits: int) -> float:
    return round(float(number), digits)


def _rows(
    model: TrainedDetector,
    image_paths: Sequence[Path],
    out: outputs.Outputs,
    score_threshold: float,
) -> Iterator[dict]:
    for path in image_paths:
        try:
            image = image_files.read(path)
        except UserError as error:
            yield {"path": str(path), "error": str(error)}
            continue
        remark = image_files.remark(path, image)
        if remark:
            say(f"note: {remark}")
        found = model.detect(image)
        name = out.free_name(os.path.splitext(path.name)[0] + ".png")
        drawn = drawing.png(image, found, model.categories, score_threshold)
        out.write_bytes(name, drawn)
        yield {
            "path": str(path),
            "height": image.shape[0],
            "width": image.shape[1],
            "drawn": name,
            "objects": objects_of(found, model.categories),
        }


def _line(row: dict, score_threshold: float) -> str:
    """What was found, for the screen."""
    if "error" in row:
        return f"{row['path']}: skipped"
    good = [one for one in row["objects"] if one["score"] >= score_threshold]
    shown = [f"{one['class']} {one['score']:.2f}" for one in good[:SHOWN]]
    more = len(good) - len(shown)
    shown += [f"{more} more"] * (more > 0)
    return f"{row['path']}: {', '.join(shown) or 'nothing'}"


def _score(text: str) -> float:
    """A score as it is typed; an argument's type."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(
            f"expected a score from 0 to 1, such as 0.5, received {text!r}"
        )
    return score


def _parse(arguments: Sequence[str] | None):
    parser = cli.parser(
        "detection.predict",
        "Finds objects in pictures, with a run or with someone's weights. "
        "Without arguments:\nlists the runs.",
        EXAMPLE,
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="JPEG, PNG, BMP, WebP or GIF files, or folders of them",
    )
    add_model(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="found",
        help=f"folder for {FOUND}, which has all detections, and for the "
        "pictures with what was found, under names that replace no file of "
        "yours (default: found)",
    )
    parser.add_argument(
        "--score-threshold",
        type=_score,
        default=SHOWN_SCORE,
        metavar="S",
        help="of what is drawn and shown, from 0 to 1 (default: "
        f"{SHOWN_SCORE})",
    )
    return cli.parse(parser, arguments)


if __name__ == "__main__":
    sys.exit(cli.run(main))
