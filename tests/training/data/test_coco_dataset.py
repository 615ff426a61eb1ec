"""Annotated images as a data set for `fit`."""

import keras
import numpy as np
import pytest

from nonlocal_tf import detection
from nonlocal_tf.detection import ImagePreprocessing
from tests.training.reproduce import synthetic_coco
from training.coco import batches
from training.data import load_coco
from training.io.user_error import UserError

pytest.importorskip("pycocotools")
SIZES = {"short_side_px": 60, "long_side_px": 90}
SEED = 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of 5 and of 3 images, each with set.json; read-only."""
    train, validation = (
        tmp_path_factory.mktemp(name) for name in ("train", "validation")
    )
    synthetic_coco.write(train, 5)
    synthetic_coco.write(validation, 3, seed=1)
    return train, validation


@pytest.fixture(scope="module")
def coco(folders):
    train, validation = folders
    return load_coco(
        train / "set.json",
        train,
        validation=validation / "set.json",
        validation_images=validation,
        **SIZES,
    )


def as_arrays(dataset):
    return list(dataset.as_numpy_iterator())


def assert_equal(actual, expected):
    assert len(actual) == len(expected)
    for batch, other in zip(actual, expected, strict=True):
        assert batch.keys() == other.keys()
        for name, array in batch.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_classes_and_images_are_counted(coco):
    assert coco.classes == ("box", "wedge")
    assert coco.splits == {"train": 5, "validation": 3}
    assert coco.has_masks and coco.num_keypoints == 0
    assert coco.image_preprocessing == ImagePreprocessing(60, 90)
    assert "5 images, 8 objects" in coco.summary()
    assert "3 images, 5 objects" in coco.summary()


def test_epochs_are_successive_training_steps(coco):
    config = batches.BatchConfig(
        batch=2, canvas_px=(96, 96), short_sides_px=(60,), long_side_px=90
    )
    train = coco.batches("train", 2, seed=SEED)
    assert train.cardinality() == 3
    for epoch in range(2):
        expected = batches.batches(
            coco.train, config, SEED, 3 * epoch, 3 * epoch + 3
        )
        assert_equal(as_arrays(train), as_arrays(expected))
    coco.set_epoch(0)
    assert coco.begun_batches(0) == ""
    first = batches.batches(coco.train, config, SEED, 0, 3)
    assert_equal(as_arrays(train), as_arrays(first))
    assert coco.begun_batches(0) == f"batch_size=2, seed={SEED}"


def test_validation_batches_stay_the_same(coco):
    validation = coco.batches("validation", 2)
    arrays = as_arrays(validation)
    assert_equal(as_arrays(validation), arrays)
    images = {image.tobytes() for batch in arrays for image in batch["images"]}
    assert len(images) == 3


def test_keypoints_are_read_on_request(folders):
    coco = load_coco(
        folders[0] / "set.json", folders[0], keypoints=True, **SIZES
    )
    batch = as_arrays(coco.batches("train", 1))[0]
    assert batch["keypoints"].shape == (1, 2, 2, 3)


def test_unreadable_images_are_listed(tmp_path):
    path = synthetic_coco.write(tmp_path, 4)
    (tmp_path / "2.png").write_bytes(b"no image")
    coco = load_coco(path, tmp_path, **SIZES)
    as_arrays(coco.batches("train", 2))
    assert [bad.path for bad in coco.bad] == [str(tmp_path / "2.png")]
    with pytest.raises(UserError, match="1 of 4 images are bad"):
        coco.check_bad()
    coco.write_bad(tmp_path / "bad.csv")
    assert "2.png" in (tmp_path / "bad.csv").read_text()


def test_a_split_without_annotations_is_named(folders):
    coco = load_coco(folders[0] / "set.json", folders[0])
    with pytest.raises(UserError, match="validation="):
        coco.batches("validation", 2)
    with pytest.raises(UserError, match="'test'"):
        coco.batches("test", 2)


@pytest.mark.parametrize("batch_size", [0, 1.5])
def test_a_batch_size_is_a_positive_integer(coco, batch_size):
    with pytest.raises(UserError, match="batch_size"):
        coco.batches("train", batch_size)


def test_an_unknown_channel_order_is_named(folders):
    with pytest.raises(UserError, match="channel_order.*'rbg'"):
        load_coco(folders[0] / "set.json", folders[0], channel_order="rbg")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"short_side_px": "64"}, "integer above 0.*short_side_px='64'"),
        ({"long_side_px": 0}, "integer above 0.*long_side_px=0"),
        ({"short_sides_px": 64}, "integers above 0.*short_sides_px=64"),
        ({"short_sides_px": (64, "80")}, "short_sides_px=.64, '80'"),
        ({"short_side_px": 96, "long_side_px": 64}, "up to .*64.*: 96"),
    ],
)
def test_image_sizes_are_checked(folders, sizes, message):
    with pytest.raises(UserError, match=message):
        load_coco(folders[0] / "set.json", folders[0], **sizes)


def test_repr_is_one_line(coco):
    assert repr(coco) == (
        "<CocoDataset: 2 classes, train=5, validation=3, 0 bad>"
    )


def test_a_detector_for_other_data_is_named(coco):
    detector = detection.create_detector(
        "small", ("box", "wedge"), image_preprocessing=coco.image_preprocessing
    )
    coco.check_detector(detector)
    detector.image_preprocessing = ImagePreprocessing()
    with pytest.raises(UserError, match="short_side_px=60.*short_side_px=800"):
        coco.check_detector(detector)
    detector = detection.create_detector("small", ("box", "wedge", "cup"))
    with pytest.raises(UserError, match="2 classes.*num_classes=4"):
        coco.check_detector(detector)


def test_a_classifier_is_no_detector(coco):
    with pytest.raises(TypeError, match="detector.*Received: a Sequential"):
        coco.check_detector(keras.Sequential())
