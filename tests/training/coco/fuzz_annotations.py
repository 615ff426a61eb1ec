"""Fuzz the annotation reader and use what it returns.

    python -m tests.training.coco.fuzz_annotations --seconds 900

A mutated file is either a `UserError` or annotations that training and
evaluation can use: finite, within the images, and within the memory. Seeds of
failures are kept in test_fuzzed_annotations.py.
"""

import argparse
import copy
import json
import pathlib
import random
import resource
import tempfile
import time
import traceback

import numpy as np

from nonlocal_tf.detection import Detections, DetectorConfig
from training.coco import annotation_reader, coco_api, coco_scores, examples
from training.coco.annotations import Annotations
from training.io.user_error import UserError

REPORTED_MB, LARGEST_IMAGE_PX = 400, 10**6
MASK_CELLS, KEYPOINTS = 5, 2
MEMORY_GB = 8  # of address space, with TensorFlow's
COUNTS = "Q1f0900000000000000000000000k2"
POLYGON = [3, 4, 30, 4, 30, 28, 3, 28]
VALID = {
    "info": {"year": 2030},
    "images": [
        {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
        {"id": 9, "file_name": "sub/b.png", "height": 31, "width": 17},
    ],
    "categories": [
        {
            "id": 3,
            "name": "dog",
            "keypoints": ["left", "right"],
            "skeleton": [[1, 2]],
        },
        {"id": 90, "name": "cup", "keypoints": ["left", "right"]},
    ],
    "annotations": [
        {
            "id": 11,
            "image_id": 7,
            "category_id": 3,
            "bbox": [3, 4, 27.5, 24],
            "area": 648.5,
            "iscrowd": 0,
            "segmentation": [POLYGON, [5, 5, 9, 5, 9, 9]],
            "keypoints": [6, 7, 2, 0, 0, 0],
        },
        {
            "id": 12,
            "image_id": 7,
            "category_id": 90,
            "bbox": [0, 0, 60, 40],
            "area": 2400,
            "iscrowd": 1,
            "segmentation": {"size": [40, 60], "counts": [100, 2200, 100]},
        },
        {
            "id": 13,
            "image_id": 9,
            "category_id": 90,
            "bbox": [1, 2, 13, 22],
            "area": 286,
            "iscrowd": 0,
            "segmentation": {"size": [31, 17], "counts": COUNTS},
            "keypoints": [6, 7, 1, 3, 9, 2],
        },
    ],
}
NUMBERS = [
    *(0, 1, -1, 2, 3, 7, 90, 0.5, -0.0, 1e-9, 1e-300, 1e9, -1e12, 1e300),
    *(2**31 - 1, 2**31, 2**32, 2**53, 2**63, -(2**63), 10**400, 65535, 1.0),
    *(float("nan"), float("inf"), float("-inf")),
]
TEXTS = [
    *("", "1", "0", "7", "1.0", "-1", "1e5", " 3 ", "NaN", "x", "\0", "\ud800"),
    *("a" * 5000, "..", "/", "\\", "a.png", "sub\\b.png", "é", "o" * 3000),
    *("0", "PPYo0", "\n", "a\nb", "左", "true"),
]
VALUES = [*NUMBERS, *TEXTS, None, True, False, [], {}, [[]], [None], {"a": 1}]


def setup(folder: pathlib.Path) -> None:
    """Create the image files of the annotations."""
    (folder / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        (folder / name).touch()


def mutated(seed: int) -> bytes:
    """Return an annotation file that depends on a seed."""
    draw = random.Random(seed)
    content = copy.deepcopy(VALID)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        _mutate(draw, content)
    text = json.dumps(content, ensure_ascii=draw.random() < 0.5)
    encoded = text.encode("utf-8", "surrogatepass")
    if draw.random() < 0.15:
        encoded = _mutate_bytes(draw, encoded)
    return encoded


def _mutate(draw: random.Random, content) -> None:
    """Change one value of a JSON tree."""
    places = list(_places(content))
    parent, key = draw.choice(places)
    if draw.random() < 0.5:  # a leaf
        leaves = [(p, k) for p, k in places if _is_leaf(p[k])]
        parent, key = draw.choice(leaves or places)
    kind = draw.randrange(10)
    if kind < 5:
        parent[key] = copy.deepcopy(draw.choice(VALUES))
    elif kind == 5:
        del parent[key]
    elif kind == 6:
        source, source_key = draw.choice(places)
        try:
            parent[key] = copy.deepcopy(source[source_key])
        except (KeyError, IndexError):
            pass
    elif kind == 7 and isinstance(parent, list) and len(parent) < 100:
        size = len(json.dumps(parent[key]))
        parent += [parent[key]] * draw.choice((1, 3, 10**6 // (500 + size)))
    elif kind == 8:
        parent[key] = draw.choice((str, lambda x: [x], lambda x: {"a": x}))(
            parent[key]
        )
    elif _is_number(parent[key]):
        parent[key] = _moved(draw, parent[key])


def _moved(draw: random.Random, value: float):
    factor = draw.choice((-1, 0.001, 0.5, 1.0001, 2, 3, 1e4, 1e10))
    return draw.choice((value * factor, value + draw.uniform(-99, 99)))


def _mutate_bytes(draw: random.Random, content: bytes) -> bytes:
    cut = draw.randrange(len(content))
    start, rest = content[:cut], content[cut:]
    return draw.choice(
        (
            start,
            start + bytes([draw.randrange(256)]) + rest[1:],
            start + b"[" * draw.choice((1, 5000, 10**5)) + rest,
            b"\xef\xbb\xbf" + content,
            content.decode("utf-8", "replace").encode("utf-16"),
            start + content[draw.randrange(len(content)) :],
        )
    )


def _places(value):
    """Yield all containers and keys of a tree."""
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:50])
    for key, child in items:
        yield value, key
        yield from _places(child)


def _is_leaf(value) -> bool:
    return not isinstance(value, (dict, list))


def _is_number(value) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) < 1e300


def use(content: bytes, folder: pathlib.Path) -> str:
    """Read a file and use it as training and evaluation do.

    Returns:
        The first line of the error, or "" for valid annotations.
    """
    path = folder / "instances.json"
    path.write_bytes(content)
    try:
        annotations = annotation_reader.read(str(path), str(folder))
    except UserError as error:
        return str(error).splitlines()[0]
    assert all(len(line) < 2000 for line in annotations.problems), "a long line"
    annotations.summary().encode("utf-8", "backslashreplace")
    _make_examples(annotations)
    _score(annotations)
    return ""


def _make_examples(annotations: Annotations) -> None:
    counts = {len(category.keypoints) for category in annotations.categories}
    num_keypoints = KEYPOINTS if counts == {KEYPOINTS} else 0
    for image in annotations.images:
        if image.height * image.width > LARGEST_IMAGE_PX:
            continue
        pixels = np.zeros((image.height, image.width, 3), np.uint8)
        try:
            example = examples.make_example(
                image, pixels, MASK_CELLS, num_keypoints
            )
        except UserError as error:
            assert "no segmentation" in str(error), error
            continue
        for name in ("boxes", "crowds", "masks", "mask_boxes", "keypoints"):
            array = getattr(example, name)
            assert array is None or np.isfinite(array).all(), name
        sides = example.boxes[:, 2:] - example.boxes[:, :2]
        assert (sides > 0).all(), "a box without area"


def _score(annotations: Annotations) -> None:
    try:
        coco_scores.check(annotations, DetectorConfig(num_keypoints=KEYPOINTS))
    except UserError:
        return
    iou_types = coco_scores.scored_iou_types(annotations, DetectorConfig())
    scored = coco_scores.CocoScores(
        annotations, annotations.categories, iou_types
    )
    for image in annotations.images:
        if image.height * image.width > LARGEST_IMAGE_PX:
            continue
        mask = np.zeros((1, image.height, image.width), bool)
        mask[:, : image.height // 2] = True
        box = [[0, 0, image.width, max(image.height // 2, 1)]]
        scored.add(
            image.id,
            Detections(
                np.array(box, np.float32),
                np.array([1], np.int32),
                np.array([0.5], np.float32),
                mask,
            ),
        )
    assert all(-1 <= value <= 1 for value in scored.scores().values())


def memory_mb() -> int:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    coco_api.require(masks=True)
    limit = MEMORY_GB * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    deadline, seed, failures = time.monotonic() + options.seconds, 0, 0
    errors, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        setup(folder)
        use(json.dumps(VALID).encode(), folder)
        start_mb = memory_mb()
        for seed in range(options.seed, 2**62):
            if time.monotonic() > deadline:
                break
            start, before_mb = time.monotonic(), memory_mb()
            try:
                errors += bool(use(mutated(seed), folder))
            except Exception:
                failures += 1
                print(
                    f"seed {seed}:", traceback.format_exc(limit=-3), flush=True
                )
            seconds = time.monotonic() - start
            slowest = max(slowest, seconds)
            if seconds > 5 or memory_mb() - before_mb > REPORTED_MB:
                print(f"seed {seed}: {seconds:.1f} s, {memory_mb()} MB")
    print(
        f"{seed - options.seed} cases, {errors} UserErrors, {failures} failed; "
        f"slowest {slowest:.1f} s; {memory_mb() - start_mb} MB more"
    )


if __name__ == "__main__":
    main()
