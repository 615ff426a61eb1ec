"""Malicious files: crashes, decompression bombs and endless loops."""

import io
import pickle
import resource
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from nonlocal_tf.checkpoints import size_limits
from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.read import read_checkpoint
from nonlocal_tf.checkpoints.readers import pickles, pytorch


def text(value):
    """Return the opcode of a string."""
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def doubled(times):
    """Return a tuple whose printing or hashing takes 2 ** times steps."""
    steps = (
        b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
        for i in range(times)
    )
    return b"K\x01\x85q\0" + b"".join(steps)


def array(code=None, shape=b"(K\x01t", content=b"C\x04\0\0\x80?"):
    """Return NumPy's pickle of an array of one number."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\x01b"
        b"tR(K\x01" + shape + b"cnumpy\ndtype\n(" + (code or text("f4")) + b"K"
        b"\0K\x01tR(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff"
        b"\xffK\0tb\x89" + content + b"tb"
    )


def blobs(value):
    return b"}(" + text("blobs") + b"}(" + text("a") + value + b"uu"


def number(value):
    return b"\x8a" + bytes([16]) + value.to_bytes(16, "little")


MANY = 1000
LONG = text("x" * 1_000_000)
PICKLES = {
    "nested name": b"K\x01" + b"\x85" * 300_000 + text("x") + b"\x93",
    "name of exponential size": doubled(60) + text("x") + b"\x93",
    "dtype of exponential size": blobs(array(code=doubled(40))),
    "shape of exponential size": blobs(array(shape=doubled(40))),
    "encoding of exponential size": b"c_codecs\nencode\n("
    + text("a")
    + doubled(40)
    + b"tR",
    "metadata of exponential size": b"}("
    + text("nonlocal_tf")
    + doubled(40)
    + text("conv1_w")
    + array()
    + text("res2_0_branch2a_w")
    + array()
    + b"u",
    "unknown dtype": blobs(array(code=text("garbage"))),
    "dtype with subarrays": blobs(array(code=text("(1000000000,)f4"))),
    "too many axes": blobs(array(shape=b"(" + b"K\x01" * 70 + b"t")),
    "huge shape": blobs(array(shape=b"(" + 2 * number(2**62) + b"t")),
    "string as shape": blobs(array(shape=text("4"))),
    "truncated array": blobs(array(content=b"C\x03abc")),
    "string beyond Latin-1": blobs(array(content=text("€"))),
    "string encoded a thousand times": LONG
    + b"q\x010"
    + b"c_codecs\nencode\nq\x020("
    + (b"h\x02h\x01" + text("latin1") + b"\x86R") * MANY
    + b"t",
    "a thousand arrays of one string": LONG
    + b"q\x010}("
    + b"".join(
        text(f"a{i}") + array(content=b"h\x01", shape=b"(J\x90\xd0\x03\0t")
        for i in range(MANY)
    )
    + b"u",
    "dictionary copied a thousand times": b"("
    + (text("a") + b"K\x01\x86") * 1000
    + b"lq\x010ccollections\nOrderedDict\nq\x020("
    + b"h\x02h\x01\x85R" * 5 * MANY
    + b"t",
}


def refused(path, message=None):
    """Assert one error that names the file, in less than 500 MB of memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert after - before < 500_000  # kB


@pytest.mark.parametrize("name", PICKLES)
def test_malicious_pickles_are_refused(name, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + PICKLES[name] + b".")
    refused(path)


def torch_pickle(body):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("archive/data/0", bytes(8))
    return out.getvalue()


def tensor(shape, strides, storage=None):
    if storage is None:
        storage = b"(" + text("storage") + b"ctorch\nDoubleStorage\n"
        storage += text("0") + text("cpu") + b"K\x01tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0"
        + shape
        + strides
        + b"\x89NtR"
    )


