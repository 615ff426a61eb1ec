"""Unsupported file types are named, with a remedy."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.read import read_checkpoint

PICKLE = pickle.dumps({"blobs": {"conv1_w": np.zeros(3, "f4")}})


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("weights.pkl")
        entry.size = len(PICKLE)
        archive.addfile(entry, io.BytesIO(PICKLE))
    return out.getvalue()


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("inside/weights.pkl", PICKLE)
    return out.getvalue()


def npy():
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(PICKLE), "gzip.*Unpack it"),
        (bz2.compress(PICKLE), "bzip2.*Unpack it"),
        (lzma.compress(PICKLE), "xz.*Unpack it"),
        (tar(), "tar archive.*Unpack it"),
        (zipped(), r"zip archive.*Unpack it.*inside/weights\.pkl"),
        (npy(), "one array of NumPy"),
        (b"\x1c\0\0\0TFL3" + bytes(20), "LiteRT"),
        (b"\x04\x22\x4d\x18" + bytes(20), "LZ4.*Unpack it"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x02", "ONNX.*Give the ch"),
        (b"\x08\x0a:\x80\x01" + bytes(20), "ONNX.*Give the checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "an image.*PNG.*Expected"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(9), "an image.*JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page.*Download"),
        (b"<html>", "a web page.*Download"),
    ],
)
def test_unsupported_file_types_are_named(content, message, tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"file.pth: .*{message}"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["fifo", "/dev/zero"])
def test_a_fifo_or_device_is_refused(name, tmp_path):
    path = tmp_path / name
    if name == "fifo":
        os.mkfifo(path)
    with pytest.raises(CheckpointError, match="FIFO, a socket or a device"):
        read_checkpoint(path)
