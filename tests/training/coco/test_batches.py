"""Batches of pictures of one shape, as a function of seed and step."""

import dataclasses

import numpy as np
import pytest

from nonlocal_tf.detection import BGR, RGB, preprocessing
from tests.training.reproduce import made_composites
from training.coco import annotations, batches, images
from training.io.user_error import UserError

pytest.importorskip("pycocotools")

CONFIG = batches.BatchConfig(
    batch=2,
    canvas_px=(96, 128),
    short_sides_px=(48, 80),
    long_side_px=120,
    mask_cells=7,
    num_keypoints=2,
)
PLAIN = dataclasses.replace(CONFIG, horizontal_flip=False, short_sides_px=(72,))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    path = made_composites.write(folder, count=5, size=(60, 91), objects=3)
    return annotations.read(path, str(folder))


def steps(found, config, first, last, seed=3):
    made = batches.batches(found, config, seed, first, last)
    return list(made.as_numpy_iterator())


def test_all_batches_have_one_known_shape(found):
    made = batches.batches(found, CONFIG, 3, 0, 4)
    assert int(made.cardinality()) == 4
    spec = made.element_spec
    assert spec["images"].shape == (2, 96, 128, 3)
    assert spec["boxes"].shape == (2, 3, 4)
    assert spec["masks"].shape == (2, 3, 7, 7)
    assert spec["keypoints"].shape == (2, 3, 2, 3)
    assert spec["crowds"].shape == (2, 0, 4)


def test_a_batch_is_a_function_of_seed_and_step(found):
    whole = steps(found, CONFIG, 0, 6)
    for first, again in zip(whole[4:], steps(found, CONFIG, 4, 6), strict=True):
        for name, array in first.items():
            np.testing.assert_array_equal(array, again[name])
    other = steps(found, CONFIG, 0, 6, seed=4)
    assert any(
        (a["images"] != b["images"]).any()
        for a, b in zip(whole, other, strict=True)
    )


def test_every_picture_comes_once_in_a_pass(found):
    counts = [0] * 5
    by_box = {
        picture.instances[0].box: n for n, picture in enumerate(found.pictures)
    }
    given = np.array([box for box in by_box])
    for batch in steps(found, PLAIN, 0, 5):  # two passes of 5 pictures
        for boxes, size in zip(batch["boxes"], batch["sizes"], strict=True):
            scale = np.array([91, 60, 91, 60]) / size[[1, 0, 1, 0]]
            far = np.abs(given - boxes[0] * scale).max(axis=1)
            assert far.min() < 1e-4
            counts[int(far.argmin())] += 1
    assert counts == [2] * 5


def test_pixels_are_those_that_a_picture_is_detected_in(found):
    config = dataclasses.replace(PLAIN, normalization=BGR)
    batch = steps(found, config, 0, 1)[0]
    pixels = [images.read(picture.path) for picture in found.pictures]
    wanted = [preprocessing.preprocess(image, 72, 120, BGR) for image in pixels]
    for image, size in zip(batch["images"], batch["sizes"], strict=True):
        height, width = size
        # The same bilinear weights, multiplied out in another order.
        far = min(
            np.abs(
                np.asarray(x)[0, :height, :width] - image[:height, :width]
            ).max()
            for x, _ in wanted
        )
        assert far < 1e-4 * 255
        assert not image[height:].any() and not image[:, width:].any()
        assert tuple(size) == wanted[0][1]


def test_what_does_not_fit_the_canvas_is_scaled_down_to_it(found):
    config = dataclasses.replace(PLAIN, short_sides_px=(300,), long_side_px=900)
    for batch in steps(found, config, 0, 2):
        assert (batch["sizes"] <= (96, 128)).all()
        assert (batch["sizes"][:, 1] == 128).all()
        assert (batch["boxes"][..., 2] <= batch["sizes"][:, 1:]).all()


def test_objects_lie_where_the_picture_shows_them(found):
    """Also mirrored and scaled: colours under boxes are those of labels."""
    colours = np.array([made_composites.COLOURS[3], made_composites.COLOURS[8]])
    for batch in steps(found, CONFIG, 0, 6):
        pixels = batch["images"] * RGB.std + RGB.mean
        for image, boxes, labels in zip(
            pixels, batch["boxes"], batch["labels"], strict=True
        ):
            for box, label in zip(boxes, labels, strict=True):
                if label == 0:
                    assert not box.any()
                    continue
                x1, y1, x2, y2 = box
                # The middle of the lower edge is an object's, of both shapes.
                at = int(y2 - 0.15 * (y2 - y1)), int((x1 + x2) / 2)
                far = np.abs(colours - image[at]).sum(axis=1)
                assert far.argmin() == label - 1 and far.min() < 30


