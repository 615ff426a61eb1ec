"""Annotations in COCO's form: read, checked, and sorted by picture.

FILE.json
    {"images": [{"id", "file_name", "height", "width"}, ...],
     "categories": [{"id", "name", "keypoints", "skeleton"}, ...],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, w, h],
       "area", "iscrowd", "segmentation": polygons or run lengths,
       "keypoints": [x, y, visibility, ...]}, ...]}

What is wrong is told by file and id, all of it at once and before anything is
trained; the picture or object is left out, or of an object a degenerate
polygon, of a category a bad skeleton. Integers may be written as floats or
text. Back-slashes in file names are tried as slashes.

Reference:
    https://cocodataset.org/#format-data
"""

import collections
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from ..data import file_names
from ..io import atomic_files, json_text, paths
from ..io.paths import Path
from ..io.user_error import UserError
from . import annotation_fields as fields
from .annotation_fields import InvalidEntry, shown

SHOWN = 20


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
        notes: what is good by itself but hardly meant, a line each.
    """

    path: Path
    categories: tuple[Category, ...]
    pictures: tuple[Picture, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def instances(self) -> Iterator[Instance]:
        """The objects and crowds of all pictures."""
        for picture in self.pictures:
            yield from picture.instances

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
        lines += [f"note: {line}" for line in self.notes]
        return "\n".join(lines)


def read(path: str, folder: str) -> Annotations:
    """Read and check a file of annotations.

    Args:
        path: of the JSON file.
        folder: that the pictures are in.

    Raises:
        UserError: it is not such a file, or has no good picture.
    """
    file = paths.as_path(path)
    reader = _Reader(file, _content(file))
    categories = reader.categories()
    pictures = reader.pictures(paths.as_path(folder))
    if not pictures:
        raise UserError(
            f"{file} has no good picture in {folder}."
            f"{_reasons(reader.problems)}"
        )
    instances = reader.instances(categories, pictures)
    annotations = Annotations(
        file,
        categories,
        tuple(
            Picture(instances=tuple(instances[number]), **picture)
            for number, picture in pictures.items()
        ),
        tuple(reader.problems),
    )
    notes = _notes(annotations, reader.unnamed_keypoints)
    return dataclasses.replace(annotations, notes=tuple(notes))


def _content(file: Path) -> dict:
    atomic_files.check_not_endless(file)
    try:
        content = json_text.parse(file.read_bytes())
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
            "(python -m pydoc training.coco.annotations)."
        )
    return content


class _Reader:
    """Reads the lists of a file and collects what is wrong with them.

    Attributes:
        problems: what was left out or cut, a line each.
        unnamed_keypoints: objects with keypoints of which their category has
            no names.
    """

    def __init__(self, file: Path, content: dict):
        self._file, self._content = file, content
        self.problems: list[str] = []
        self.unnamed_keypoints = 0

    def categories(self) -> tuple[Category, ...]:
        """Read the classes, in the order of their ids."""
        categories: dict[int, Category] = {}
        for entry in self._entries("categories"):
            with self._problems_of("category", entry):
                number = _unique_id(entry, categories)
                categories[number], remark = category(entry)
                self._note("category", entry, remark)
        if not categories:
            listed = "good categories" if self.problems else "categories"
            raise UserError(
                f"{self._file} has no {listed}.{_reasons(self.problems)}"
            )
        return tuple(categories[number] for number in sorted(categories))

    def pictures(self, folder: Path) -> dict[int, dict]:
        """Read the arguments of `Picture`, by id."""
        pictures: dict[int, dict] = {}
        for entry in self._entries("images"):
            with self._problems_of("image", entry):
                number = _unique_id(entry, pictures)
                height, width = fields.image_size(entry)
                pictures[number] = {
                    "id": number,
                    "path": fields.image_path(entry, folder),
                    "height": height,
                    "width": width,
                }
        return pictures

    def instances(
        self, categories: Sequence[Category], pictures: Mapping[int, dict]
    ) -> dict[int, list[Instance]]:
        """Read the objects and crowds, by id of their picture."""
        labels = {one.id: label for label, one in enumerate(categories, 1)}
        instances = collections.defaultdict(list)
        ids: set[int] = set()
        for entry in self._entries("annotations"):
            with self._problems_of("annotation", entry):
                number = _unique_id(entry, ids)
                ids.add(number)
                image = fields.whole_number(entry, "image_id")
                if image not in pictures:
                    raise InvalidEntry(f"there is no good image {image}")
                category = fields.whole_number(entry, "category_id")
                if category not in labels:
                    raise InvalidEntry(f"there is no category {category}")
                label = labels[category]
                size = pictures[image]["height"], pictures[image]["width"]
                points = len(categories[label - 1].keypoints)
                instances[image].append(
                    self._instance(entry, number, label, points, size)
                )
        return instances

    def _instance(
        self, entry: dict, number: int, label: int, points: int, size
    ) -> Instance:
        box, box_remark = fields.box(entry, size)
        is_crowd = fields.is_crowd(entry)
        segmentation, mask_remark = fields.segmentation(entry, size)
        keypoints: tuple[float, ...] = ()
        if points and not is_crowd:
            keypoints = fields.keypoints(entry, points, size)
        elif not points and entry.get("keypoints"):
            self.unnamed_keypoints += 1
        for remark in (box_remark, mask_remark):
            self._note("annotation", entry, remark)
        area = fields.area(entry, box)
        return Instance(
            number, label, box, area, is_crowd, segmentation, keypoints
        )

    def _entries(self, name: str) -> Iterator[dict]:
        for number, entry in enumerate(self._content[name]):
            if isinstance(entry, dict):
                yield entry
            else:
                self.problems.append(
                    f"{self._file}: {name}[{number}] is not an object"
                )

    @contextlib.contextmanager
    def _problems_of(self, kind: str, entry: dict) -> Iterator[None]:
        """Leave an entry out that is invalid, and keep the reason."""
        try:
            yield
        except InvalidEntry as error:
            self._note(kind, entry, str(error))

    def _note(self, kind: str, entry: dict, reason: str) -> None:
        if reason:
            number = shown(entry.get("id"))
            self.problems.append(f"{self._file}: {kind} {number}: {reason}")


def _reasons(problems: Sequence[str]) -> str:
    """The first problems, after a sentence."""
    more = len(problems) - SHOWN
    lines = [*problems[:SHOWN], *[f"and {more} more"] * (more > 0)]
    return "".join(f"\n{line}" for line in lines)


def _unique_id(entry: dict, ids) -> int:
    number = fields.whole_number(entry, "id")
    if number in ids:
        raise InvalidEntry("another one has the same id")
    return number


def category(entry: dict) -> tuple[Category, str]:
    """Read a class of objects.

    Returns:
        The category, and a remark if its skeleton was left out, else "".

    Raises:
        InvalidEntry: it has no id or no name, or bad names of keypoints.
    """
    keypoints = _keypoint_names(entry)
    skeleton, remark = _skeleton(entry, len(keypoints))
    number = fields.whole_number(entry, "id")
    return Category(number, _class_name(entry), keypoints, skeleton), remark


def _class_name(entry: dict) -> str:
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InvalidEntry("it has no name")
    _check_text("name", name)
    return name


def _check_text(field: str, text: str) -> None:
    """Files of class names have a line each, in UTF-8."""
    if len(text.splitlines()) != 1 or not file_names.is_text(text):
        raise InvalidEntry(
            f"expected {field} to be a line of text, not {shown(text)}"
        )


def _keypoint_names(entry: dict) -> tuple[str, ...]:
    names = entry.get("keypoints") or []
    if not isinstance(names, list) or not all(
        isinstance(n, str) for n in names
    ):
        raise InvalidEntry("expected keypoints to be a list of names")
    if len(set(names)) < len(names):
        raise InvalidEntry("two of its keypoints have the same name")
    for name in names:
        _check_text("keypoints", name)
    return tuple(names)


def _skeleton(entry: dict, count: int) -> tuple[tuple, str]:
    """Read the pairs of keypoints, which are only drawn.

    Returns:
        The pairs, and a remark if they were left out, else "".
    """
    pairs = entry.get("skeleton") or []
    if not isinstance(pairs, list):
        pairs = [pairs]
    skeleton = []
    for pair in pairs:
        ends = pair if isinstance(pair, list) else []
        numbers = [json_text.whole_number(end) for end in ends]
        joined = tuple(n for n in numbers if n is not None and 1 <= n <= count)
        if not len(joined) == len(numbers) == 2:
            return (), (
                "its skeleton is left out: expected pairs of keypoints from 1 "
                f"to {count}, not {shown(pair)}"
            )
        skeleton.append(joined)
    return tuple(skeleton), ""


def _notes(annotations: Annotations, unnamed_keypoints: int) -> Iterator[str]:
    """What is hardly meant, of a file as a whole."""
    instances = list(annotations.instances)
    file = annotations.path
    if instances and all(max(one.box) <= 1 for one in instances):
        yield (
            f"{file}: all boxes lie between 0 and 1. Expected x, y, width and "
            "height in pixels: multiply them by the picture's width and height"
        )
    polygons = [
        polygon
        for one in instances
        if isinstance(one.segmentation, list)
        for polygon in one.segmentation
    ]
    if polygons and all(max(polygon) <= 1 for polygon in polygons):
        yield (
            f"{file}: all polygons lie between 0 and 1. Expected pixels: "
            "multiply them by the picture's width and height"
        )
    if unnamed_keypoints:
        yield (
            f"{file}: {unnamed_keypoints} objects have keypoints of which "
            "their category has no names, so they are not learnt. Expected in "
            'the category: "keypoints": ["nose", ...]'
        )
    if instances and all(one.is_crowd for one in instances):
        yield (
            f"{file}: all {len(instances)} objects are crowds (iscrowd 1), "
            "which are neither learnt nor counted"
        )
