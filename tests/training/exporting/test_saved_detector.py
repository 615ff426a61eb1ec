"""SavedModels of detectors find what `detect` finds, without our code."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import masks as pasting
from tests.detection import tiny_detectors
from tests.detection.tiny_detectors import nearest
from tests.training.exporting.bombs import huge_jpeg
from training.coco import coco_names
from training.coco.trained_detector import TrainedDetector
from training.exporting import mask_rcnn_export, saved_model
from training.io import paths
from training.tasks import detector_export

# In a process that has TensorFlow alone.
CLIENT = """
import sys
for name in ("nonlocal_tf", "training", "keras"):
    sys.modules[name] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
content = tf.io.read_file(sys.argv[2])
found = model.signatures["serving_default"](tf.stack([content, content]))
import numpy as np
np.savez(sys.argv[3], **{name: value[1] for name, value in found.items()})
"""


def model_of(name):
    sizes, _ = tiny_detectors.stored(name)
    detector = tiny_detectors.detector(name)
    config = detector.config
    return TrainedDetector(
        name,
        detector,
        coco_names.categories_of(config.num_classes, config.num_keypoints),
        sizes["min_size"],
        sizes["max_size"],
    )


def exported(name, tmp_path_factory):
    """(the detector, what was exported of it)."""
    model = model_of(name)
    out = paths.as_path(str(tmp_path_factory.mktemp(name)))
    return model, detector_export.export_detector(model, out / "versions")


@pytest.fixture(scope="module")
def of_masks(tmp_path_factory):
    """The detector, and its export by a script."""
    model = model_of("tiny_mask_rcnn")
    out = tmp_path_factory.mktemp("tiny_mask_rcnn") / "versions"
    names = [category.name for category in model.categories]
    return model, mask_rcnn_export.detector(model.detector, out, classes=names)


@pytest.fixture(scope="module")
def of_keypoints(tmp_path_factory):
    return exported("tiny_keypoint_rcnn", tmp_path_factory)


def picture(model, size=(100, 141)):
    """The fixture's image, of another size."""
    image = tiny_detectors.stored(model.origin)[1]["image"]
    return np.ascontiguousarray(image[: size[0], : size[1]])


def check(outputs, model, image):
    """Check that outputs equal those of `detect`."""
    expected = model.detect(image)
    count = int(outputs["count"])
    assert count == len(expected.boxes) > 0
    assert not np.asarray(outputs["scores"])[count:].any()
    order, distance = nearest(
        np.asarray(outputs["boxes"])[:count], expected.boxes
    )
    assert len(set(order)) == count
    # The same operations, which graphs put together; torch's own float32 is
    # 0.02 from its float64 here.
    assert distance.max() < 5e-3
    np.testing.assert_allclose(
        np.asarray(outputs["scores"])[order], expected.scores, rtol=0, atol=1e-4
    )
    np.testing.assert_array_equal(
        np.asarray(outputs["labels"])[order], expected.labels
    )
    np.testing.assert_array_equal(outputs["size"], image.shape[:2])
    if expected.masks is not None:
        masks = np.asarray(outputs["masks"])[order]
        boxes = np.asarray(outputs["boxes"])[order]
        pasted = pasting.paste(masks, boxes, image.shape[:2])
        is_mask = pasted >= pasting.THRESHOLD
        # Pixels whose probability is near to the threshold.
        assert (is_mask != expected.masks).mean() < 1e-4
    if expected.keypoints is not None:
        got = np.asarray(outputs["keypoints"])[order]
        distances = np.abs(got[..., :2] - expected.keypoints[..., :2]).max(-1)
        # But for a map whose best two cells are as good, to rounding.
        assert (distances < 5e-3).mean() > 0.99
        scores = expected.keypoint_scores
        distances = np.abs(got[..., 2] - scores).max()
        assert distances < 2e-4 * np.abs(scores).max()


@pytest.mark.full
def test_pixels_give_the_detections_of_detect(of_keypoints):
    model, path = of_keypoints
    loaded = tf.saved_model.load(str(path))
    for size in ((100, 141), (128, 90)):
        image = picture(model, size)
        outputs = loaded.signatures["serve_pixels"](tf.constant(image))
        check(outputs, model, image)


@pytest.mark.slow
def test_bytes_are_detected_without_this_library_and_keras(of_masks, tmp_path):
    model, path = of_masks
    image = picture(model)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(image).numpy())
    outputs = tmp_path / "found.npz"
    command = [sys.executable, "-c", CLIENT, path, tmp_path / "a.png", outputs]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path)
    check(np.load(outputs), model, image)


@pytest.mark.slow
def test_weights_are_there_once(of_masks):
    model, path = of_masks
    weights = sum(w.numpy().nbytes for w in model.detector.weights)
    names = tf.train.list_variables(str(path / "variables" / "variables"))
    stored = sum(
        4 * np.prod(shape, dtype=int)
        for name, shape in names
        if name.endswith("VARIABLE_VALUE")
    )
    assert stored == weights
    size = sum(f.stat().st_size for f in (path / "variables").iterdir())
    assert size < 1.1 * weights + 20_000  # names of the index


@pytest.mark.slow
def test_class_names_are_assets(of_masks):
    model, path = of_masks
    names = (path / "assets" / saved_model.CLASSES).read_text().splitlines()
    assert names == [category.name for category in model.categories]
    rows = json.loads((path / "assets" / saved_model.CATEGORIES).read_text())
    assert [row["name"] for row in rows] == names


@pytest.mark.full
def test_the_next_export_is_the_next_version(of_masks):
    model, path = of_masks
    again = detector_export.export_detector(model, path.parent, "bfloat16")
    assert (path.name, again.name) == ("1", "2")
    size, smaller = (
        sum(f.stat().st_size for f in (version / "variables").iterdir())
        for version in (path, again)
    )
    assert smaller < 0.7 * size


@pytest.mark.slow
def test_an_image_that_states_too_many_pixels_is_refused(of_masks):
    serve = tf.saved_model.load(str(of_masks[1])).signatures["serving_default"]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="at most 67108864"
    ):
        serve(tf.constant([huge_jpeg()]))
