"""Annotated images in the format of COCO."""

import dataclasses
from collections.abc import Iterator, Sequence

from ..io.paths import Path

MAX_PROBLEMS = 20  # in a message


@dataclasses.dataclass(frozen=True)
class Category:
    """A class of objects.

    Attributes:
        id: id in the file; ids may have gaps.
        name: name of the class.
        keypoints: names of the keypoints of an object.
        skeleton: pairs of keypoints, counted from 1, that are joined.
    """

    id: int
    name: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Instance:
    """An annotated object, or a crowd of objects.

    Attributes:
        id: id in the file.
        label: label of its category, from 1 on.
        box: x1, y1, x2, y2, within the image.
        area: area of its mask in pixels.
        is_crowd: True for a region of many objects that are not annotated
            one by one.
        segmentation: polygons, each x, y, x, y, ..., or RLE, or None.
        keypoints: x, y and visibility of each, or ().
    """

    id: int
    label: int
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool
    segmentation: list | dict | None
    keypoints: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image file and its annotations, which may be none."""

    id: int
    path: Path
    height: int
    width: int
    instances: tuple[Instance, ...]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """The valid content of an annotation file.

    Attributes:
        path: the file.
        categories: in the order of their ids; label 1 is the first.
        images: in the order of the file.
        problems: invalid entries that were skipped or clipped, a line each.
        notes: valid but suspicious content, a line each.
    """

    path: Path
    categories: tuple[Category, ...]
    images: tuple[AnnotatedImage, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def instances(self) -> Iterator[Instance]:
        """Iterate over the objects and crowds of all images."""
        for image in self.images:
            yield from image.instances

    def summary(self) -> str:
        """Return counts, problems and notes as text."""
        objects = sum(len(image.instances) for image in self.images)
        lines = [
            f"{self.path}: {len(self.images)} images, {objects} objects of "
            f"{len(self.categories)} "
            f"categor{'y' if len(self.categories) == 1 else 'ies'}."
        ]
        if self.problems:
            lines.append(f"{len(self.problems)} problems:")
            lines += [f"  {line}" for line in first_lines(self.problems)]
        lines += [f"note: {line}" for line in self.notes]
        return "\n".join(lines)


def first_lines(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and a line that counts the rest."""
    rest = len(problems) - MAX_PROBLEMS
    return [*problems[:MAX_PROBLEMS], *[f"and {rest} more"] * (rest > 0)]
