"""The page with a detector: images in, drawings and objects out."""

import base64
import contextlib
import pathlib
import threading
import types

import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import Detections
from tests.training.page import app_models, browser
from training.coco import drawing
from training.coco.annotations import Category
from training.page.detector_session import DetectorSession
from training.page.http_server import AppServer

pytest.importorskip("PIL")
CATEGORIES = (Category(1, "cat"), Category(4, "dog"))
DETECTIONS = Detections(
    np.array([[3.0, 5, 30, 20], [40, 2, 50, 19]], "float32"),
    np.array([2, 1]),
    np.array([0.75, 0.25], "float32"),
)


@pytest.fixture(scope="module")
def server():
    model = types.SimpleNamespace(
        path=pathlib.Path("models/1"),
        categories=CATEGORIES,
        detect=lambda image: DETECTIONS,
    )
    with AppServer(DetectorSession(model, 0.5), 0, 1 << 20) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with contextlib.closing(server.session):
            yield server
        server.shutdown()
        thread.join()


def pixels(height=24, width=60):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_an_image_is_answered_with_its_detections(server):
    content = tf.io.encode_png(pixels()).numpy()
    answer, detected = app_models.send(
        server, "/file", content, X_File_Name="my%20cat.PNG"
    )
    assert answer.status == 200
    assert detected["objects"] == [{"name": "dog", "score": 0.75}]
    assert (detected["height"], detected["width"]) == (24, 60)
    kind, _, image = detected["image"].partition(",")
    assert kind == "data:image/png;base64"
    expected = drawing.png(pixels(), DETECTIONS, CATEGORIES, 0.5)
    assert base64.b64decode(image) == expected


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("a.mp4", b"x", 415, "whose name ends in .jpg"),
        ("a.jpg", b"no image", 422, "is damaged"),
        (
            "a.png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\x7f\xff" * 2 + b"\x08\2",
            422,
            "at most 64 megapixels",
        ),
    ],
)
def test_other_files_are_refused(server, name, content, status, message):
    answer, error = app_models.send(server, "/file", content, X_File_Name=name)
    assert answer.status == status and message in error["error"]
    assert "/" not in error["error"].replace("nor", "")


def test_the_page_describes_the_detector(server):
    answer, page = app_models.send(server, "/", method="GET", token=False)
    assert answer.status == 200 and b"Detector" in page
    _, about = app_models.send(server, "/about")
    assert about["model"] == "models/1" and about["classes"] == 2
    answer, _ = app_models.send(server, "/look", {"film": ""})
    assert answer.status == 404


@pytest.mark.slow
@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())
def test_a_browser_shows_the_drawn_image(server, tmp_path):
    path = tmp_path / "<b>a&b.png"
    path.write_bytes(tf.io.encode_png(pixels()).numpy())
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    shown = "return document.getElementById('image').naturalWidth"
    with browser.Browser() as page:
        page.open(server.url)
        page.wait("return document.getElementById('model').innerText")
        page.type("#file", str(path))
        assert page.wait(shown) == 60
        assert path.name in page.text() and "dog 0.75" in page.text()
        assert page.errors() == []
        page.type("#file", str(bad))
        page.wait("return !document.getElementById('problem').hidden")
        assert "is damaged" in page.text()
