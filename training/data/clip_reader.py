"""Interface of clip readers, one for each kind of storage."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from .frame_times import FrameTimes
from .manifest import Video


class VideoError(Exception):
    """A video that cannot be read; the message is the reason only."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """Length, size and rate of a video.

    Attributes:
        frames: number of frames.
        height, width: size of a displayed frame, in pixels.
        fps: average frames per second; 0.0 if unknown.
        edges_s: as in `FrameTimes`; None for evenly spaced frames.
        stamped: as in `FrameTimes`.
    """

    frames: int
    height: int
    width: int
    fps: float
    # Not in the fingerprint of a data set, because they follow from the file.
    edges_s: np.ndarray | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    stamped: bool = dataclasses.field(default=True, repr=False, compare=False)

    @property
    def times(self) -> FrameTimes | None:
        """Display times of the frames; None if unknown."""
        if not self.fps:
            return None
        return FrameTimes(self.frames, self.fps, self.edges_s, self.stamped)


def evaluated(function):
    """Wrap a TensorFlow function to take and return NumPy arrays."""

    def read(fields, frames, windows, size_px):
        fields = {name: tf.constant(value) for name, value in fields.items()}
        return function(
            fields,
            tf.constant(frames),
            tf.constant(windows),
            tf.constant(size_px),
        ).numpy()

    return read


class ClipReader(abc.ABC):
    """Reads clips from one kind of storage.

    Attributes:
        tf_ops: whether `read` consists of TensorFlow operations, which a
            tf.data service can run on other machines; otherwise it takes and
            returns NumPy arrays.
    """

    tf_ops: ClassVar[bool]

    @abc.abstractmethod
    def probe(self, video: Video) -> Probe:
        """Return length, size and rate of a video.

        Raises:
            VideoError: it cannot be read.
        """

    @abc.abstractmethod
    def fields(self, video: Video) -> dict[str, str | int]:
        """Return the plain values by which `read` finds a video."""

    @abc.abstractmethod
    def read(self, fields: dict, frames, windows, size_px):
        """Read crop windows of frames; thread-safe.

        Args:
            fields: result of `fields`, with strings as bytes.
            frames: int64 frame numbers from 0, `(n,)`, in any order.
            windows: float64 `(w, 5)`, crop windows as in `transforms`.
            size_px: int32 (height, width) of each window, in pixels.

        Returns:
            uint8 RGB `(w, n, *size_px, 3)`.

        Raises:
            VideoError: it cannot be read; with `tf_ops`, an error of
                TensorFlow.
        """
