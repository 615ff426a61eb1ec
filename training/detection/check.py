"""Says what is in annotations, and what is wrong with them.

Every command says it too before it begins; this one also reads all pictures.
"""

import collections
import sys
from collections.abc import Sequence

from ..coco import annotation_reader, coco_scores, image_files
from ..coco.annotations import Annotations
from ..coco.coco_scores import NO_MASKS
from ..io import cli, tables
from ..io.progress import Progress
from ..io.user_error import UserError

EXAMPLE = (
    "python -m training.detection.check --annotations train.json --images train"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.check`."""
    parser = cli.parser(
        "detection.check",
        "Checks annotations in COCO's form, and reads all pictures. Without "
        "arguments: says\nhow.",
        EXAMPLE,
    )
    parser.add_argument("--annotations", metavar="FILE", help="in COCO's form")
    parser.add_argument(
        "--images", metavar="DIR", default=".", help="that they are of"
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(f"Example:\n  {EXAMPLE}")
        return
    if options.annotations is None:
        raise UserError("Give --annotations FILE.json and --images DIR.")
    found = annotation_reader.read(options.annotations, options.images)
    print(found.summary())
    print(counts(found))
    bad, notes = _look_at(found)
    for line in bad:
        print(line)
    for line in notes:
        print(f"note: {line}")
    problems = len(found.problems) + len(bad)
    if problems:
        raise UserError(
            f"{problems} problems, which are above. What is wrong is left out "
            "of training and tests."
        )
    if found.notes or notes:
        print("Nothing is wrong, but for what the notes above say.")
    else:
        print("Nothing is wrong.")


def counts(found: Annotations) -> str:
    """How much of each category there is, as a table."""
    objects = collections.Counter(
        one.label
        for picture in found.images
        for one in picture.instances
        if not one.is_crowd
    )
    crowds = sum(one.is_crowd for one in found.instances)
    no_mask = coco_scores.objects_without_mask(found)
    rows: list[tuple[str, ...]] = [
        ("category id", "category", "objects", "keypoints an object")
    ]
    rows += [
        (
            str(one.id),
            one.name,
            str(objects[label]),
            str(len(one.keypoints) or "-"),
        )
        for label, one in enumerate(found.categories, start=1)
    ]
    empty = sum(not picture.instances for picture in found.images)
    unmasked = f"{len(no_mask)} objects without segmentation"
    if no_mask:
        unmasked += f", which train a detector without masks: {NO_MASKS}"
    return (
        f"Objects of each category, without crowds\n{tables.render(rows)}\n"
        f"{crowds} crowds; {empty} pictures without objects; {unmasked}."
    )


def _look_at(found: Annotations) -> tuple[list[str], list[str]]:
    """What is wrong with the pictures and what is odd, a line each."""
    bad, notes = [], []
    progress = Progress(len(found.images), "pictures")
    for done, picture in enumerate(found.images, start=1):
        try:
            pixels = image_files.read(picture.path)
        except UserError as error:
            bad.append(f"image {picture.id}: {error}")
        else:
            fault = image_files.size_fault(picture, pixels.shape[:2])
            remark = image_files.remark(picture.path, pixels)
            bad += [f"image {picture.id}: {fault}"] * bool(fault)
            notes += [f"image {picture.id}: {remark}"] * bool(remark)
        progress.update(done)
    return bad, notes


if __name__ == "__main__":
    sys.exit(cli.run(main))
