"""Stick figures: where their keypoints are, and what is said of them."""

import numpy as np
import pytest

from training.coco import (
    annotation_reader,
    coco_api,
    horizontal_flip,
    image_files,
)
from training.io import paths
from training.reproduce import composites, stick_figures

pytest.importorskip("pycocotools")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    made = composites.Composites("flower", 6, seed=3, size_px=(96, 160))
    path = stick_figures.write(made, paths.as_path(str(folder)))
    return annotation_reader.read(str(path), str(folder))


def points_of(one):
    points = np.reshape(one.keypoints, (-1, 3))
    return dict(zip(stick_figures.NAMES, points[:, :2], strict=True))


def test_annotations_have_no_problems(found):
    assert found.problems == ()
    counts = {len(picture.instances) for picture in found.images}
    assert counts == {1, 2}
    (category,) = found.categories
    assert category.keypoints == stick_figures.NAMES
    assert len(horizontal_flip.keypoint_partners(category)) == 17


def test_hands_and_feet_have_the_colour_of_their_side(found):
    colours = {"left": stick_figures.LEFT, "right": stick_figures.RIGHT}
    for picture in found.images:
        image = image_files.read(picture.path)
        for one in picture.instances:
            at = points_of(one)
            for side, colour in colours.items():
                for part in ("wrist", "ankle"):
                    x, y = at[f"{side}_{part}"].astype(int)
                    assert tuple(image[y, x]) == colour


def test_left_is_on_the_right_of_who_faces_the_viewer(found):
    for picture in found.images:
        for one in picture.instances:
            at = points_of(one)
            for part in ("eye", "ear", "shoulder", "hip"):
                assert at[f"left_{part}"][0] > at[f"right_{part}"][0]


def test_masks_are_what_was_drawn_and_boxes_go_round_them(found):
    drawn = [stick_figures.LEFT, stick_figures.RIGHT, stick_figures.MIDDLE]
    for picture in found.images:
        image = image_files.read(picture.path)
        for one in picture.instances:
            mask = coco_api.decode_mask(one.segmentation, image.shape[:2])
            assert mask.sum() == one.area
            is_drawn = (image[mask][:, None] == drawn).all(-1).any(-1)
            assert is_drawn.all()
            rows, columns = np.nonzero(mask)
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert one.box == box
