"""Files that people have weights in, and that have to be unpacked first."""

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers.pickles import Content

UNPACK = "Unpack it, and give the file of weights that is in it"
# The bytes that a file begins with, at a place; what it is; what to do.
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
        "Expected a file of all weights by name",
    ),
    (
        4,
        b"TFL3",
        "a model of LiteRT (.tflite)",
        "Give the checkpoint that it was made from",
    ),
    (0, b"GGUF", "a model of GGUF", "Give the checkpoint it was made from"),
    (0, b"\x89PNG\r\n\x1a\n", "an image (PNG)", "Expected a file of weights"),
    (0, b"\xff\xd8\xff", "an image (JPEG)", "Expected a file of weights"),
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "Fetch what it stands for: git lfs pull",
    ),
    *(
        (0, mark, "a web page (HTML)", "Download the file that it links to")
        for mark in (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML")
    ),
)
ONNX = (
    "The file is a model of ONNX (.onnx), which is not read here. Give the "
    "checkpoint it was made from."
)
SAFETENSORS = (
    "The file is one of safetensors (.safetensors), which is not read here. "
    "Save its arrays with PyTorch, and give that file: torch.save("
    "safetensors.torch.load_file('FILE'), 'weights.pth')"
)


def check(content: Content) -> None:
    """Raises a CheckpointError for a file of a type that is not read."""
    for place, mark, what, remedy in SIGNATURES:
        if content[place : place + len(mark)] == mark:
            raise CheckpointError(f"The file is {what}. {remedy}.")
    if _is_onnx(content):
        raise CheckpointError(ONNX)
    length = int.from_bytes(content[:8], "little")
    if content[8:9] == b"{" and length <= len(content) - 8:
        raise CheckpointError(SAFETENSORS)


def _is_onnx(content: Content) -> bool:
    """Whether a file begins as the protocol buffer of ONNX, which no mark has.

    Its first field is the version of the format, a small number; then comes a
    text on its producer (2 to 4, 6), or the graph (7) or the operators (8).
    """
    fields = (0x12, 0x1A, 0x22, 0x32, 0x3A, 0x42)
    return (
        content[:1] == b"\x08"
        and content[1:2] < b"\x20"
        and content[2:3] != b""
        and content[2] in fields
    )
