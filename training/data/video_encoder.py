"""Encode frames as a video file with PyAV (the extra `video`)."""

import fractions
import io
from collections.abc import Iterable

import numpy as np

from . import video_container

# In order of preference; browsers play H.264 only.
CODECS = ("libx264", "mpeg4")


def encode_mp4(frames: Iterable[np.ndarray], milliseconds: int) -> bytes:
    """Encode frames as MP4.

    Args:
        frames: uint8 RGB, all `(height, width, 3)` with even sides.
        milliseconds: duration of each frame.

    Raises:
        UserError: PyAV is not installed.
    """
    av = video_container.pyav()
    content = io.BytesIO()
    codec = next(c for c in CODECS if c in av.codecs_available)
    rate = fractions.Fraction(1000, milliseconds)
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuv420p"  # supported by all players
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return content.getvalue()
