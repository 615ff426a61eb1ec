"""Files of safetensors, against bytes of its specification and its package."""

import io
import json

import numpy as np
import pytest

from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.readers import safetensors
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from tests import harness

# 1.0, -2.0 and 0.5 as bits of each dtype, little-endian.
BITS = {
    "F64": "000000000000f03f 00000000000000c0 000000000000e03f",
    "F32": "0000803f 000000c0 0000003f",
    "F16": "003c 00c0 0038",
    "BF16": "803f 00c0 003f",
}


def entry(begin, end, dtype="F32", shape=None):
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def content_of(header, data=b"", padding=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * padding
    return len(text).to_bytes(8, "little") + text + data


def read(content):
    return safetensors.read(content, MemoryBudget(len(content)))


def written(arrays, metadata=None):
    out = io.BytesIO()
    safetensors.write(out, arrays, metadata or {})
    return out.getvalue()


@pytest.mark.parametrize("dtype", BITS)
def test_floating_arrays_have_the_values_of_their_bits(dtype):
    data = bytes.fromhex(BITS[dtype])
    header = {"a": entry(0, len(data), dtype, [3, 1])}
    arrays, _ = read(content_of(header, data, padding=5))
    np.testing.assert_array_equal(arrays["a"], [[1.0], [-2.0], [0.5]])
    assert arrays["a"].dtype.kind == "f"


@pytest.mark.parametrize(
    "dtype", ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"]
)
def test_integers_and_booleans_are_read(dtype):
    size = 1 if dtype == "BOOL" else int(dtype[1:]) // 8
    data = b"".join(n.to_bytes(size, "little") for n in (1, 0, 1))
    header = {"a": entry(0, len(data), dtype, [3])}
    arrays, _ = read(content_of(header, data))
    assert arrays["a"].astype(int).tolist() == [1, 0, 1]


def test_arrays_are_placed_by_their_offsets_and_metadata_are_returned():
    header = {
        "second": entry(8, 12, shape=[]),
        "first": entry(0, 8, shape=[1, 2]),
        "none": entry(12, 12, shape=[0, 3]),
        "__metadata__": {"format": "pt"},
    }
    arrays, metadata = read(content_of(header, np.float32([1, 2, 3]).tobytes()))
    assert arrays["first"].tolist() == [[1, 2]]
    assert arrays["second"] == 3
    assert arrays["none"].shape == (0, 3)
    assert metadata == {"format": "pt"}


def test_writing_is_as_specified():
    header = (
        b'{"__metadata__":{"k":"v"},'
        b'"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},'
        b'"n":{"dtype":"I16","shape":[],"data_offsets":[8,10]}}'
    )
    expected = content_of(
        header,
        bytes.fromhex("0000803f000000c0 0700"),
        padding=-len(header) % 8,
    )
    arrays = {"n": np.array(7, ">i2"), "w": np.array([[1, -2]], "float32")}
    assert written(arrays, {"k": "v"}) == expected


def test_written_arrays_are_read_back():
    arrays = {
        "a/kernel": harness.normal((2, 3, 4)).transpose(2, 0, 1),
        "b": harness.normal((5,)).astype("float16"),
        "c": np.array([True, False]),
    }
    restored, metadata = read(written(arrays))
    assert metadata == {}
    for name, array in arrays.items():
        np.testing.assert_array_equal(restored[name], array)
        assert restored[name].dtype == array.dtype


def test_a_dtype_without_a_name_is_not_written():
    with pytest.raises(ValueError, match="Expected 'a' to be one of F64"):
        written({"a": np.zeros(2, "complex64")})


def test_the_package_reads_and_writes_the_same_files():
    package = pytest.importorskip("safetensors.numpy")
    arrays = {
        "conv.weight": harness.normal((4, 3, 1, 2)),
        "conv.bias": harness.normal((4,)).astype("float16"),
        "count": np.array(3, "int64"),
    }
    content = written(arrays, {"format": "pt"})
    assert content == package.save(arrays, {"format": "pt"})
    for name, array in package.load(content).items():
        np.testing.assert_array_equal(array, arrays[name])


EIGHT = bytes(8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (content_of({"a": entry(0, 8)}, EIGHT)[:20], "cut off: .* header of"),
        (content_of({"a": entry(0, 8)}, EIGHT[:7]), "expected 8 bytes of d"),
        (content_of({"a": entry(0, 8)}, bytes(9)), "Received: 9"),
        (content_of({"a": entry(4, 8)}, EIGHT), "'a' at byte 0 .*: 4"),
        (
            content_of({"a": entry(0, 8), "b": entry(4, 8)}, EIGHT),
            "'b' at byte 8 .*: 4",
        ),
        (content_of({"a": entry(0, 4, shape=[2])}, EIGHT), "8 bytes apart"),
        (content_of({"a": entry(0, 8, shape=[-1, -2])}, EIGHT), "shape and"),
        (content_of({"a": entry(0, 8, shape=[2.0])}, EIGHT), "shape and"),
        (content_of({"a": entry(0, 8, shape=[True, 2])}, EIGHT), "shape and"),
        (content_of({"a": entry(-8, 0)}, EIGHT), "shape and data_offsets"),
        (content_of({"a": entry(0, 8, "F8_E4M3")}, EIGHT), "'F8_E4M3'. Exp"),
        (content_of({"a": entry(0, 8, ["F32"])}, EIGHT), "is damaged"),
        (content_of({"a": [1, 2]}, EIGHT), "is damaged"),
        (content_of(b'{"a":{},"a":{}}', EIGHT), "a name of its header repeats"),
        (content_of(b'{"a":' + b"[" * 100_000, EIGHT), "is damaged"),
        (content_of(b'{"a":\xff}', EIGHT), "is damaged"),
        (content_of(b"{ ]", EIGHT), "is damaged"),
    ],
)
def test_damaged_files_are_an_error(content, message):
    assert safetensors.is_safetensors(content[:64])
    with pytest.raises(CheckpointError, match=message):
        read(content)


def test_a_header_of_many_small_objects_exceeds_the_budget():
    header = b'{"a":[' + b"[]," * 3_000_000 + b"[]]}"
    with pytest.raises(CheckpointError, match="decompression bomb"):
        read(content_of(header))


@pytest.mark.parametrize(
    "start", [b"", b"{", b'{"a": 1}' * 8, b"\x80\x04\x95" + bytes(13)]
)
def test_other_files_are_not_taken_for_safetensors(start):
    assert not safetensors.is_safetensors(start)
