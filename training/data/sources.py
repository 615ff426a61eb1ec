"""The kinds of storage that clips are read from: one class a kind."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from .frame_times import FrameTimes
from .listing import Video


class VideoError(Exception):
    """A video that cannot be read; the message is the reason alone."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What is known of a video before clips of it are read.

    Attributes:
        frames: how many it has.
        height, width: of a frame as it is shown, in pixels.
        fps: frames a second, on average; 0.0 where that is not known.
        edges_s: as `FrameTimes` has them; None where frames are evenly spaced.
        stamped: as there.
    """

    frames: int
    height: int
    width: int
    fps: float
    # No part of what names a data set: they follow from the file.
    edges_s: np.ndarray | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    stamped: bool = dataclasses.field(default=True, repr=False, compare=False)

    @property
    def times(self) -> FrameTimes | None:
        """When its frames are shown; None where that is not known."""
        if not self.fps:
            return None
        return FrameTimes(self.frames, self.fps, self.edges_s, self.stamped)


class Source(abc.ABC):
    """Reads clips from one kind of storage.

    Attributes:
        tf_ops: whether `read` is made of TensorFlow's operations alone, so
            that a tf.data service can run it elsewhere; else it takes and
            gives NumPy's arrays.
    """

    tf_ops: ClassVar[bool]

    @abc.abstractmethod
    def probe(self, video: Video) -> Probe:
        """Looks at a video without reading all of it, if that can be helped.

        Raises:
            VideoError: it cannot be read; the message is the reason.
        """

    @abc.abstractmethod
    def fields(self, video: Video) -> dict[str, str | int]:
        """What `read` needs to find a video, as plain values."""

    @abc.abstractmethod
    def read(self, fields: dict, frames, windows, size_px):
        """Reads windows of some frames; several threads may call it at once.

        Args:
            fields: what `fields` gave; text is bytes.
            frames: int64 numbers of frames from 0, `(n,)`, in any order.
            windows: float64 `(w, 5)`: which part of a frame each window is
                (`transforms.py`).
            size_px: int32 (height, width) of each window, in pixels.

        Returns:
            uint8 RGB `(w, n, *size_px, 3)`.

        Raises:
            VideoError: it cannot be read any more; with `tf_ops`, an error of
                TensorFlow.
        """
