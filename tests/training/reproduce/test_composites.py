"""Images and annotations of the synthetic data set with a distant cue."""

import dataclasses
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


def make_annotations(folder, composites_=MADE):
    path = composites.write(composites_, paths.as_path(str(folder)))
    return annotation_reader.read(str(path), str(folder))


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    return make_annotations(tmp_path_factory.mktemp("made"))


def cue_of(image):
    """Return the label that the bar stands for, and its middle column."""
    for label, colour in enumerate(composites.CUES.values(), 1):
        is_cue = (image == colour).all(axis=-1)
        if is_cue.sum() == composites.CUE_PX * len(image):
            return label, np.nonzero(is_cue)[1].mean()
    raise AssertionError("no cue")


def test_annotations_have_no_problems(annotations):
    assert annotations.problems == ()
    assert len(annotations.images) == 7
    assert [len(image.instances) for image in annotations.images] == [4] * 7


def test_the_class_of_a_disc_is_that_of_the_distant_cue(annotations):
    cue_labels = set()
    for image in annotations.images:
        label, column = cue_of(image_files.read(image.path))
        labels = sorted(instance.label for instance in image.instances)
        assert labels == [label] * 3 + [3]
        cue_labels.add(label)
        for instance in image.instances:
            ends = np.array([instance.box[0], instance.box[2]])
            assert np.abs(ends - column).min() > 200
    assert cue_labels == {1, 2}


def test_the_cue_tells_which_end_of_a_disc_is_its_keypoint(tmp_path):
    keypoints = dataclasses.replace(MADE, task="keypoint")
    annotations = make_annotations(tmp_path, keypoints)
    assert annotations.problems == ()
    ends = set()
    for image in annotations.images:
        label, _ = cue_of(image_files.read(image.path))
        assert len(image.instances) == 3
        for instance in image.instances:
            x1, y1, x2, y2 = instance.box
            x, y, visible = instance.keypoints
            assert visible == 2 and x == (x1 + x2) / 2
            end = "top" if y < y1 + 0.2 * (y2 - y1) else "bottom"
            assert end == "top" or y > y1 + 0.8 * (y2 - y1)
            ends.add((label, end))
    assert ends == {(1, "top"), (2, "bottom")}


def test_keypoints_are_of_the_images_of_classes(annotations, tmp_path):
    keypoints = dataclasses.replace(MADE, task="keypoint")
    for image, other in zip(
        annotations.images,
        make_annotations(tmp_path, keypoints).images,
        strict=True,
    ):
        assert image.path.read_bytes() == other.path.read_bytes()
        discs = [disc.box for disc in image.instances if disc.label != 3]
        assert [disc.box for disc in other.instances] == discs


def test_masks_cover_the_drawn_pixels(annotations):
    for image in annotations.images:
        pixels = image_files.read(image.path)
        for instance in image.instances:
            mask = coco_api.decode_mask(instance.segmentation, pixels.shape[:2])
            # COCO rounds a polygon's corners; its border is two pixels wide.
            assert abs(mask.sum() - instance.area) < 0.1 * instance.area
            colours, counts = np.unique(
                pixels[mask], axis=0, return_counts=True
            )
            assert counts.max() > 0.9 * mask.sum()
            kind = "box" if instance.label == 3 else "disc"
            full = np.array(composites.COLOURS[kind])
            shade = colours[counts.argmax()] / np.maximum(full, 1)
            assert 0.79 < shade[full > 0].min() and shade.max() <= 1


def test_the_seed_determines_the_images(annotations, tmp_path):
    again = make_annotations(tmp_path)
    for first, second in zip(annotations.images, again.images, strict=True):
        assert first.path.read_bytes() == second.path.read_bytes()
        assert first.instances == second.instances
    other = tmp_path / "other"
    other.mkdir()
    changed = make_annotations(other, composites.Composites("china", 7, seed=6))
    assert changed.images[0].instances != annotations.images[0].instances


def test_annotations_are_plain_json(tmp_path):
    path = composites.write(MADE, paths.as_path(str(tmp_path)))
    content = json.loads(path.read_text("utf-8"))
    names = [category["name"] for category in content["categories"]]
    assert names == list(composites.CATEGORIES)


def test_crops_match_their_labels():
    pixels, labels = composites.crops("flower", 60, 48, 3)
    assert pixels.shape == (60, 48, 48, 3) and set(labels) == set(range(5))
    for image, label in zip(pixels, labels, strict=True):
        kind = composites.CROPS[label]
        for name, colour in composites.CUES.items():
            is_cue = (image == colour).all(axis=-1)
            expected_count = 48 * composites.CUE_PX if name == kind else 0
            assert is_cue.sum() == expected_count


def test_existing_images_of_the_user_are_not_overwritten(tmp_path):
    (tmp_path / "00001.png").write_bytes(b"theirs")
    with pytest.raises(UserError, match=r"00001\.png exists"):
        composites.write(MADE, tmp_path)
    assert (tmp_path / "00001.png").read_bytes() == b"theirs"
