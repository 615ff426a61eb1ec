"""Annotations in COCO's form: read, checked, and sorted by picture.

FILE.json
    {"images": [{"id", "file_name", "height", "width"}, ...],
     "categories": [{"id", "name", "keypoints", "skeleton"}, ...],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, w, h],
       "area", "iscrowd", "segmentation": polygons or run lengths,
       "keypoints": [x, y, visibility, ...]}, ...]}

What is wrong is told by file and id, all of it at once and before anything is
trained; the picture or object is left out.

Reference:
    https://cocodataset.org/#format-data
"""

import collections
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence

from training import remote
from training.detection import run_lengths
from training.errors import UserError
from training.remote import Path

SHOWN = 20
# So far a box may be outside by rounding alone.
OUTSIDE_PX = 1.0
VISIBILITIES = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Category:
    """A class of objects.

    Attributes:
        id: in the file; ids may have gaps.
        name: of the class.
        keypoints: names of those that an object of it has.
        skeleton: pairs of keypoints, counted from 1, that are joined.
    """

    id: int
    name: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Instance:
    """An object, or a crowd of them.

    Attributes:
        id: in the file.
        label: number of its category, from 1 on.
        box: x1, y1, x2, y2, within the picture.
        area: in pixels, of its mask.
        is_crowd: whether it is many that nobody has told apart.
        segmentation: polygons, each x, y, x, y, ..., or run lengths, or None.
        keypoints: x, y, visibility of each, or ().
    """

    id: int
    label: int
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool
    segmentation: list | dict | None
    keypoints: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture and what is in it, which may be nothing."""

    id: int
    path: Path
    height: int
    width: int
    instances: tuple[Instance, ...]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """What a file says.

    Attributes:
        path: of the file.
        categories: in the order of their ids; label 1 is the first.
        pictures: in the order of the file.
        problems: what was left out or cut, a line each.
    """

    path: Path
    categories: tuple[Category, ...]
    pictures: tuple[Picture, ...]
    problems: tuple[str, ...]

    def summary(self) -> str:
        """What there is, and what is wrong, for the screen."""
        objects = sum(len(picture.instances) for picture in self.pictures)
        lines = [
            f"{self.path}: {len(self.pictures)} pictures, {objects} objects "
            f"of {len(self.categories)} "
            f"categor{'y' if len(self.categories) == 1 else 'ies'}."
        ]
        if self.problems:
            lines.append(f"{len(self.problems)} problems:")
            lines += [f"  {line}" for line in self.problems[:SHOWN]]
            more = len(self.problems) - SHOWN
            lines += [f"  and {more} more"] * (more > 0)
        return "\n".join(lines)


class _Wrong(Exception):
    """What is wrong with an entry."""


def read(path: str, folder: str) -> Annotations:
    """Reads and checks a file of annotations.

    Args:
        path: of the JSON file.
        folder: that the pictures are in.

    Raises:
        UserError: it is not such a file, or has no good picture.
    """
    file = remote.as_path(path)
    content = _content(file)
    categories, problems = _categories(file, content)
    labels = {one.id: n for n, one in enumerate(categories, start=1)}
    points = {n: len(one.keypoints) for n, one in enumerate(categories, 1)}
    pictures: dict[int, dict] = {}
    root = remote.as_path(folder)
    for _, entry in _each(file, content, "images", problems):
        with _told(file, "image", entry, problems):
            picture = _picture(entry, root)
            _once(picture["id"], pictures)
            pictures[picture["id"]] = picture
    found = collections.defaultdict(list)
    seen: set[int] = set()
    for _, entry in _each(file, content, "annotations", problems):
        with _told(file, "annotation", entry, problems):
            number = _integer(entry, "id")
            _once(number, seen)
            seen.add(number)
            image = _integer(entry, "image_id")
            if image not in pictures:
                raise _Wrong(f"there is no good image {image}")
            size = pictures[image]["height"], pictures[image]["width"]
            instance, cut = _instance(entry, labels, points, size)
            found[image].append(instance)
            if cut:
                problems.append(_line(file, "annotation", number, cut))
    if not pictures:
        raise UserError(
            f"{file} has no good picture in {folder}.\n"
            + "\n".join(problems[:SHOWN])
        )
    return Annotations(
        file,
        categories,
        tuple(
            Picture(instances=tuple(found[number]), **picture)
            for number, picture in pictures.items()
        ),
        tuple(problems),
    )


def _content(file: Path) -> dict:
    try:
        content = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from error
    lists = ("images", "categories", "annotations")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), list) for name in lists
    ):
        raise UserError(
            f"{file}: expected an object with the lists {', '.join(lists)} "
            "(python -m pydoc training.detection.annotations)."
        )
    return content


def _categories(file: Path, content) -> tuple[tuple[Category, ...], list[str]]:
    problems: list[str] = []
    found: dict[int, Category] = {}
    for _, entry in _each(file, content, "categories", problems):
        with _told(file, "category", entry, problems):
            number = _integer(entry, "id")
            _once(number, found)
            if not isinstance(entry.get("name"), str):
                raise _Wrong("it has no name")
            keypoints = _names(entry)
            skeleton = _skeleton(entry, len(keypoints))
            found[number] = Category(number, entry["name"], keypoints, skeleton)
    if not found:
        raise UserError(f"{file} has no categories.")
    return tuple(found[number] for number in sorted(found)), problems


def _names(entry: dict) -> tuple[str, ...]:
    names = entry.get("keypoints") or []
    if not isinstance(names, list) or not all(
        isinstance(n, str) for n in names
    ):
        raise _Wrong("expected keypoints to be a list of names")
    if len(set(names)) < len(names):
        raise _Wrong("two of its keypoints have the same name")
    return tuple(names)


def _skeleton(entry: dict, count: int) -> tuple[tuple[int, int], ...]:
    pairs = entry.get("skeleton") or []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(n) is int and 1 <= n <= count for n in pair)
        for pair in pairs
    ):
        raise _Wrong(
            f"expected skeleton to be pairs of keypoints from 1 to {count}"
        )
    return tuple((first, second) for first, second in pairs)


def _each(file: Path, content, name: str, problems) -> Iterator[tuple]:
    for number, entry in enumerate(content[name]):
        if isinstance(entry, dict):
            yield number, entry
        else:
            problems.append(f"{file}: {name}[{number}] is not an object")


class _told:
    """Makes a problem of what is wrong with an entry."""

    def __init__(self, file: Path, kind: str, entry: dict, problems: list):
        self._make: Callable = lambda what: problems.append(
            _line(file, kind, entry.get("id"), what)
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, _Wrong):
            self._make(str(error))
        return isinstance(error, _Wrong)


def _line(file: Path, kind: str, number, what: str) -> str:
    return f"{file}: {kind} {number}: {what}"


def _once(number: int, seen) -> None:
    if number in seen:
        raise _Wrong("another one has the same id")


def _integer(entry: dict, name: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(f"expected {name} to be an integer, not {value!r}")
    return value


def _numbers(entry: dict, name: str) -> list[float]:
    values = entry.get(name)
    if not isinstance(values, list) or not all(_is_number(v) for v in values):
        raise _Wrong(f"expected {name} to be a list of numbers")
    return [float(value) for value in values]


def _is_number(value) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _picture(entry: dict, folder: Path) -> dict:
    number = _integer(entry, "id")
    height, width = (_integer(entry, side) for side in ("height", "width"))
    if height < 1 or width < 1:
        raise _Wrong(f"{height} x {width} pixels")
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise _Wrong("it has no file_name")
    path = folder / name
    if not path.is_file():
        raise _Wrong(f"there is no file {path}")
    return {"id": number, "path": path, "height": height, "width": width}


def _instance(entry, labels, points, size) -> tuple[Instance, str]:
    """The object, and what of it had to be cut ("" for nothing)."""
    category = _integer(entry, "category_id")
    if category not in labels:
        raise _Wrong(f"there is no category {category}")
    label = labels[category]
    box, cut = _box(_numbers(entry, "bbox"), size)
    is_crowd = entry.get("iscrowd", 0) in (1, True)
    segmentation = entry.get("segmentation") or None
    if segmentation is not None:
        _check_segmentation(segmentation, size)
    keypoints: Sequence[float] = ()
    if points[label] and not is_crowd:
        keypoints = _keypoints(entry, points[label])
    area = entry.get("area")
    if not _is_number(area):
        area = (box[2] - box[0]) * (box[3] - box[1])
    instance = Instance(
        entry["id"], label, box, area, is_crowd, segmentation, tuple(keypoints)
    )
    return instance, cut


def _box(values: list[float], size: tuple[int, int]):
    if len(values) != 4:
        raise _Wrong(f"expected bbox to be x, y, width, height, not {values}")
    x, y, width, height = values
    if width <= 0 or height <= 0:
        raise _Wrong(f"its bbox is {width:g} x {height:g} pixels")
    given = x, y, x + width, y + height
    within = (
        min(max(given[0], 0.0), float(size[1])),
        min(max(given[1], 0.0), float(size[0])),
        min(max(given[2], 0.0), float(size[1])),
        min(max(given[3], 0.0), float(size[0])),
    )
    if within[2] <= within[0] or within[3] <= within[1]:
        raise _Wrong(
            f"its bbox {values} is outside of the picture, which is "
            f"{size[1]} x {size[0]} pixels"
        )
    far = max(abs(a - b) for a, b in zip(given, within, strict=True))
    cut = ""
    if far > OUTSIDE_PX:
        cut = f"its bbox {values} was cut off at the picture's border"
    return within, cut


def _check_segmentation(segmentation, size: tuple[int, int]) -> None:
    if isinstance(segmentation, dict):
        try:
            run_lengths.check(segmentation, size)
        except ValueError as error:
            raise _Wrong(f"its run lengths are broken: {error}") from error
        return
    if not isinstance(segmentation, list):
        raise _Wrong("its segmentation is neither polygons nor run lengths")
    for polygon in segmentation:
        is_one = isinstance(polygon, list) and all(map(_is_number, polygon))
        if not is_one or len(polygon) < 6 or len(polygon) % 2:
            raise _Wrong("expected a polygon of x, y of three points at least")


def _keypoints(entry: dict, count: int) -> list[float]:
    if "keypoints" not in entry:
        return [0.0] * (3 * count)
    values = _numbers(entry, "keypoints")
    if len(values) != 3 * count:
        raise _Wrong(
            f"expected {3 * count} numbers as keypoints, x, y and visibility "
            f"of {count}, not {len(values)}"
        )
    if any(value not in VISIBILITIES for value in values[2::3]):
        raise _Wrong("the visibility of a keypoint is 0, 1 or 2")
    return values
