"""Clips from video files, decoded by PyAV (`decode.py`)."""

import os
from typing import Protocol

import numpy as np

from . import decode, transforms
from .decode import VideoIndex
from .listing import Video
from .sources import Probe, Source
from .video_limits import Limits


class Indices(Protocol):
    """What is known of video files, such as an `IndexCache`."""

    limits: Limits

    def index(self, path: str) -> VideoIndex:
        """The index of a file."""

    def count_from_now_on(self, path: str) -> None:
        """Keeps that seeking in a file leads nowhere."""


class VideoFiles(Source):
    """Reads video files.

    Args:
        cache: of what is known of them.
    """

    tf_ops = False

    def __init__(self, cache: Indices):
        self._cache = cache

    def probe(self, video: Video) -> Probe:
        index = self._cache.index(video.path)
        return Probe(
            index.frames,
            index.height,
            index.width,
            index.fps,
            index.edges_s,
            index.stamped,
        )

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
            limits=self._cache.limits,
        )
        return np.swapaxes(clip, 0, 1)  # (w, n, h, w, 3)