def test_half_of_the_pictures_are_mirrored(found, monkeypatch):
    calls = []
    mirrored = batches.examples.mirrored

    def counted(*arguments):
        calls.append(1)
        return mirrored(*arguments)

    monkeypatch.setattr(batches.examples, "mirrored", counted)
    steps(found, CONFIG, 0, 200)
    # 400 draws: within four standard deviations.
    assert 160 <= len(calls) <= 240


def test_each_row_has_a_seed_of_its_own(found):
    rows = [row for b in steps(found, CONFIG, 1, 4) for row in b["seeds"]]
    assert [tuple(row) for row in rows] == [(3, n) for n in range(2, 8)]


def test_pictures_without_objects_are_there_if_wanted(found):
    first = dataclasses.replace(found.pictures[0], instances=())
    some = dataclasses.replace(found, pictures=(first, *found.pictures[1:3]))
    without = dataclasses.replace(PLAIN, batch=3, keep_empty_images=True)
    assert (steps(some, without, 0, 1)[0]["labels"].sum(axis=1) == 0).sum() == 1
    most = dataclasses.replace(PLAIN, batch=3)
    assert (steps(some, most, 0, 1)[0]["labels"].sum(axis=1) > 0).all()


def test_nothing_to_learn_from_is_an_error(found):
    none = tuple(dataclasses.replace(p, instances=()) for p in found.pictures)
    with pytest.raises(UserError, match="none of its 5 pictures has a visible"):
        batches.batches(
            dataclasses.replace(found, pictures=none), CONFIG, 3, 0, 1
        )


def test_another_number_of_keypoints_is_an_error(found):
    config = dataclasses.replace(CONFIG, num_keypoints=17)
    with pytest.raises(UserError, match="'box' has 2 keypoints. Expected 17"):
        batches.batches(found, config, 3, 0, 1)


def test_a_canvas_of_other_sides_is_an_error():
    with pytest.raises(ValueError, match="multiples of 32"):
        dataclasses.replace(CONFIG, canvas_px=(100, 128))


def test_an_object_without_a_mask_is_named_before_the_first_batch(found):
    first = found.pictures[0]
    bare = dataclasses.replace(first.instances[0], segmentation=None)
    changed = dataclasses.replace(first, instances=(bare,))
    some = dataclasses.replace(found, pictures=(changed,))
    with pytest.raises(UserError, match=f"annotation {bare.id} has no segm"):
        batches.batches(some, CONFIG, 3, 0, 1)
    without = dataclasses.replace(CONFIG, mask_cells=0)
    assert len(steps(some, without, 0, 1)) == 1


def test_a_bad_picture_is_told_and_the_next_one_taken(found, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    damaged = dataclasses.replace(found.pictures[0], path=bad)
    some = dataclasses.replace(found, pictures=(damaged, found.pictures[1]))
    told = {}
    made = batches.batches(
        some,
        PLAIN,
        3,
        0,
        2,
        on_bad=lambda picture, reason: told.update({picture.id: reason}),
    )
    boxes = {
        tuple(row[0]) for b in made.as_numpy_iterator() for row in b["boxes"]
    }
    assert len(boxes) == 1  # the good one, again and again
    assert list(told) == [damaged.id] and "bad.png" in told[damaged.id]


@pytest.mark.parametrize("scaled_px", range(50, 96))
def test_a_keypoint_on_the_edge_of_a_box_stays_on_it(found, scaled_px):
    picture = found.pictures[0]
    box = (3.0, 5.0, 88.0, 57.0)
    one = dataclasses.replace(
        picture.instances[0],
        box=box,
        keypoints=(88.0, 57.0, 2.0, 3.0, 5.0, 2.0),
    )
    some = dataclasses.replace(
        found, pictures=(dataclasses.replace(picture, instances=(one,)),)
    )
    config = dataclasses.replace(
        CONFIG, batch=4, short_sides_px=(scaled_px,), long_side_px=2 * scaled_px
    )
    batch = steps(some, config, 0, 1)[0]
    x1, y1, x2, y2 = batch["boxes"][:, 0].T
    x, y, _ = np.moveaxis(batch["keypoints"][:, 0], -1, 0)
    assert ((x >= x1[:, None]) & (x <= x2[:, None])).all()
    assert ((y >= y1[:, None]) & (y <= y2[:, None])).all()