def pair(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


TENSORS = {
    "expanded tensors": b"}("
    + b"".join(
        text(f"a{i}") + tensor(pair(4096, 4096), pair(0, 0)) for i in range(30)
    )
    + b"u",
    "huge stride": blobs(tensor(pair(1), pair(2**61))),
    "too many axes": blobs(tensor(pair(*[1] * 70), pair(*[0] * 70))),
    "shape of exponential size": blobs(tensor(doubled(40), pair(1))),
    "dictionary as storage": blobs(tensor(pair(1), pair(1), b"}")),
    "string as size": LONG
    + b"q\x010ctorch\nSize\nq\x020("
    + b"h\x02h\x01\x85R" * MANY
    + b"t",
}


@pytest.mark.parametrize("name", TENSORS)
def test_malicious_archives_of_pytorch_are_refused(name, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(TENSORS[name]))
    refused(path)


def test_a_huge_storage_of_a_legacy_file_is_refused(tmp_path):
    magic = pickle.dumps(pytorch.LEGACY_MAGIC, protocol=2)
    rest = [pickle.dumps(head, protocol=2) for head in (1001, {})]
    storage = b"(" + text("storage") + b"ctorch\nDoubleStorage\n" + text("0")
    storage += text("cpu") + number(2**61) + b"NtQ"
    saved = b"\x80\x02" + storage + b"."
    keys = pickle.dumps(["0"], protocol=2) + (2**61).to_bytes(8, "little")
    path = tmp_path / "a.pth"
    path.write_bytes(magic + b"".join(rest) + saved + keys)
    refused(path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_decompression_bomb_is_refused(kind, tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("model.weights.h5", bytes(300_000_000))
    refused(path)


def test_many_links_to_one_array_are_refused(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        once = file.create_dataset("once", (6_000_000,), "f4", chunks=(1000,))
        for index in range(300):
            file[f"layers/a{index}/vars/0"] = once
    refused(path, "far more than its own size")


def test_a_repeated_weight_name_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = [b"b"] * 1000
        group.create_dataset("b", (6_000_000,), "f4", chunks=(1000,))
    refused(path, "far more than its own size")


def test_exponentially_many_paths_are_refused(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        groups = [file.create_group(f"layers{i}") for i in range(12)]
        for group, below in zip(groups, groups[1:], strict=False):
            for index in range(10):
                group[f"a{index}"] = below
    refused(path, "far more than its own size")


def test_an_empty_array_is_named(tmp_path):
    arrays = {"conv1_w": np.zeros((8, 0, 1, 7, 7), "f4")}
    arrays["res2_0_branch2a_w"] = np.zeros((8, 8, 1, 1, 1), "f4")
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"blobs": arrays}, protocol=2))
    refused(path, "'conv1_w' is empty")


@pytest.fixture
def min_bytes(monkeypatch):
    """Reduce the memory budget, so that a small file exceeds it."""
    monkeypatch.setattr(size_limits, "MIN_BYTES", 2**21)
    return size_limits.MIN_BYTES


def refused_in_budget(path, message=None, min_bytes=size_limits.MIN_BYTES):
    """Assert one error, within the memory budget of the file."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak <= 4 * path.stat().st_size + min_bytes


COUNT = 60_000
OPCODES = {
    "dictionaries": b"}" * COUNT,
    "lists": b"]" * COUNT,
    "tuples": b")\x85" * COUNT,
    "memo": b"}" + b"\x94" * COUNT,
    "dictionaries of one": b"}K\x01Ns" * (COUNT // 2),
    "names": b"cnumpy\nndarray\n" * (COUNT // 4),
    "calls": b"ccollections\nOrderedDict\nq\x010" + b"h\x01)R" * COUNT,
}


@pytest.mark.parametrize("name", OPCODES)
def test_many_opcodes_are_charged(name, min_bytes, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + OPCODES[name] + b".")
    refused_in_budget(path, "far more than its own size", min_bytes)


def test_the_number_of_opcodes_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_OPCODES", 1000)
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + b"N" * 2000 + b".")
    refused_in_budget(path, "more than 1000 opcodes")


@pytest.mark.parametrize("form", ["utf-8", "escapes"])
def test_long_strings_of_wide_letters_are_refused(form, tmp_path):
    path = tmp_path / "a.pkl"
    many = "x" * 30_000_000
    letters = {"utf-8": text(many + "\U0001f600")}
    letters["escapes"] = b"V" + many.encode() + b"\\U0001F600\n"
    path.write_bytes(b"\x80\x02" + letters[form] + b".")
    refused_in_budget(path, "beyond Latin-1")


FROM_TYPE = b"ctorch._tensor\n_rebuild_from_type_v2\nq\x030"
REBUILT = {
    "dictionaries": b"("
    + (text("a") + b"K\x01\x86") * 20_000
    + b"l\x85q\x010ccollections\nOrderedDict\nq\x020"
    + FROM_TYPE
    + b"("
    + b"h\x03(h\x02h\x02h\x01NtR" * 200,
    "text": LONG
    + text("latin1")
    + b"\x86q\x010c_codecs\nencode\nq\x020"
    + FROM_TYPE
    + b"("
    + b"h\x03(h\x02h\x02h\x01NtR" * 200,
    "itself": FROM_TYPE + b"h\x03(h\x03NNNtR",
}


@pytest.mark.parametrize("name", REBUILT)
def test_calls_through_rebuild_from_type_are_charged(name, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(REBUILT[name]))
    refused_in_budget(path)


def test_an_expanded_tensor_is_charged_before_it_is_copied(tmp_path):
    storage = b"(" + text("storage") + b"ctorch\nDoubleStorage\n" + text("0")
    storage += text("cpu") + b"K\x01tQ"
    large = tensor(pair(4096, 4096), pair(0, 0), storage)
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(blobs(large)))
    refused_in_budget(path, "far more than its own size")


def test_a_zip_archive_of_many_entries_is_refused(min_bytes, tmp_path):
    count = 3_000
    layout = "<4s4B4HL2L5H2L"
    fields = (20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    entry = struct.pack(layout, b"PK\x01\x02", *fields)
    entries = b"".join(entry + b"%06d" % i for i in range(count))
    fields = (0, 0, count, count, len(entries), 4, 0)
    directory_end = struct.pack("<4s4H2LH", b"PK\x05\x06", *fields)
    path = tmp_path / "a.pth"
    path.write_bytes(b"PK\x03\x04" + entries + directory_end)
    refused_in_budget(path, "far more than its own size", min_bytes)


def test_a_folder_is_an_error_that_says_what_reads_it(tmp_path):
    with pytest.raises(CheckpointError, match="Received a folder, such as of"):
        read_checkpoint(tmp_path)
