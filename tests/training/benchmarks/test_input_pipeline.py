"""The benchmark of reading clips: its figures mean what they say."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from tests.training.data import films
from training.benchmarks import input_pipeline, readers

FOLDER = pathlib.Path(input_pipeline.__file__).parent
RESULT = FOLDER / "input_pipeline.json"


def row(**seconds):
    return {"seconds": seconds, "wrong": dict.fromkeys(seconds, 0)}


def test_the_ratio_is_the_median_over_clips():
    rows = row(ours=[1.0, 2.0, 4.0], opencv=[2.0, 2.0, 10.0])
    assert input_pipeline.fastest_other(rows) == ("opencv", 2.0)


def test_the_fastest_other_is_named():
    rows = row(ours=[1.0], opencv=[3.0], decord=[2.0], records=[0.1])
    assert input_pipeline.fastest_other(rows) == ("decord", 2.0)


def test_readers_with_wrong_frames_do_not_count():
    rows = row(ours=[1.0], opencv=[3.0], decord=[2.0])
    rows["wrong"]["decord"] = 1
    assert input_pipeline.fastest_other(rows) == ("opencv", 3.0)
    rows["wrong"]["opencv"] = 2
    assert input_pipeline.fastest_other(rows) is None


def test_cores_that_feed_a_device():
    # 8 clips every 0.2 s are 40 a second; a core reads 16 of them.
    assert input_pipeline.cores(8, 200, 16) == 2.5


@pytest.mark.parametrize("name", ["ours", "opencv", "decord"])
def test_wrong_frames_are_seen(tmp_path, monkeypatch, name):
    module = {"opencv": "cv2", "ours": "av"}.get(name, name)
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    path = films.write_film(tmp_path / "a.mkv", 40)
    maker = name if name == "ours" else f"with_{name}"
    right = getattr(readers, maker)

    def late(*arguments):
        read = right(*arguments)
        return lambda numbers: read([number + 1 for number in numbers])

    for make, wrong in ((right, False), (late, True)):
        folder = tmp_path / str(wrong)
        folder.mkdir()
        monkeypatch.setattr(readers, maker, make)
        rows = input_pipeline.measure_video(path, folder, 2)
        assert [bool(row["wrong"][name]) for row in rows] == [wrong, wrong]
        assert all(len(row["seconds"]["records"]) == 2 for row in rows)


def test_the_readme_has_the_figures():
    text = (FOLDER / "README.md").read_text("utf-8")
    assert input_pipeline.render(json.loads(RESULT.read_text())) in text


def test_published_frames_of_ours_are_right():
    for rows in json.loads(RESULT.read_text())["films"]:
        assert rows["wrong"]["ours"] == 0
        assert np.min([len(s) for s in rows["seconds"].values()]) >= 12
