"""SavedModels, clips and videos of a web server on the loopback."""

import numpy as np
import pytest

from tests.io.conftest import command, web_server
from tests.training.conftest import TINY
from tests.training.data import films
from training import predict, train
from training.data import video_decoder, video_index
from training.data.clip_reader import VideoError
from training.data.index_cache import IndexCache
from training.io import cli, paths

# Before the session's run is trained.
pytest.importorskip("aiohttp", reason="needs the extra url")


def test_predict_reads_model_and_clip_over_http(tiny, served, capsys, tmp_path):
    folder, address = served
    (folder / "x").symlink_to(tiny[1].parent)
    clip = tmp_path / "clip.npy"
    predict.main([f"--model={tiny[1]}", "--sample=3", f"--save-clip={clip}"])
    (folder / "clip.npy").write_bytes(clip.read_bytes())
    sample = capsys.readouterr().out.split("probability\n")[1]
    predict.main([f"--model={address}/x/1", f"{address}/clip.npy"])
    assert sample.startswith(capsys.readouterr().out.split("probability\n")[1])


def test_listing_versions_over_http_is_an_error(served, capsys):
    arguments = [f"--model={served[1]}/x", "--sample=0"]
    assert cli.run(predict.main, arguments) == 2
    assert "cannot be listed" in capsys.readouterr().err


def test_writing_a_run_over_http_is_an_error(served, capsys):
    arguments = ["--recipe=digits_c2d", f"--workdir={served[1]}/run", *TINY[:4]]
    assert cli.run(train.main, arguments) == 2
    error = capsys.readouterr().err
    assert "http:// is read-only" in error and error.count("\n") == 1


def test_forbidden_files_count_as_missing(tmp_path):
    with web_server(403, tmp_path / "log") as address:
        assert not paths.as_path(f"{address}/run/recipe.json").is_file()


def test_a_closed_server_is_a_one_line_error(tmp_path):
    with web_server(tmp_path, tmp_path / "log") as address:
        pass
    process = command("predict", f"--model={address}/x/1", "--sample=0")
    assert process.returncode == 2 and process.stderr.count("\n") == 1
    assert address in process.stderr


def test_frames_of_a_video_equal_those_of_the_local_file(served, tmp_path):
    folder, address = served
    path = films.write_film(folder / "film.mp4", 30)
    expected = films.decode_all(path)
    url = f"{address}/film.mp4"
    index = IndexCache(tmp_path / "c").index(url)
    frames = video_decoder.read_frames(url, [3, 29, 17], index)
    np.testing.assert_array_equal(frames, expected[[3, 29, 17]])


def test_a_missing_video_is_an_error(served):
    with pytest.raises(VideoError, match="(?i)not found|no such"):
        video_index.index_video(f"{served[1]}/none.mp4")
