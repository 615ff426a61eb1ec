"""Objects are found by a command: JSON and drawings."""

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
    """A small keypoint network; not in a graph, for once."""
    detector = tiny_detectors.detector(NAME)
    made = trained_detector.TrainedDetector(
        "x.pth",
        detector,
        coco_names.categories_of(2, detector.config.num_keypoints),
        short_side_px=64,
        long_side_px=96,
    )
    monkeypatch.setattr(MaskRCNN, "inference_function", lambda self: self)
    monkeypatch.setattr(detector_setup, "load_detector", lambda path: made)
    return made


@pytest.fixture
def folder(tmp_path):
    """Three pictures, what is none, and something else."""
    pixels = tiny_detectors.stored(NAME)[1]["image"][:64, :96]
    content = tf.io.encode_png(pixels).numpy()
    found = tmp_path / "pictures"
    (found / "more").mkdir(parents=True)
    (found / "a.png").write_bytes(content)
    (found / "b.PNG").write_bytes(content)
    (found / "bad.jpg").write_bytes(b"no picture")
    (found / "notes.txt").write_text("x")
    (found / "more" / "a.png").write_bytes(content)
    return found


@pytest.mark.parametrize("score", ["50", "-0.1", "nan", "x", "1.01"])
def test_an_invalid_score_threshold_is_an_error(score, capsys):
    with pytest.raises(SystemExit) as caught:
        predict.main(["a.png", f"--score-threshold={score}"])
    assert caught.value.code == cli.USER_ERROR
    assert "a score from 0 to 1" in capsys.readouterr().err


def test_folders_are_searched_for_all_kinds_of_pictures(tmp_path):
    names = ["a.webp", "b.WEBP", "c.bmp", "d.gif", "e.jpeg", "f.jpg", "g.png"]
    for name in [*names, "notes.txt"]:
        (tmp_path / name).touch()
    assert [
        path.name for path in detector_prediction.find([str(tmp_path)])
    ] == names


def test_what_is_found_is_written(model, folder, tmp_path, capsys):
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
    said = capsys.readouterr().out
    assert "3 images processed" in said and "1 of 4 could not" in said
    image = tf.io.decode_png((folder / "a.png").read_bytes()).numpy()
    expected = model.detect(image)
    objects = rows[0]["objects"]
    assert len(objects) == len(expected.boxes) > 0
    assert (rows[0]["height"], rows[0]["width"]) == (64, 96)
    for number, one in enumerate(objects):
        assert one["class"] == "person"
        np.testing.assert_allclose(
            one["box"], expected.boxes[number], rtol=0, atol=0.006
        )
        assert one["score"] == pytest.approx(
            float(expected.scores[number]), abs=1e-5
        )
        points = [[p["x"], p["y"]] for p in one["keypoints"]]
        np.testing.assert_allclose(
            points, expected.keypoints[number, :, :2], rtol=0, atol=0.006
        )
        assert one["keypoints"][9]["name"] == "left_wrist"
    for name in ("a.png", "b.png", "a_2.png"):
        drawn = tf.io.decode_png((out / name).read_bytes()).numpy()
        assert drawn.shape == image.shape and (drawn != image).any()


def test_masks_are_run_lengths():
    masks = np.zeros((1, 4, 5), bool)
    masks[0, 1:3, 2:] = True
    found = Detections(
        np.float32([[2, 1, 5, 3]]), np.int32([1]), np.float32([0.5]), masks
    )
    category = coco_names.categories_of(3)
    (one,) = detector_prediction.objects_of(found, category)
    assert one["class"] == "class 1"
    assert one["mask"] == rle.encode(masks[0])


def test_nothing_good_is_an_error(model, folder, tmp_path, capsys):
    options = [str(folder / "bad.jpg"), "--weights=x", f"--out={tmp_path}"]
    assert cli.run(predict.main, options) == cli.USER_ERROR
    assert "bad.jpg is damaged" in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(UserError, match="contains no image"):
        detector_prediction.find([str(tmp_path)])


def test_pictures_are_looked_at_once(folder):
    found = detector_prediction.find([str(folder / "b.PNG"), str(folder)])
    assert [path.name for path in found] == ["b.PNG", "a.png", "bad.jpg"]
    assert found[0] == paths.as_path(str(folder / "b.PNG"))


@pytest.mark.parametrize(
    "options", [["a.png"], ["a.png", "--model=x", "--weights=y"]]
)
def test_a_detector_has_to_be_named_once(options, capsys):
    assert cli.run(predict.main, options) == cli.USER_ERROR
    assert "Give " in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"no file none\.pth"):
        trained_detector.load_detector("none.pth")


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_pictures_are_not_drawn_over(model, folder):
    before = contents(folder)
    options = [str(folder), "--weights=x.pth", f"--out={folder}"]
    for _ in range(2):  # again, its own drawings are replaced and not drawn on
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


def test_other_files_of_the_user_stay(model, folder, tmp_path, capsys):
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
