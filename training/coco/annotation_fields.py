"""Fields of COCO annotations, checked one by one.

All coordinates are bounded: the C code of pycocotools ends Python with a
segmentation fault, or fills the memory, on polygons far outside of an image.
"""

import contextlib
import errno
import math
import reprlib
import unicodedata
from typing import Any

from ..io import json_text
from ..io.remote import Path
from . import run_lengths

Size = tuple[int, int]

# JSON readers that know only floating-point numbers read these exactly.
MAX_INTEGER = 2**53
MAX_SIDE_PX = 65_535  # of a JPEG
MAX_PIXELS = 2**30
# Rounding moves a box out of its image by this much.
OUTSIDE_PX = 1.0
# In float32 a smaller box may have no side.
MIN_SIDE_PX = 0.01
# Of a polygon, in sums of an image's height and width.
MAX_OUTLINE = 100
LONGEST_PATH = 300  # of a file that is missing, in a message
VISIBILITIES = (0, 1, 2)


class InvalidEntry(Exception):
    """The reason why an entry of the file is left out."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: Any) -> str:
    """A value as Python writes it, shortened for a message."""
    return _short.repr(value)


def whole_number(entry: dict, name: str) -> int:
    """Read a whole number, also one that is written as 1.0 or "1"."""
    value: Any = entry.get(name)
    number = json_text.whole_number(value)
    if number is None:
        raise InvalidEntry(
            f"expected {name} to be an integer, not {shown(value)}"
        )
    if abs(number) > MAX_INTEGER:
        raise InvalidEntry(
            f"expected {name} to be an integer of 2^53 at most, not "
            f"{shown(value)}"
        )
    return number


def image_size(entry: dict) -> Size:
    """Read height and width of an image."""
    height, width = (whole_number(entry, side) for side in ("height", "width"))
    if not (0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX):
        raise InvalidEntry(
            f"{height} x {width} pixels; expected sides from 1 to {MAX_SIDE_PX}"
        )
    if height * width > MAX_PIXELS:
        raise InvalidEntry(
            f"{height} x {width} pixels; expected {MAX_PIXELS} at most"
        )
    return height, width


def image_path(entry: dict, folder: Path) -> Path:
    """Find an image, also where its name is spelt as on another system."""
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise InvalidEntry("it has no file_name")
    spellings = dict.fromkeys(
        spelling
        for text in (name, name.replace("\\", "/"))
        for spelling in (
            text,
            unicodedata.normalize("NFC", text),
            unicodedata.normalize("NFD", text),
        )
    )
    for spelling in spellings:
        path = folder / spelling
        if _is_file(path):
            return path
    path_shown = str(folder / name)
    if len(path_shown) > LONGEST_PATH:
        path_shown = f"{path_shown[:LONGEST_PATH]}..."
    also = ", nor with / for \\" if "\\" in name else ""
    raise InvalidEntry(f"there is no file {path_shown}{also}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def is_crowd(entry: dict) -> bool:
    """Read `iscrowd`, which is 0 where it is not given."""
    if entry.get("iscrowd") is None:
        return False
    if isinstance(entry["iscrowd"], bool):
        return entry["iscrowd"]
    number = whole_number(entry, "iscrowd")
    if number not in (0, 1):
        raise InvalidEntry(f"expected iscrowd to be 0 or 1, not {number}")
    return number == 1


def is_number(value: Any) -> bool:
    """Tell finite numbers, which are not booleans, from all else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is no float
        return False


def numbers(entry: dict, name: str) -> list[float]:
    """Read a list of finite numbers."""
    values = entry.get(name)
    if not isinstance(values, list) or not all(map(is_number, values)):
        raise InvalidEntry(f"expected {name} to be a list of numbers")
    return [float(value) for value in values]


def box(entry: dict, size: Size) -> tuple[tuple, str]:
    """Read `bbox` as corners within the image.

    Returns:
        x1, y1, x2, y2, and a remark if the box was cut off, else "".
    """
    values = numbers(entry, "bbox")
    if len(values) != 4:
        raise InvalidEntry(
            f"expected bbox to be x, y, width, height, not {shown(values)}"
        )
    x, y, width, height = values
    if width <= 0 or height <= 0:
        raise InvalidEntry(f"its bbox is {width:g} x {height:g} pixels")
    corners = x, y, x + width, y + height
    limits = float(size[1]), float(size[0])
    within = tuple(
        min(max(corner, 0.0), limits[place % 2])
        for place, corner in enumerate(corners)
    )
    sides = within[2] - within[0], within[3] - within[1]
    if min(sides) < MIN_SIDE_PX:
        if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
            raise InvalidEntry(f"its bbox is {width:g} x {height:g} pixels")
        raise InvalidEntry(
            f"its bbox {values} is outside of the picture, which is "
            f"{size[1]} x {size[0]} pixels"
        )
    far = max(abs(a - b) for a, b in zip(corners, within, strict=True))
    if far > OUTSIDE_PX:
        return within, f"its bbox {values} was cut off at the picture's border"
    return within, ""


