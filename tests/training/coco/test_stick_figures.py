"""Images and annotations of the stick figures data set."""

import numpy as np
import pytest

from tests.training.coco import stick_figures
from training.coco import (
    annotation_reader,
    coco_api,
    horizontal_flip,
    image_files,
)
from training.io import paths
from training.reproduce import composites

pytest.importorskip("pycocotools")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    config = composites.Composites("flower", 6, seed=3, size_px=(96, 160))
    path = stick_figures.write(config, paths.as_path(str(folder)))
    return annotation_reader.read(str(path), str(folder))


def points_of(instance):
    points = np.reshape(instance.keypoints, (-1, 3))
    return dict(zip(stick_figures.NAMES, points[:, :2], strict=True))


def test_annotations_have_no_problems(annotations):
    assert annotations.problems == ()
    counts = {len(image.instances) for image in annotations.images}
    assert counts == {1, 2}
    (category,) = annotations.categories
    assert category.keypoints == stick_figures.NAMES
    assert len(horizontal_flip.keypoint_partners(category)) == 17


def test_wrists_and_ankles_have_the_colour_of_their_side(annotations):
    colours = {"left": stick_figures.LEFT, "right": stick_figures.RIGHT}
    for image in annotations.images:
        pixels = image_files.read(image.path)
        for instance in image.instances:
            points = points_of(instance)
            for side, colour in colours.items():
                for part in ("wrist", "ankle"):
                    x, y = points[f"{side}_{part}"].astype(int)
                    assert tuple(pixels[y, x]) == colour


def test_left_keypoints_are_to_the_right_of_right_keypoints(annotations):
    for image in annotations.images:
        for instance in image.instances:
            points = points_of(instance)
            for part in ("eye", "ear", "shoulder", "hip"):
                assert points[f"left_{part}"][0] > points[f"right_{part}"][0]


def test_masks_cover_the_drawn_pixels_and_boxes_enclose_them(annotations):
    drawn = [stick_figures.LEFT, stick_figures.RIGHT, stick_figures.MIDDLE]
    for image in annotations.images:
        pixels = image_files.read(image.path)
        for instance in image.instances:
            mask = coco_api.decode_mask(instance.segmentation, pixels.shape[:2])
            assert mask.sum() == instance.area
            is_drawn = (pixels[mask][:, None] == drawn).all(-1).any(-1)
            assert is_drawn.all()
            rows, columns = np.nonzero(mask)
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert instance.box == box
