"""Reading and validation of annotation files in COCO's format.

FILE.json
    {"images": [{"id", "file_name", "height", "width"}, ...],
     "categories": [{"id", "name", "keypoints", "skeleton"}, ...],
     "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, w, h],
       "area", "iscrowd", "segmentation": polygons or RLE,
       "keypoints": [x, y, visibility, ...]}, ...]}

All problems are reported by file and id, before anything is trained. An invalid
image or object is skipped; of an object a degenerate polygon, of a category an
invalid skeleton. Integers may be written as floats or text. Back-slashes in
file names are tried as slashes.

Reference:
    https://cocodataset.org/#format-data
"""

import collections
import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..io import atomic_files, json_text, paths
from ..io.paths import Path
from ..io.user_error import UserError
from . import annotation_fields as fields
from . import category_fields
from .annotation_fields import InvalidEntry, shown
from .annotations import (
    AnnotatedImage,
    Annotations,
    Category,
    Instance,
    first_lines,
)

LISTS = ("images", "categories", "annotations")


def read(path: str, folder: str) -> Annotations:
    """Read and validate an annotation file.

    Args:
        path: the JSON file.
        folder: folder of its images.

    Raises:
        UserError: it is no annotation file, or has no valid image.
    """
    file = paths.as_path(path)
    reader = _Reader(file, _read_content(file))
    categories = reader.categories()
    images = reader.images(paths.as_path(folder))
    if not images:
        raise UserError(
            f"{file} has no valid image in {folder}.{_listed(reader.problems)}"
        )
    instances = reader.instances(categories, images)
    annotations = Annotations(
        file,
        categories,
        tuple(
            dataclasses.replace(image, instances=tuple(instances[number]))
            for number, image in images.items()
        ),
        tuple(reader.problems),
    )
    notes = _notes(annotations, reader.unnamed_keypoints)
    return dataclasses.replace(annotations, notes=tuple(notes))


def _read_content(file: Path) -> dict:
    atomic_files.check_not_endless(file)
    try:
        content = json_text.parse(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), list) for name in LISTS
    ):
        raise UserError(
            f"{file}: expected an object with the lists {', '.join(LISTS)} "
            f"(python -m pydoc {__name__})."
        )
    return content


class _Reader:
    """Reads the lists of a file and collects their problems.

    Attributes:
        problems: invalid entries that were skipped or clipped, a line each.
        unnamed_keypoints: number of objects with keypoints whose category has
            no names of keypoints.
    """

    def __init__(self, file: Path, content: dict):
        self._file, self._content = file, content
        self.problems: list[str] = []
        self.unnamed_keypoints = 0

    def categories(self) -> tuple[Category, ...]:
        """Read the categories, in the order of their ids."""
        categories: dict[int, Category] = {}
        for entry in self._entries("categories"):
            with self._skipping_invalid("category", entry):
                number = _unique_id(entry, categories)
                categories[number], remark = category_fields.category(entry)
                self._add_problem("category", entry, remark)
        if not categories:
            missing = "valid categories" if self.problems else "categories"
            raise UserError(
                f"{self._file} has no {missing}.{_listed(self.problems)}"
            )
        return tuple(categories[number] for number in sorted(categories))

    def images(self, folder: Path) -> dict[int, AnnotatedImage]:
        """Read the images, without their instances, by id."""
        images: dict[int, AnnotatedImage] = {}
        for entry in self._entries("images"):
            with self._skipping_invalid("image", entry):
                number = _unique_id(entry, images)
                height, width = fields.image_size(entry)
                path = fields.image_path(entry, folder)
                images[number] = AnnotatedImage(number, path, height, width, ())
        return images

    def instances(
        self,
        categories: Sequence[Category],
        images: Mapping[int, AnnotatedImage],
    ) -> dict[int, list[Instance]]:
        """Read the objects and crowds, by id of their image."""
        labels = {c.id: label for label, c in enumerate(categories, 1)}
        instances = collections.defaultdict(list)
        ids: set[int] = set()
        for entry in self._entries("annotations"):
            with self._skipping_invalid("annotation", entry):
                number = _unique_id(entry, ids)
                ids.add(number)
                image = fields.whole_number(entry, "image_id")
                if image not in images:
                    raise InvalidEntry(f"there is no valid image {image}")
                category = fields.whole_number(entry, "category_id")
                if category not in labels:
                    raise InvalidEntry(f"there is no category {category}")
                label = labels[category]
                size = images[image].height, images[image].width
                num_keypoints = len(categories[label - 1].keypoints)
                instances[image].append(
                    self._instance(entry, number, label, num_keypoints, size)
                )
        return instances

    def _instance(
        self,
        entry: dict,
        number: int,
        label: int,
        num_keypoints: int,
        size: fields.Size,
    ) -> Instance:
        box, box_remark = fields.box(entry, size)
        is_crowd = fields.is_crowd(entry)
        segmentation, mask_remark = fields.segmentation(entry, size)
        keypoints: tuple[float, ...] = ()
        if num_keypoints and not is_crowd:
            keypoints = fields.keypoints(entry, num_keypoints, size)
        elif not num_keypoints and entry.get("keypoints"):
            self.unnamed_keypoints += 1
        for remark in (box_remark, mask_remark):
            self._add_problem("annotation", entry, remark)
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
    def _skipping_invalid(self, kind: str, entry: dict) -> Iterator[None]:
        """Skip the block for an invalid entry, and keep the reason."""
        try:
            yield
        except InvalidEntry as error:
            self._add_problem(kind, entry, str(error))

    def _add_problem(self, kind: str, entry: dict, reason: str) -> None:
        if reason:
            number = shown(entry.get("id"))
            self.problems.append(f"{self._file}: {kind} {number}: {reason}")


def _listed(problems: Sequence[str]) -> str:
    """Return the first problems, to follow a sentence."""
    return "".join(f"\n{line}" for line in first_lines(problems))


def _unique_id(entry: dict, ids: Collection[int]) -> int:
    number = fields.whole_number(entry, "id")
    if number in ids:
        raise InvalidEntry("another one has the same id")
    return number


def _notes(annotations: Annotations, unnamed_keypoints: int) -> Iterator[str]:
    """Describe suspicious content of the file as a whole."""
    instances = list(annotations.instances)
    file = annotations.path
    if instances and all(max(i.box) <= 1 for i in instances):
        yield (
            f"{file}: all boxes lie between 0 and 1. Expected x, y, width and "
            "height in pixels: multiply them by the image's width and height"
        )
    polygons = [
        polygon
        for instance in instances
        if isinstance(instance.segmentation, list)
        for polygon in instance.segmentation
    ]
    if polygons and all(max(polygon) <= 1 for polygon in polygons):
        yield (
            f"{file}: all polygons lie between 0 and 1. Expected pixels: "
            "multiply them by the image's width and height"
        )
    if unnamed_keypoints:
        yield (
            f"{file}: {unnamed_keypoints} objects have keypoints that their "
            "category does not name, so they are ignored. Expected in the "
            'category: "keypoints": ["nose", ...]'
        )
    if instances and all(i.is_crowd for i in instances):
        yield (
            f"{file}: all {len(instances)} objects are crowds (iscrowd 1), "
            "which are neither trained on nor scored"
        )
