"""Made pictures and what their annotations say of them."""

import json

import numpy as np
import pytest

from training.coco import annotation_reader, coco_api, image_files
from training.io import paths
from training.io.user_error import UserError
from training.reproduce import composites

pytest.importorskip("pycocotools")
pytest.importorskip("sklearn")

MADE = composites.Composites("china", 7, seed=5)


def made(folder, composites_=MADE):
    path = composites.write(composites_, paths.as_path(str(folder)))
    return annotation_reader.read(str(path), str(folder))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made"))


def cue_of(image):
    """The number of a disc's class by the bar, and its middle column."""
    for label, colour in enumerate(composites.CUES.values(), 1):
        is_cue = (image == colour).all(axis=-1)
        if is_cue.sum() == composites.CUE_PX * len(image):
            return label, np.nonzero(is_cue)[1].mean()
    raise AssertionError("no cue")


def test_annotations_have_no_problems(found):
    assert found.problems == ()
    assert len(found.images) == 7
    assert [len(picture.instances) for picture in found.images] == [4] * 7


def test_the_class_of_a_disc_is_that_of_a_far_cue(found):
    seen = set()
    for picture in found.images:
        label, column = cue_of(image_files.read(picture.path))
        labels = sorted(one.label for one in picture.instances)
        assert labels == [label] * 3 + [3]
        seen.add(label)
        for one in picture.instances:
            ends = np.array([one.box[0], one.box[2]])
            assert np.abs(ends - column).min() > 200
    assert seen == {1, 2}


def test_masks_are_the_pixels_that_were_drawn(found):
    for picture in found.images:
        image = image_files.read(picture.path)
        for one in picture.instances:
            mask = coco_api.decode_mask(one.segmentation, image.shape[:2])
            # COCO rounds a polygon's corners; its border is two pixels wide.
            assert abs(mask.sum() - one.area) < 0.1 * one.area
            colours, counts = np.unique(image[mask], axis=0, return_counts=True)
            assert counts.max() > 0.9 * mask.sum()
            kind = "box" if one.label == 3 else "disc"
            full = np.array(composites.COLOURS[kind])
            shade = colours[counts.argmax()] / np.maximum(full, 1)
            assert 0.79 < shade[full > 0].min() and shade.max() <= 1


def test_pictures_are_a_function_of_the_seed(found, tmp_path):
    again = made(tmp_path)
    for one, two in zip(found.images, again.images, strict=True):
        assert one.path.read_bytes() == two.path.read_bytes()
        assert one.instances == two.instances
    other = tmp_path / "other"
    other.mkdir()
    changed = made(other, composites.Composites("china", 7, seed=6))
    assert changed.images[0].instances != found.images[0].instances


def test_annotations_are_plain_json(tmp_path):
    path = composites.write(MADE, paths.as_path(str(tmp_path)))
    content = json.loads(path.read_text("utf-8"))
    names = [category["name"] for category in content["categories"]]
    assert names == list(composites.CATEGORIES)


def test_crops_have_what_their_labels_say():
    pixels, labels = composites.crops("flower", 60, 48, 3)
    assert pixels.shape == (60, 48, 48, 3) and set(labels) == set(range(5))
    for image, label in zip(pixels, labels, strict=True):
        kind = composites.CROPS[label]
        for name, colour in composites.CUES.items():
            is_cue = (image == colour).all(axis=-1)
            wanted = 48 * composites.CUE_PX if name == kind else 0
            assert is_cue.sum() == wanted


def test_pictures_of_the_user_stay(tmp_path):
    (tmp_path / "00001.png").write_bytes(b"theirs")
    with pytest.raises(UserError, match=r"00001\.png exists"):
        composites.write(MADE, tmp_path)
    assert (tmp_path / "00001.png").read_bytes() == b"theirs"
