"""Training batches, as a function of seed and step."""

import dataclasses

import numpy as np
import pytest

from nonlocal_tf.detection import BGR, RGB, preprocessing
from tests.training.reproduce import synthetic_coco
from training.coco import annotation_reader, batches, image_files
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
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    path = synthetic_coco.write(folder, count=5, size=(60, 91), objects=3)
    return annotation_reader.read(path, str(folder))


def steps(annotations, config, first, last, seed=3):
    data = batches.batches(annotations, config, seed, first, last)
    return list(data.as_numpy_iterator())


def test_all_batches_have_one_static_shape(annotations):
    data = batches.batches(annotations, CONFIG, 3, 0, 4)
    assert int(data.cardinality()) == 4
    spec = data.element_spec
    assert spec["images"].shape == (2, 96, 128, 3)
    assert spec["boxes"].shape == (2, 3, 4)
    assert spec["masks"].shape == (2, 3, 7, 7)
    assert spec["keypoints"].shape == (2, 3, 2, 3)
    assert spec["crowds"].shape == (2, 0, 4)


def test_a_batch_is_a_function_of_seed_and_step(annotations):
    run = steps(annotations, CONFIG, 0, 6)
    resumed = steps(annotations, CONFIG, 4, 6)
    for expected, actual in zip(run[4:], resumed, strict=True):
        for name, array in expected.items():
            np.testing.assert_array_equal(actual[name], array)
    with_other_seed = steps(annotations, CONFIG, 0, 6, seed=4)
    assert any(
        (a["images"] != b["images"]).any()
        for a, b in zip(run, with_other_seed, strict=True)
    )


def test_each_image_comes_once_in_an_epoch(annotations):
    counts = [0] * 5
    first_boxes = np.array([i.instances[0].box for i in annotations.images])
    for batch in steps(annotations, PLAIN, 0, 5):  # two epochs of 5 images
        for boxes, size in zip(batch["boxes"], batch["sizes"], strict=True):
            scale = np.array([91, 60, 91, 60]) / size[[1, 0, 1, 0]]
            distance = np.abs(first_boxes - boxes[0] * scale).max(axis=1)
            assert distance.min() < 1e-4
            counts[int(distance.argmin())] += 1
    assert counts == [2] * 5


def test_images_are_preprocessed_as_at_inference(annotations):
    config = dataclasses.replace(PLAIN, channel_order="bgr")
    batch = steps(annotations, config, 0, 1)[0]
    expected = [
        preprocessing.preprocess(image_files.read(i.path), 72, 120, BGR)
        for i in annotations.images
    ]
    for image, size in zip(batch["images"], batch["sizes"], strict=True):
        height, width = size
        # The same bilinear weights, multiplied in another order.
        error = min(
            np.abs(
                np.asarray(x)[0, :height, :width] - image[:height, :width]
            ).max()
            for x, _ in expected
        )
        assert error < 1e-4 * 255
        assert not image[height:].any() and not image[:, width:].any()
        assert tuple(size) == expected[0][1]


def test_large_images_are_resized_to_the_canvas(annotations):
    config = dataclasses.replace(PLAIN, short_sides_px=(300,), long_side_px=900)
    for batch in steps(annotations, config, 0, 2):
        assert (batch["sizes"] <= (96, 128)).all()
        assert (batch["sizes"][:, 1] == 128).all()
        assert (batch["boxes"][..., 2] <= batch["sizes"][:, 1:]).all()


def test_boxes_are_of_the_objects_in_the_image(annotations):
    """Colours in boxes are those of their labels, flipped and resized too."""
    colours = np.array([synthetic_coco.COLOURS[3], synthetic_coco.COLOURS[8]])
    for batch in steps(annotations, CONFIG, 0, 6):
        pixels = batch["images"] * RGB.std + RGB.mean
        for image, boxes, labels in zip(
            pixels, batch["boxes"], batch["labels"], strict=True
        ):
            for box, label in zip(boxes, labels, strict=True):
                if label == 0:
                    assert not box.any()
                    continue
                x1, y1, x2, y2 = box
                # Near the lower edge, both shapes have their colour.
                pixel = image[int(y2 - 0.15 * (y2 - y1)), int((x1 + x2) / 2)]
                distance = np.abs(colours - pixel).sum(axis=1)
                assert distance.argmin() == label - 1 and distance.min() < 30


