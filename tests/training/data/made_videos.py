"""Small videos of known content, encoded by PyAV, and a data set of them."""

from tests.training.data import films, record_files
from training.data.manifest import Manifest, Span, Video
from training.data.video_dataset import VideoDataset

FRAMES = (7, 23, 5, 11, 3)


def write_video(path, count, height=48, width=64, fps=10, seed=0, stamps=None):
    """An MPEG-4 file; every picture of it differs from the others."""
    films.write_film(
        path,
        record_files.pictures(count, height, width, seed),
        codec="mpeg4",
        b_frames=0,
        fps=fps,
        stamps=stamps,
    )


def write_videos(root):
    """The files of `Made`."""
    for number, count in enumerate(FRAMES):
        write_video(root / f"{number}.mp4", count, seed=number)
    (root / "bad.mp4").write_text("this is no video")


class Made(VideoDataset):
    """Some with spans, one that is bad, one that is missing."""

    @staticmethod
    def read_lists(data):
        def path(name):
            return f"{data.root}/{name}.mp4"

        spans = (Span(0, 0.0, 0.45), Span(2, 1.2, 1.4), Span(2, 1.9, 9.9))
        train = [
            Video(path(0), (1,)),
            Video(path(1), (0, 1, 2), spans),
            Video(path("bad"), (0,)),
            Video(path(2), (2,)),
        ]
        return Manifest(
            ("sit", "run", "fall"),
            {
                "train": train,
                "validation": [Video(path(3), (1, 2)), Video(path("gone"))],
                "test": [Video(path(4))],
            },
            multi_label=True,
        )
