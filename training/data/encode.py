"""Pictures as a video file, through PyAV (the extra `video`)."""

import fractions
import io
from collections.abc import Iterable

import numpy as np

from . import video_container

# The first that FFmpeg was built with; browsers play the first.
CODECS = ("libx264", "mpeg4")


def mp4(pictures: Iterable[np.ndarray], milliseconds: int) -> bytes:
    """An MP4 of pictures.

    Args:
        pictures: uint8 RGB, all `(height, width, 3)` with even sides.
        milliseconds: for which each is shown.

    Raises:
        UserError: PyAV is not installed.
    """
    av = video_container.pyav()
    content = io.BytesIO()
    codec = next(c for c in CODECS if c in av.codecs_available)
    rate = fractions.Fraction(1000, milliseconds)
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuv420p"  # what every player takes
        for number, pixels in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return content.getvalue()
