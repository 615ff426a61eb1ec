"""tensorflow-io's FFmpeg, with its libraries and without."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from training.io import tensorflow_plugins
from training.io.user_error import UserError

pytestmark = pytest.mark.usefixtures("tensorflow_io")
ROOT = pathlib.Path(__file__).parent.parent.parent
# Libraries of FFmpeg 4 that tensorflow-io loads, with their versions.
LIBRARIES = {
    "avcodec": 58,
    "avformat": 58,
    "avutil": 56,
    "swresample": 3,
    "swscale": 5,
}
DECODE = """
import sys
import numpy as np
from training.io import tensorflow_plugins as plugins
from training.io.user_error import UserError
np.save(sys.argv[2], plugins.ffmpeg_decode(open(sys.argv[1], "rb").read()))
try:
    plugins.ffmpeg_decode(b"no video")
except UserError as error:
    print(error)
"""


@pytest.fixture
def libraries(tmp_path):
    """Folders with FFmpeg 4: OpenCV's wheel of 2022 brings it."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra io-test")
    theirs = pathlib.Path(cv2.__file__).parent.parent
    theirs = theirs / "opencv_python_headless.libs"
    folder = tmp_path / "libraries"
    folder.mkdir()
    for name, version in LIBRARIES.items():
        files = list(theirs.glob(f"lib{name}-*.so.{version}.*"))
        if not files:
            pytest.skip(f"This OpenCV does not bring lib{name} {version}.")
        (folder / f"lib{name}.so.{version}").symlink_to(files[0])
    return f"{folder}:{theirs}"


@pytest.fixture
def video(tmp_path):
    """A file of 12 frames, and the frames as OpenCV decodes them."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra io-test")
    path = str(tmp_path / "video.avi")
    code = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(path, code, 10, (64, 48))
    rng = np.random.default_rng(0)
    for small in rng.integers(0, 256, (12, 3, 4, 3), "uint8"):
        writer.write(cv2.resize(small, (64, 48)))
    writer.release()
    reader, frames = cv2.VideoCapture(path), []
    while (read := reader.read())[0]:
        frames.append(read[1][..., ::-1])
    return path, np.stack(frames)


def test_frames_are_those_of_opencv(libraries, video, tmp_path):
    path, expected = video
    process = subprocess.run(
        [sys.executable, "-c", DECODE, path, str(tmp_path / "frames.npy")],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
        check=True,
        capture_output=True,
        text=True,
    )
    frames = np.load(tmp_path / "frames.npy")
    assert frames.dtype == np.uint8 and frames.shape == expected.shape
    # Two conversions of YUV to RGB; other frames differ by 60 on average.
    difference = np.abs(frames.astype(int) - expected)
    assert difference.mean() < 3
    assert "FFmpeg cannot decode this video" in process.stdout


def test_missing_libraries_are_named():
    with pytest.raises(UserError) as error:
        tensorflow_plugins.ffmpeg_decode(b"a video")
    if "cannot decode" in str(error.value):
        pytest.skip("This machine has FFmpeg 4.")
    assert "libavformat.so.58" in str(error.value)
    assert "cannot open shared object file" in str(error.value)
