"""Signatures of unsupported file types, and what to do with such files."""

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.typing import FileContent

UNPACK = "Unpack it and give the weights file in it"
SOURCE = "Give the checkpoint that it was converted from"
WEIGHTS = "Expected a file of weights"
LINK = "Download the file that it links to"
# (offset, signature, file type, remedy)
SIGNATURES = (
    (0, b"\x1f\x8b", "compressed by gzip (.gz, .tgz)", UNPACK),
    (0, b"BZh", "compressed by bzip2", UNPACK),
    (0, b"\xfd7zXZ\0", "compressed by xz", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK),
    (0, b"\x04\x22\x4d\x18", "compressed by LZ4", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive of 7-Zip", UNPACK),
    (0, b"Rar!\x1a\x07", "an archive of RAR", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (
        0,
        b"\x93NUMPY",
        "one array of NumPy (.npy)",
        "Expected a file with all weights by name",
    ),
    (4, b"TFL3", "a LiteRT model (.tflite)", SOURCE),
    (0, b"GGUF", "a GGUF model", SOURCE),
    (0, b"\x89PNG\r\n\x1a\n", "an image (PNG)", WEIGHTS),
    (0, b"\xff\xd8\xff", "an image (JPEG)", WEIGHTS),
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "Download the file itself with: git lfs pull",
    ),
    (0, b"<!DOCTYPE", "a web page (HTML)", LINK),
    (0, b"<!doctype", "a web page (HTML)", LINK),
    (0, b"<html", "a web page (HTML)", LINK),
    (0, b"<HTML", "a web page (HTML)", LINK),
)
ONNX = f"The file is an ONNX model (.onnx), which is unsupported. {SOURCE}."


def check(content: FileContent) -> None:
    """Raise a CheckpointError for an unsupported file type."""
    for offset, signature, file_type, remedy in SIGNATURES:
        if content[offset : offset + len(signature)] == signature:
            raise CheckpointError(f"The file is {file_type}. {remedy}.")
    if _is_onnx(content):
        raise CheckpointError(ONNX)


def _is_onnx(content: FileContent) -> bool:
    """Tell if a file begins like ONNX' protocol buffer, which has no signature.

    The first field is the version, a small number; then follow strings about
    the producer (fields 2 to 4 and 6), the graph (7) or the operators (8).
    """
    fields = (0x12, 0x1A, 0x22, 0x32, 0x3A, 0x42)
    return (
        content[:1] == b"\x08"
        and content[1:2] < b"\x20"
        and content[2:3] != b""
        and content[2] in fields
    )
