"""The app's page in headless Chromium."""

import os
import re

import numpy as np
import pytest

from tests.training.data import films
from tests.training.page import app_models, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]
NAME = "<img src=x onerror=alert(1)> Ünï.mp4"
SHOWN = "return !document.getElementById('result').hidden"
PIXELS = (
    "return Array.from(document.querySelectorAll('canvas')).map("
    "(canvas) => canvas.toDataURL()).join()"
)
LOOKED = "return document.getElementById('from').innerText"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = app_models.write_model(tmp_path_factory.mktemp("models"))
    with app_models.running(model) as server:
        yield server


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / NAME
    plain = films.write_film(path.with_name("plain.mp4"), 80)
    return plain.rename(path)


@pytest.fixture
def page(server):
    with browser.Browser() as page:
        page.open(server.url)
        page.wait("return document.getElementById('model').innerText")
        yield page
        assert page.errors() == []


def test_video_is_classified_and_queried(page, film):
    page.type("#file", str(film))
    page.wait(SHOWN)
    page.wait("return document.querySelectorAll('canvas').length === 4")
    text = page.text()
    assert NAME in text and "blue <b>&amp;</b>" in text
    assert "clips of a video of 3.2 s" in text
    assert page.run("return document.querySelector('img')") is None
    before = page.run(PIXELS)
    page.click(".frame:nth-child(2) canvas")
    # The middle, to the rounding of the page's layout.
    middle = r"From frame 1, pixel \(1[56], 1[56]\), marked .*"
    assert re.fullmatch(middle, page.wait(LOOKED))
    clicked = page.run(PIXELS)
    assert clicked != before
    assert page.run("return document.querySelectorAll('#strongest li').length")
    page.type("#block", "res2")
    page.wait(f"{PIXELS} !== arguments[0]", clicked)


def test_keyboard_navigation(page, film):
    page.type("#file", str(film))
    page.wait(SHOWN)
    page.wait("return document.querySelectorAll('canvas').length === 4")
    arrow_left, up, enter = "\ue012", "\ue013", "\ue007"
    page.type(".frame:nth-child(3)", arrow_left + arrow_left + up + enter)
    assert page.wait(LOOKED).startswith("From frame 2, pixel (14, 12)")
    label = "return document.getElementById('clip-label').innerText"
    before = page.run(label)
    page.type("#clip", arrow_left)
    page.wait(f"{label} !== arguments[0]", before)
    # The point stays where it was, in the frames of the other clip.
    assert page.wait(LOOKED).startswith("From frame 2, pixel (14, 12)")


def test_next_clip_hides_an_error(page, film):
    page.type("#file", str(film))
    page.wait(SHOWN)
    page.wait("return document.querySelectorAll('canvas').length === 4")
    page.run("complain(new Error('the last question failed'))")
    page.type("#clip", "\ue012")
    page.wait("return document.getElementById('problem').hidden")


def test_invalid_files_show_an_error(page, tmp_path, film):
    bad = tmp_path / "<b>bad<b>.mp4"
    bad.write_bytes(b"<html>" * 99)
    problem = "return document.getElementById('problem').innerText"
    page.type("#file", str(bad))
    assert "not a video" in page.wait(problem)
    large = tmp_path / "large.mp4"
    with open(large, "wb") as file:
        os.truncate(file.fileno(), 2 << 20)
    page.type("#file", str(large))
    page.wait(f"{problem}.includes('larger than 1 MB')")
    # The browser itself notes the status that it was answered with.
    (noted,) = page.errors()
    assert "415" in noted
    page.type("#file", str(film))
    page.wait(SHOWN)
    assert not page.run(problem)


def test_model_without_attention_shows_a_reason(tmp_path):
    model = app_models.write_model(tmp_path, has_attention=False)
    clip = tmp_path / "clip.npy"
    np.save(clip, np.zeros((3, 16, 24, 3), np.uint8))
    with app_models.running(model) as server, browser.Browser() as page:
        page.open(server.url)
        page.wait("return document.getElementById('model').innerText")
        page.type("#file", str(clip))
        page.wait("return document.querySelectorAll('canvas').length === 3")
        page.wait("return document.body.innerText.includes('no signature')")
        assert page.run("return document.querySelector('.frame').disabled")
        assert page.errors() == []
