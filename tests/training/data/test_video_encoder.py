import io

import numpy as np
import pytest

from tests.training.data import films
from training.data import video_encoder

av = pytest.importorskip("av")


def test_mp4_has_the_frame_duration():
    pictures = films.pictures(5, (48, 64))
    with av.open(io.BytesIO(video_encoder.encode_mp4(pictures, 160))) as film:
        (stream,) = film.streams.video
        frames = list(film.decode(stream))
    seconds = [float(frame.time) for frame in frames]
    assert seconds == pytest.approx([0, 0.16, 0.32, 0.48, 0.64], abs=1e-3)
    decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    error = np.abs(decoded.astype(int) - pictures).mean()
    assert error < 5  # of 255: it is compressed


def test_codec_and_pixel_format_play_in_browsers():
    content = video_encoder.encode_mp4(films.pictures(2, (48, 64)), 500)
    with av.open(io.BytesIO(content)) as film:
        codec = film.streams.video[0].codec_context
        assert codec.pix_fmt == "yuv420p"
        assert codec.name == "h264" or "libx264" not in av.codecs_available