def area(entry: dict, corners: tuple) -> float:
    """Read `area`, which is the box's where it is no area."""
    value: Any = entry.get("area")
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if is_number(value) and value >= 0:
        return float(value)
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def keypoints(entry: dict, count: int, size: Size) -> tuple[float, ...]:
    """Read x, y and visibility of each keypoint; 0 of those without a place."""
    if entry.get("keypoints") is None:
        return (0.0,) * (3 * count)
    values = numbers(entry, "keypoints")
    if len(values) != 3 * count:
        raise InvalidEntry(
            f"expected {3 * count} numbers as keypoints, x, y and visibility "
            f"of {count}, not {len(values)}"
        )
    if any(value not in VISIBILITIES for value in values[2::3]):
        raise InvalidEntry("the visibility of a keypoint is 0, 1 or 2")
    for place in range(0, len(values), 3):
        x, y, visibility = values[place : place + 3]
        if not visibility:
            values[place : place + 3] = 0.0, 0.0, 0.0
        elif not _is_near([x], [y], size):
            raise InvalidEntry(f"its keypoint {x:g}, {y:g} {_far(size)}")
    return tuple(values)


def segmentation(entry: dict, size: Size) -> tuple[list | dict | None, str]:
    """Read polygons, without those that are degenerate, or run lengths.

    Returns:
        The segmentation, None where there is none, and a remark if something
        of it was left out, else "".
    """
    value = entry.get("segmentation")
    if not value:
        return None, ""
    if isinstance(value, dict):
        try:
            return run_lengths.checked(value, size), ""
        except ValueError as error:
            raise InvalidEntry(
                f"its run lengths are broken: {error}"
            ) from error
    if not isinstance(value, list):
        raise InvalidEntry(
            "its segmentation is neither polygons nor run lengths"
        )
    if all(map(is_number, value)):
        raise InvalidEntry(
            "its segmentation is a list of numbers: expected a list of "
            "polygons, [[x, y, x, y, ...], ...], also of one"
        )
    polygons = [polygon for polygon in value if polygon != []]
    faults = [_polygon_fault(polygon, size) for polygon in polygons]
    kept = [p for p, fault in zip(polygons, faults, strict=True) if not fault]
    reasons = [fault for fault in faults if fault]
    if reasons and not kept:
        raise InvalidEntry(reasons[0])
    remark = ""
    if reasons:
        remark = (
            f"{len(reasons)} of its {len(polygons)} polygons left out: "
            f"{reasons[0]}"
        )
    return kept or None, remark


def _polygon_fault(polygon: Any, size: Size) -> str:
    """The reason why a polygon cannot be drawn, or ""."""
    is_list = isinstance(polygon, list) and all(map(is_number, polygon))
    if not is_list or len(polygon) < 6 or len(polygon) % 2:
        return "expected a polygon of x, y of three points at least"
    xs, ys = polygon[::2], polygon[1::2]
    if not _is_near(xs, ys, size):
        return f"a polygon {_far(size)}"
    if min(xs) == max(xs) or min(ys) == max(ys):
        return "a polygon is a line without an area"
    if _outline(xs, ys) > MAX_OUTLINE * sum(size):
        return (
            f"a polygon's outline is longer than {MAX_OUTLINE} times the "
            "picture's height and width"
        )
    return ""


def _outline(xs: list[float], ys: list[float]) -> float:
    """Length of a polygon's outline, with sides counted as in a city."""
    # No polygon of fewer points is too long: each side spans 3 images at most.
    if 3 * len(xs) <= MAX_OUTLINE:
        return 0.0
    return sum(
        abs(x - xs[place - 1]) + abs(y - ys[place - 1])
        for place, (x, y) in enumerate(zip(xs, ys, strict=True))
    )


def _is_near(xs: list[float], ys: list[float], size: Size) -> bool:
    """Whether points are at most one image away from the image."""
    height, width = size
    return (
        -width <= min(xs)
        and max(xs) <= 2 * width
        and -height <= min(ys)
        and max(ys) <= 2 * height
    )


def _far(size: Size) -> str:
    return (
        f"is far outside of the picture, which is {size[1]} x {size[0]} pixels"
    )