def test_half_of_the_images_are_flipped(annotations, monkeypatch):
    calls = []
    flip = batches.horizontal_flip.flip

    def counted(*arguments):
        calls.append(1)
        return flip(*arguments)

    monkeypatch.setattr(batches.horizontal_flip, "flip", counted)
    steps(annotations, CONFIG, 0, 200)
    # 400 draws: within four standard deviations.
    assert 160 <= len(calls) <= 240


def test_each_image_of_a_run_has_its_own_seed(annotations):
    rows = [row for b in steps(annotations, CONFIG, 1, 4) for row in b["seeds"]]
    assert [tuple(row) for row in rows] == [(3, n) for n in range(2, 8)]


@pytest.mark.parametrize("keep", [False, True])
def test_images_without_objects_are_optional(annotations, keep):
    empty = dataclasses.replace(annotations.images[0], instances=())
    images = (empty, *annotations.images[1:3])
    config = dataclasses.replace(PLAIN, batch=3, keep_empty_images=keep)
    with_empty = dataclasses.replace(annotations, images=images)
    labels = steps(with_empty, config, 0, 1)[0]["labels"]
    assert (labels.sum(axis=1) == 0).sum() == int(keep)


def test_annotations_without_objects_are_an_error(annotations):
    images = tuple(
        dataclasses.replace(i, instances=()) for i in annotations.images
    )
    empty = dataclasses.replace(annotations, images=images)
    with pytest.raises(UserError, match="none of its 5 images has a visible"):
        batches.batches(empty, CONFIG, 3, 0, 1)


def test_another_number_of_keypoints_is_an_error(annotations):
    config = dataclasses.replace(CONFIG, num_keypoints=17)
    with pytest.raises(UserError, match="'box' has 2 keypoints. Expected 17"):
        batches.batches(annotations, config, 3, 0, 1)


def test_sides_of_the_canvas_are_multiples_of_32():
    with pytest.raises(ValueError, match="multiples of 32"):
        dataclasses.replace(CONFIG, canvas_px=(100, 128))


def test_an_object_without_a_mask_is_an_error_before_the_first_batch(
    annotations,
):
    image = annotations.images[0]
    instance = dataclasses.replace(image.instances[0], segmentation=None)
    image = dataclasses.replace(image, instances=(instance,))
    annotations = dataclasses.replace(annotations, images=(image,))
    with pytest.raises(UserError, match=f"annotation {instance.id} has no seg"):
        batches.batches(annotations, CONFIG, 3, 0, 1)
    without_masks = dataclasses.replace(CONFIG, mask_cells=0)
    assert len(steps(annotations, without_masks, 0, 1)) == 1


def test_the_next_image_replaces_an_unreadable_one(annotations, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"no image")
    damaged = dataclasses.replace(annotations.images[0], path=path)
    images = (damaged, annotations.images[1])
    reasons = {}
    data = batches.batches(
        dataclasses.replace(annotations, images=images),
        PLAIN,
        3,
        0,
        2,
        on_bad=lambda image, reason: reasons.update({image.id: reason}),
    )
    boxes = {
        tuple(row[0]) for b in data.as_numpy_iterator() for row in b["boxes"]
    }
    assert len(boxes) == 1  # always of the readable image
    assert list(reasons) == [damaged.id] and "bad.png" in reasons[damaged.id]


@pytest.mark.parametrize("short_side_px", range(50, 96))
def test_a_keypoint_on_the_edge_of_a_box_stays_on_it(
    annotations, short_side_px
):
    image = annotations.images[0]
    instance = dataclasses.replace(
        image.instances[0],
        box=(3.0, 5.0, 88.0, 57.0),
        keypoints=(88.0, 57.0, 2.0, 3.0, 5.0, 2.0),
    )
    image = dataclasses.replace(image, instances=(instance,))
    config = dataclasses.replace(
        CONFIG,
        batch=4,
        short_sides_px=(short_side_px,),
        long_side_px=2 * short_side_px,
    )
    annotations = dataclasses.replace(annotations, images=(image,))
    batch = steps(annotations, config, 0, 1)[0]
    x1, y1, x2, y2 = batch["boxes"][:, 0].T
    x, y, _ = np.moveaxis(batch["keypoints"][:, 0], -1, 0)
    assert ((x >= x1[:, None]) & (x <= x2[:, None])).all()
    assert ((y >= y1[:, None]) & (y <= y2[:, None])).all()
