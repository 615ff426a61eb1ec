"""A split of videos of which only lengths and labels are known."""

from training.data.clip_reader import ClipReader
from training.data.manifest import Manifest, Span, Video
from training.data.video_split import VideoSplit


class Unread(ClipReader):
    """A source whose files are not there."""

    tf_ops = False

    def probe(self, video):
        raise NotImplementedError

    def fields(self, video):
        return {"path": video.path}

    def read(self, fields, frames, windows, size_px):
        raise NotImplementedError


def part_of(*probes):
    """Videos whose classes are seen up to 9 s, and from 11 s on."""
    spans = (Span(0, 0.0, 9.0), Span(1, 11.0, 99.0))
    pairs = [
        (Video(str(number), (0, 1), spans), probe)
        for number, probe in enumerate(probes)
    ]
    return VideoSplit("train", pairs, Unread(), Manifest(("a", "b"), {}, True))
