"""Prediction of videos, compared with training.evaluate."""

import csv
import io
import json

import numpy as np
import pytest

from tests.training import video_run
from tests.training.data import films
from training import evaluate, predict, train
from training.evaluation import video_scores
from training.io import cli
from training.prediction import predictor

# The default tests of prediction are in test_video_runs.py.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]
CLASSES = list(video_run.CLASSES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(videos, run, SavedModel) of a tiny run on a folder of videos."""
    root = tmp_path_factory.mktemp("trained")
    video_run.write_videos(root / "videos", frames=23)
    run, out = root / "run", root / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        train.main(
            [
                f"--set=data.root={root / 'videos'}",
                f"--workdir={run}",
                *video_run.OPTIONS,
            ]
            + [f"--export={out}", "--set=sampling.frame_stride=4"]
        )
    return root / "videos", run, out


def predicted(tmp_path, *arguments):
    """Run predict; return its JSON output."""
    out = tmp_path / "deep" / "out.json"
    predict.main([f"--out={out}", *map(str, arguments)])
    return json.loads(out.read_text("utf-8"))


def evaluated(run, tmp_path, *options):
    """Run evaluate; return {path: scores} of the test split."""
    scores = tmp_path / "scores"
    evaluate.main([f"--workdir={run}", f"--scores={scores}", *options])
    scored = video_scores.load(scores / "scores.npz")
    pooled = video_scores.metrics.pool_views(scored.scores, scored.pool)
    return dict(zip(scored.paths.tolist(), pooled, strict=True))


VIEWS = [
    (),
    ("--views=2x1", "--full-frame", "--starts=slowfast"),
    ("--views=2x3", "--short-side=40", "--crop=34"),
]


@pytest.mark.parametrize("views", VIEWS)
def test_scores_equal_those_of_evaluation(trained, tmp_path, views):
    _, run, out = trained
    expected = evaluated(run, tmp_path, *views)
    for model in (run, out):
        written = predicted(tmp_path, f"--model={model}", *views, *expected)
        assert written["classes"] == CLASSES
        assert [row["path"] for row in written["videos"]] == list(expected)
        for video in written["videos"]:
            # Other batches of the network: rounding in float32.
            np.testing.assert_allclose(
                video["scores"], expected[video["path"]], rtol=1e-5, atol=1e-5
            )


def test_all_videos_of_a_folder_are_predicted_and_bad_ones_listed(
    trained, tmp_path, capsys
):
    videos, _, out = trained
    root = tmp_path / "日本 ö"
    (root / "deep").mkdir(parents=True)
    video = next(videos.glob("*/*.mkv"))
    (root / "deep" / "b é.MKV").write_bytes(video.read_bytes())
    (root / "a.mp4").write_bytes(b"")
    (root / "c.mp4").write_text("no video")
    (root / "notes.txt").write_text("passed over")
    written = predicted(tmp_path, f"--model={out}", root, root / "a.mp4")
    printed = capsys.readouterr().out
    paths = [video["path"] for video in written["videos"]]
    assert paths == [f"{root}/{n}" for n in ("a.mp4", "c.mp4", "deep/b é.MKV")]
    reasons = [video.get("error") for video in written["videos"]]
    assert reasons[0] == "the file is empty" and reasons[2] is None
    assert "2 of 3 could not be read" in printed
    assert printed.count("a.mp4: the file is empty") == 1


def test_bad_files_alone_are_an_error(trained, tmp_path, capsys):
    _, _, out = trained
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("no video")
    arguments = [f"--model={out}", str(tmp_path / "empty")]
    assert cli.run(predict.main, arguments) == 2
    error = capsys.readouterr().err
    assert "empty: there is no video (such as .mp4" in error
    assert cli.run(predict.main, [*arguments, str(tmp_path / "a.txt")]) == 2
    printed = capsys.readouterr()
    assert "None of 2" in printed.err and printed.err.count("\n") == 1
    assert "a.txt: it cannot be read as a video" in printed.out


def test_a_csv_has_the_best_classes_and_the_errors(trained, tmp_path):
    videos, run, _ = trained
    good = str(sorted(videos.glob("*/*.mkv"))[0])
    out = tmp_path / "out.csv"
    missing = str(tmp_path / 'gone, "so".mp4')
    predict.main([good, missing, f"--model={run}", "--top=1", f"--out={out}"])
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert [row["path"] for row in rows] == [good, missing]
    assert rows[0]["class_1"] in CLASSES and 0.5 <= float(rows[0]["score_1"])
    assert rows[1]["error"] == "there is no such file"


def test_a_clip_file_is_predicted_along_with_videos(trained, tmp_path):
    videos, _, out = trained
    video = str(sorted(videos.glob("*/*.mkv"))[3])
    clip = tmp_path / "clip.npy"
    predict.main([video, f"--model={out}", f"--save-clip={clip}"])
    np.save(tmp_path / "image.npy", np.zeros((32, 31, 3), "uint8"))
    written = predicted(
        tmp_path, f"--model={out}", clip, tmp_path / "image.npy", video
    )["videos"]
    np.testing.assert_allclose(
        written[0]["scores"], written[2]["scores"], atol=1e-5
    )
    assert "(32, 31, 3)" in written[1]["error"]
    result = predicted(tmp_path, f"--model={out}", "--views=1x1", clip, video)
    assert "leave out --views" in result["videos"][0]["error"]


def test_a_timeline_has_clips_along_the_video(trained, tmp_path, capsys):
    videos, run, _ = trained
    path = sorted(videos.glob("*/*.mkv"))[4]
    arguments = [f"--model={run}", str(path), "--timeline=0.25"]
    plot = tmp_path / "plot.png"
    written = predicted(tmp_path, *arguments, "--views=1x3", f"--plot={plot}")
    assert plot.read_bytes()[:4] == b"\x89PNG"
    (video,) = written["videos"]
    rows = video["timeline"]["rows"]
    frames = len(films.decode_all(path))
    assert [row["time_s"] for row in rows] == np.arange(
        0, frames / films.FPS, 0.25
    ).tolist()
    mean = np.mean([row["scores"] for row in rows], axis=0)
    np.testing.assert_allclose(video["scores"], mean, atol=1e-5)
    assert (
        "every 0.25 s" in written["views"] and "starts" not in written["views"]
    )
    assert "from" in capsys.readouterr().out


def test_the_middle_of_a_timeline_is_the_middle_clip(trained, tmp_path):
    videos, run, _ = trained
    path = sorted(videos.glob("*/*.mkv"))[0]  # 23 frames, clips of 8
    middle = predicted(tmp_path, f"--model={run}", path)["videos"][0]
    written = predicted(tmp_path, f"--model={run}", path, "--timeline=0.44")
    row = written["videos"][0]["timeline"]["rows"][1]
    assert (row["start_s"], row["time_s"]) == (7 / 25, 0.44)
    np.testing.assert_allclose(row["scores"], middle["scores"], atol=1e-5)


def test_finished_predictions_are_written_on_interruption(
    trained, tmp_path, monkeypatch
):
    videos, _, out = trained
    real, calls = predictor.Predictor.score, []

    def score(self, pixels):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, pixels)

    monkeypatch.setattr(predictor.Predictor, "score", score)
    written = tmp_path / "out.json"
    arguments = [f"--model={out}", str(videos), f"--out={written}"]
    assert cli.run(predict.main, arguments) == cli.INTERRUPTED
    assert len(json.loads(written.read_text("utf-8"))["videos"]) == 2


def test_incompatible_options_are_rejected(trained, tmp_path, capsys):
    videos, run, out = trained
    video = str(next(videos.glob("*/*.mkv")))
    for arguments, message in (
        (["--timeline", "--views=3x1"], "slides one clip"),
        (["--views=2x1", "--pool=max"], "max is for multi-label data"),
        (["--full-frame"], "Give --views too"),
        (["--plot=a.png"], "Give --timeline too"),
        (["--timeline", "--plot=a.gif"], "to end in .png"),
        (["--out=a.txt"], "to end in .json or .csv"),
        ([str(tmp_path), "--save-clip=a.npy"], "expects one video"),
    ):
        for model in (run, out):
            command = [f"--model={model}", video, *arguments]
            assert cli.run(predict.main, command) == 2
            assert message in capsys.readouterr().err
