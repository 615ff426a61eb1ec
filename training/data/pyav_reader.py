"""Read clips from video files with PyAV."""

import os
from typing import Protocol

import numpy as np

from . import transforms, video_decoder
from .clip_reader import ClipReader, Probe
from .manifest import Video
from .video_index import VideoIndex
from .video_limits import Limits


class IndexProvider(Protocol):
    """Source of video indices, such as `IndexCache`."""

    limits: Limits

    def index(self, path: str) -> VideoIndex:
        """Return the index of a file."""

    def disable_seeking(self, path: str) -> None:
        """Read a file by counting frames from now on."""


class PyAVReader(ClipReader):
    """Reads video files with PyAV.

    Args:
        cache: source of the indices of files.
    """

    tf_ops = False

    def __init__(self, cache: IndexProvider):
        self._cache = cache

    def probe(self, video: Video) -> Probe:
        return self._cache.index(video.path).probe

    def fields(self, video: Video) -> dict[str, str | int]:
        return {"path": video.path}

    def read(self, fields, frames, windows, size_px):
        path = os.fsdecode(fields["path"])
        index = self._cache.index(path)
        resampler = transforms.Resampler(
            index.height, index.width, windows, size_px
        )
        clip = video_decoder.read_frames(
            path,
            frames,
            index,
            transform=resampler,
            on_disorder=lambda: self._cache.disable_seeking(path),
            limits=self._cache.limits,
        )
        return np.swapaxes(clip, 0, 1)  # (w, n, h, w, 3)
