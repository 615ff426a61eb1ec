"""Looking at all videos of a data set."""

import pytest

from training.data import BadVideo, bad_videos
from training.data.clip_reader import Probe, VideoError
from training.data.manifest import Video
from training.io import progress
from training.io.user_error import UserError


class Source:
    """Stands for a storage in which probe video of three is bad."""

    def probe(self, video):
        if video.path == "b":
            raise VideoError("the file is empty")
        return Probe(5, 36, 52, 25.0)


def test_probing_shows_progress(monkeypatch, capsys):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    probes = bad_videos.probe_all(Source(), [Video(name, ()) for name in "abc"])
    assert [isinstance(probe, VideoError) for probe in probes] == [
        False,
        True,
        False,
    ]
    printed = capsys.readouterr()
    assert printed.err.startswith("1 of 3 videos checked\n")
    assert printed.out == ""


def test_csv_keeps_carriage_returns_in_names(tmp_path):
    bad = [BadVideo("train", "a\rb.mp4", "the file is empty")]
    bad_videos.write_bad_videos(tmp_path / "bad_videos.csv", bad)
    assert bad_videos.read_bad_videos(tmp_path / "bad_videos.csv") == bad


def test_bad_videos_up_to_the_share_are_accepted():
    bad = [BadVideo("train", f"{n}.mp4", "cut off") for n in range(3)]
    bad_videos.check_share(bad[:2], 40, 0.05)
    with pytest.raises(UserError, match="3 of 40 videos cannot be read"):
        bad_videos.check_share(bad, 40, 0.05)
