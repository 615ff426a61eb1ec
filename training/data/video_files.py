"""Clips from video files, decoded by PyAV (`decode.py`)."""

import os

import numpy as np

from training.data import decode, transforms
from training.data.index_cache import IndexCache
from training.data.listing import Video
from training.data.sources import Probe, Source


class VideoFiles(Source):
    """Reads video files.

    Args:
        cache: of what is known of them.
    """

    tf_ops = False

    def __init__(self, cache: IndexCache):
        self._cache = cache

    def probe(self, video: Video) -> Probe:
        index = self._cache.index(video.path)
        return Probe(index.frames, index.height, index.width, index.fps)

    def fields(self, video: Video) -> dict[str, str | int]:
        return {"path": video.path}

    def read(self, fields, frames, windows, size_px):
        path = os.fsdecode(fields["path"])
        index = self._cache.index(path)
        resampler = transforms.Resampler(
            index.height, index.width, windows, size_px
        )
        clip = decode.read_frames(
            path,
            frames,
            index,
            transform=resampler,
            on_disorder=lambda: self._cache.count_from_now_on(path),
        )
        return np.swapaxes(clip, 0, 1)  # (w, n, h, w, 3)
