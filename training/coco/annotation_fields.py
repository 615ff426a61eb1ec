"""Validation of the fields of COCO annotations.

All coordinates are bounded: the C code of pycocotools crashes Python, or
exhausts the memory, on polygons far outside of an image.
"""

import contextlib
import errno
import math
import reprlib
import unicodedata
from typing import Any

from ..io import json_text
from ..io.paths import Path
from . import rle

Size = tuple[int, int]

# Exact in JSON readers that have floating-point numbers alone.
MAX_INTEGER = 2**53
MAX_SIDE_PX = 65_535  # of a JPEG
MAX_PIXELS = 2**30
# A box may be this far out of its image, from rounding, without a remark.
OUTSIDE_PX = 1.0
# A smaller side may be 0 in float32.
MIN_SIDE_PX = 0.01
# Of a polygon, in multiples of the image's height + width.
MAX_PERIMETER = 100
MAX_PATH_SHOWN = 300  # characters of a missing file's path in a message
VISIBILITIES = (0, 1, 2)


class InvalidEntry(Exception):
    """An entry of the file is invalid and skipped; the message says why."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: Any) -> str:
    """Return the `repr` of a value, shortened for a message."""
    return _short.repr(value)


def whole_number(entry: dict, name: str) -> int:
    """Read an integer, also one that is written as 1.0 or "1"."""
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
    """Read the height and width of an image."""
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
    """Find an image file, also by its name on another operating system."""
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
    if len(path_shown) > MAX_PATH_SHOWN:
        path_shown = f"{path_shown[:MAX_PATH_SHOWN]}..."
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
    """Read `iscrowd`; a missing one is 0."""
    if entry.get("iscrowd") is None:
        return False
    if isinstance(entry["iscrowd"], bool):
        return entry["iscrowd"]
    number = whole_number(entry, "iscrowd")
    if number not in (0, 1):
        raise InvalidEntry(f"expected iscrowd to be 0 or 1, not {number}")
    return number == 1


def is_number(value: Any) -> bool:
    """Return True for finite numbers that are not booleans."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond floats
        return False


def numbers(entry: dict, name: str) -> list[float]:
    """Read a list of finite numbers."""
    values = entry.get(name)
    if not isinstance(values, list) or not all(map(is_number, values)):
        raise InvalidEntry(f"expected {name} to be a list of numbers")
    return [float(value) for value in values]


def box(entry: dict, size: Size) -> tuple[tuple, str]:
    """Read `bbox` as corners, clipped to the image.

    Returns:
        x1, y1, x2, y2, and a remark if the box was clipped, else "".
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
            f"its bbox {values} is outside of the image, which is "
            f"{size[1]} x {size[0]} pixels"
        )
    outside = max(abs(a - b) for a, b in zip(corners, within, strict=True))
    if outside > OUTSIDE_PX:
        return within, f"its bbox {values} was clipped to the image"
    return within, ""


def area(entry: dict, corners: tuple) -> float:
    """Read `area`; the area of the box replaces an invalid one."""
    value: Any = entry.get("area")
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if is_number(value) and value >= 0:
        return float(value)
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def keypoints(entry: dict, count: int, size: Size) -> tuple[float, ...]:
    """Read x, y and visibility of each keypoint; 0 for unlabeled ones."""
    if entry.get("keypoints") is None:
        return (0.0,) * (3 * count)
    values = numbers(entry, "keypoints")
    if len(values) != 3 * count:
        raise InvalidEntry(
            f"expected {3 * count} numbers as keypoints, x, y and visibility "
            f"of {count}, not {len(values)}"
        )
    if any(value not in VISIBILITIES for value in values[2::3]):
        raise InvalidEntry("expected visibilities of keypoints of 0, 1 or 2")
    for place in range(0, len(values), 3):
        x, y, visibility = values[place : place + 3]
        if not visibility:
            values[place : place + 3] = 0.0, 0.0, 0.0
        elif not _is_near([x], [y], size):
            raise InvalidEntry(f"its keypoint {x:g}, {y:g} {_outside(size)}")
    return tuple(values)


def segmentation(entry: dict, size: Size) -> tuple[list | dict | None, str]:
    """Read polygons, without degenerate ones, or RLE.

    Returns:
        The segmentation or None, and a remark if polygons were skipped, else
        "".
    """
    value = entry.get("segmentation")
    if not value:
        return None, ""
    if isinstance(value, dict):
        try:
            return rle.check(value, size), ""
        except ValueError as error:
            raise InvalidEntry(f"its RLE is invalid: {error}") from error
    if not isinstance(value, list):
        raise InvalidEntry("its segmentation is neither polygons nor RLE")
    if all(map(is_number, value)):
        raise InvalidEntry(
            "its segmentation is a list of numbers. Expected a list of "
            "polygons, [[x, y, x, y, ...], ...], even for one"
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
            f"{len(reasons)} of its {len(polygons)} polygons skipped: "
            f"{reasons[0]}"
        )
    return kept or None, remark


def _polygon_fault(polygon: Any, size: Size) -> str:
    """Return the reason why a polygon is invalid, or ""."""
    is_list = isinstance(polygon, list) and all(map(is_number, polygon))
    if not is_list or len(polygon) < 6 or len(polygon) % 2:
        return "expected a polygon of x, y of at least three points"
    xs, ys = polygon[::2], polygon[1::2]
    if not _is_near(xs, ys, size):
        return f"a polygon {_outside(size)}"
    if min(xs) == max(xs) or min(ys) == max(ys):
        return "a polygon is a line without area"
    if _perimeter(xs, ys) > MAX_PERIMETER * sum(size):
        return (
            f"a polygon's perimeter is more than {MAX_PERIMETER} times the "
            "image's height and width"
        )
    return ""


def _perimeter(xs: list[float], ys: list[float]) -> float:
    """Perimeter of a polygon in the L1 norm; 0 for few points."""
    # Each side spans 3 images at most.
    if 3 * len(xs) <= MAX_PERIMETER:
        return 0.0
    return sum(
        abs(x - xs[place - 1]) + abs(y - ys[place - 1])
        for place, (x, y) in enumerate(zip(xs, ys, strict=True))
    )


def _is_near(xs: list[float], ys: list[float], size: Size) -> bool:
    """Return True for points at most one image size outside."""
    height, width = size
    return (
        -width <= min(xs)
        and max(xs) <= 2 * width
        and -height <= min(ys)
        and max(ys) <= 2 * height
    )


def _outside(size: Size) -> str:
    return f"is far outside of the image, which is {size[1]} x {size[0]} pixels"
