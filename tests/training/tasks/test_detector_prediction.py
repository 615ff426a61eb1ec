"""Detection by the predict command: JSON and drawings."""

import json

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import Detections, MaskRCNN
from tests.detection import tiny_detectors
from training import predict
from training.coco import coco_names, rle, trained_detector
from training.io import cli, paths
from training.io.user_error import UserError
from training.tasks import detector_prediction, detector_setup

NAME = "tiny_keypoint_rcnn"


@pytest.fixture
def model(monkeypatch):
    """A small keypoint detector, run eagerly."""
    detector = tiny_detectors.detector(NAME)
    trained = trained_detector.TrainedDetector(
        "x.pth",
        detector,
        coco_names.categories_of(2, detector.config.num_keypoints),
        short_side_px=64,
        long_side_px=96,
    )
    monkeypatch.setattr(MaskRCNN, "inference_function", lambda self: self)
    monkeypatch.setattr(detector_setup, "load_detector", lambda path: trained)
    return trained


@pytest.fixture
def folder(tmp_path):
    """Three images, a damaged image and a text file."""
    pixels = tiny_detectors.stored(NAME)[1]["image"][:64, :96]
    content = tf.io.encode_png(pixels).numpy()
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    (images / "a.png").write_bytes(content)
    (images / "b.PNG").write_bytes(content)
    (images / "bad.jpg").write_bytes(b"no image")
    (images / "notes.txt").write_text("x")
    (images / "more" / "a.png").write_bytes(content)
    return images


@pytest.mark.parametrize("score", ["50", "-0.1", "nan", "x", "1.01"])
def test_an_invalid_score_threshold_is_an_error(score, capsys):
    with pytest.raises(SystemExit) as caught:
        predict.main(["a.png", f"--score-threshold={score}"])
    assert caught.value.code == cli.USER_ERROR
    assert "a score from 0 to 1" in capsys.readouterr().err


def test_folders_are_searched_for_all_image_formats(tmp_path):
    names = ["a.webp", "b.WEBP", "c.bmp", "d.gif", "e.jpeg", "f.jpg", "g.png"]
    for name in [*names, "notes.txt"]:
        (tmp_path / name).touch()
    assert [
        path.name for path in detector_prediction.find([str(tmp_path)])
    ] == names


def test_detections_and_drawings_are_written(model, folder, tmp_path, capsys):
    out = tmp_path / "found"
    options = [str(folder), str(folder / "more" / "a.png"), "--weights=x.pth"]
    predict.main([*options, f"--out={out}", "--score-threshold=0"])
    rows = json.loads((out / detector_prediction.DETECTIONS).read_text())[
        "pictures"
    ]
    assert [row.get("drawn") for row in rows] == [
        "a.png",
        "b.png",
        None,
        "a_2.png",
    ]
    assert "bad.jpg is damaged" in rows[2]["error"]
    printed = capsys.readouterr().out
    assert "3 images processed" in printed and "1 of 4 could not" in printed
    image = tf.io.decode_png((folder / "a.png").read_bytes()).numpy()
    expected = model.detect(image)
    objects = rows[0]["objects"]
    assert len(objects) == len(expected.boxes) > 0
    assert (rows[0]["height"], rows[0]["width"]) == (64, 96)
    for number, detected in enumerate(objects):
        assert detected["class"] == "person"
        np.testing.assert_allclose(
            detected["box"], expected.boxes[number], rtol=0, atol=0.006
        )
        assert detected["score"] == pytest.approx(
            float(expected.scores[number]), abs=1e-5
        )
        points = [[p["x"], p["y"]] for p in detected["keypoints"]]
        np.testing.assert_allclose(
            points, expected.keypoints[number, :, :2], rtol=0, atol=0.006
        )
        assert detected["keypoints"][9]["name"] == "left_wrist"
    for name in ("a.png", "b.png", "a_2.png"):
        drawn = tf.io.decode_png((out / name).read_bytes()).numpy()
        assert drawn.shape == image.shape and (drawn != image).any()


def test_masks_are_encoded_as_rle():
    masks = np.zeros((1, 4, 5), bool)
    masks[0, 1:3, 2:] = True
    detections = Detections(
        np.float32([[2, 1, 5, 3]]), np.int32([1]), np.float32([0.5]), masks
    )
    category = coco_names.categories_of(3)
    (row,) = detector_prediction.objects_of(detections, category)
    assert row["class"] == "class 1"
    assert row["mask"] == rle.encode(masks[0])


def test_damaged_images_alone_are_an_error(model, folder, tmp_path, capsys):
    options = [str(folder / "bad.jpg"), "--weights=x", f"--out={tmp_path}"]
    assert cli.run(predict.main, options) == cli.USER_ERROR
    assert "bad.jpg is damaged" in capsys.readouterr().err


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(UserError, match="contains no image"):
        detector_prediction.find([str(tmp_path)])


def test_images_listed_twice_are_processed_once(folder):
    paths_ = detector_prediction.find([str(folder / "b.PNG"), str(folder)])
    assert [path.name for path in paths_] == ["b.PNG", "a.png", "bad.jpg"]
    assert paths_[0] == paths.as_path(str(folder / "b.PNG"))


@pytest.mark.parametrize(
    "options", [["a.png"], ["a.png", "--model=x", "--weights=y"]]
)
def test_exactly_one_detector_is_required(options, capsys):
    assert cli.run(predict.main, options) == cli.USER_ERROR
    assert "Give " in capsys.readouterr().err


def test_a_missing_weights_file_is_named():
    with pytest.raises(UserError, match=r"no file none\.pth"):
        trained_detector.load_detector("none.pth")


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_input_images_are_not_overwritten(model, folder):
    before = contents(folder)
    options = [str(folder), "--weights=x.pth", f"--out={folder}"]
    for _ in range(2):  # the second time, drawings of the first are replaced
        predict.main(options)
        after = contents(folder)
        assert {name: after[name] for name in before} == before
        new = {n for n in after if n not in before and not n.startswith(".")}
        assert new == {detector_prediction.DETECTIONS, "a_2.png", "b_2.png"}
        rows = json.loads(after[detector_prediction.DETECTIONS])["pictures"]
        assert [row.get("drawn") for row in rows] == [
            "a_2.png",
            "b_2.png",
            None,
        ]


def test_other_files_of_the_user_are_not_overwritten(
    model, folder, tmp_path, capsys
):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "A.png").write_bytes(b"theirs")
    predict.main([str(folder), "--weights=x.pth", f"--out={out}"])
    assert (out / "A.png").read_bytes() == b"theirs"
    assert (out / "a_2.png").exists() and not (out / "a.png").exists()
    (out / detector_prediction.DETECTIONS).write_bytes(b"theirs")
    options = [str(folder), "--weights=x.pth", f"--out={out}"]
    assert cli.run(predict.main, options) == cli.USER_ERROR
    error = capsys.readouterr().err
    assert "detections.json exists" in error and error.count("\n") == 1
    assert (out / detector_prediction.DETECTIONS).read_bytes() == b"theirs"
