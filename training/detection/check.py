"""Says what is in annotations, and what is wrong with them.

Every command says it too before it begins; this one also reads all pictures.
"""

import collections
import sys
from collections.abc import Sequence

from training import cli, table
from training.detection import annotations, pictures
from training.detection.annotations import Annotations
from training.errors import UserError
from training.progress import Progress

EXAMPLE = (
    "python -m training.detection.check --annotations train.json "
    "--pictures train"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `python -m training.detection.check`."""
    parser = cli.parser(
        "training.detection.check",
        "Checks annotations in COCO's form, and reads all pictures. Without "
        "arguments: says\nhow.",
        EXAMPLE,
    )
    parser.add_argument("--annotations", metavar="FILE", help="in COCO's form")
    parser.add_argument(
        "--pictures", metavar="DIR", default=".", help="that they are of"
    )
    options, given = cli.parse(parser, arguments)
    if not given:
        print(f"Example:\n  {EXAMPLE}")
        return
    if options.annotations is None:
        raise UserError("Give --annotations FILE.json and --pictures DIR.")
    found = annotations.read(options.annotations, options.pictures)
    print(found.summary())
    print(counts(found))
    bad = list(_bad(found))
    for line in bad:
        print(line)
    problems = len(found.problems) + len(bad)
    if problems:
        raise UserError(
            f"{problems} problems, which are above. What is wrong is left out "
            "of training and tests."
        )
    print("Nothing is wrong.")


def counts(found: Annotations) -> str:
    """How much of each category there is, as a table."""
    objects = collections.Counter(
        one.label
        for picture in found.pictures
        for one in picture.instances
        if not one.is_crowd
    )
    crowds = sum(
        one.is_crowd for picture in found.pictures for one in picture.instances
    )
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
    empty = sum(not picture.instances for picture in found.pictures)
    return (
        f"Objects of each category, without crowds\n{table.render(rows)}\n"
        f"{crowds} crowds; {empty} pictures without objects."
    )


def _bad(found: Annotations):
    """What is wrong with the pictures, a line each."""
    progress = Progress(len(found.pictures), "pictures")
    for done, picture in enumerate(found.pictures, start=1):
        try:
            size = pictures.read(picture.path).shape[:2]
        except UserError as error:
            yield f"image {picture.id}: {error}"
        else:
            if size != (picture.height, picture.width):
                yield (
                    f"image {picture.id}: {picture.path} has {size[1]} x "
                    f"{size[0]} pixels, not {picture.width} x {picture.height}"
                )
        progress.at(done)


if __name__ == "__main__":
    sys.exit(cli.run(main))
