"""Files made to crash, fill memory, take hours, or raise another error."""

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
    """The operation that makes a text."""
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def doubled(times):
    """A tuple of the tuple before, twice: 2 ** times to show or to hash."""
    steps = (
        b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
        for i in range(times)
    )
    return b"K\x01\x85q\0" + b"".join(steps)


def array(code=None, shape=b"(K\x01t", content=b"C\x04\0\0\x80?"):
    """NumPy's pickle of an array of one number."""
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
    "names that nest": b"K\x01" + b"\x85" * 300_000 + text("x") + b"\x93",
    "names to show for hours": doubled(60) + text("x") + b"\x93",
    "an element to show for hours": blobs(array(code=doubled(40))),
    "a shape to show for hours": blobs(array(shape=doubled(40))),
    "text to show for hours": b"c_codecs\nencode\n("
    + text("a")
    + doubled(40)
    + b"tR",
    "a note to show for hours": b"}("
    + text("nonlocal_tf")
    + doubled(40)
    + text("conv1_w")
    + array()
    + text("res2_0_branch2a_w")
    + array()
    + b"u",
    "no element": blobs(array(code=text("garbage"))),
    "elements of elements": blobs(array(code=text("(1000000000,)f4"))),
    "a number of axes": blobs(array(shape=b"(" + b"K\x01" * 70 + b"t")),
    "a huge shape": blobs(array(shape=b"(" + 2 * number(2**62) + b"t")),
    "a shape of text": blobs(array(shape=text("4"))),
    "three bytes": blobs(array(content=b"C\x03abc")),
    "no latin text": blobs(array(content=text("€"))),
    "text a thousand times": LONG
    + b"q\x010"
    + b"c_codecs\nencode\nq\x020("
    + (b"h\x02h\x01" + text("latin1") + b"\x86R") * MANY
    + b"t",
    "arrays of one text": LONG
    + b"q\x010}("
    + b"".join(
        text(f"a{i}") + array(content=b"h\x01", shape=b"(J\x90\xd0\x03\0t")
        for i in range(MANY)
    )
    + b"u",
    "a dictionary a thousand times": b"("
    + (text("a") + b"K\x01\x86") * 1000
    + b"lq\x010ccollections\nOrderedDict\nq\x020("
    + b"h\x02h\x01\x85R" * 5 * MANY
    + b"t",
}


def refused(path, message=None):
    """One error that names the file, and no more memory than 500 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert after - before < 500_000  # kB


@pytest.mark.parametrize("name", PICKLES)
def test_a_crafted_pickle_is_one_error(name, tmp_path):
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
    "numbers a thousand times over": b"}("
    + b"".join(
        text(f"a{i}") + tensor(pair(4096, 4096), pair(0, 0)) for i in range(30)
    )
    + b"u",
    "a huge stride": blobs(tensor(pair(1), pair(2**61))),
    "seventy axes": blobs(tensor(pair(*[1] * 70), pair(*[0] * 70))),
    "a shape to show for hours": blobs(tensor(doubled(40), pair(1))),
    "a dictionary of numbers": blobs(tensor(pair(1), pair(1), b"}")),
    "sizes of text": LONG
    + b"q\x010ctorch\nSize\nq\x020("
    + b"h\x02h\x01\x85R" * MANY
    + b"t",
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_crafted_archive_of_pytorch_is_one_error(name, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(TENSORS[name]))
    refused(path)


def test_an_old_file_of_pytorch_with_a_huge_count_is_one_error(tmp_path):
    magic = pickle.dumps(pytorch.LEGACY_MAGIC, protocol=2)
    rest = [pickle.dumps(one, protocol=2) for one in (1001, {})]
    storage = b"(" + text("storage") + b"ctorch\nDoubleStorage\n" + text("0")
    storage += text("cpu") + number(2**61) + b"NtQ"
    saved = b"\x80\x02" + storage + b"."
    keys = pickle.dumps(["0"], protocol=2) + (2**61).to_bytes(8, "little")
    path = tmp_path / "a.pth"
    path.write_bytes(magic + b"".join(rest) + saved + keys)
    refused(path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_keras_archive_that_unpacks_to_gigabytes_is_one_error(kind, tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("model.weights.h5", bytes(300_000_000))
    refused(path)


def test_one_array_many_times_is_one_error(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        once = file.create_dataset("once", (6_000_000,), "f4", chunks=(1000,))
        for index in range(300):
            file[f"layers/a{index}/vars/0"] = once
    refused(path, "far more than its own size")


def test_a_name_many_times_is_one_error(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = [b"b"] * 1000
        group.create_dataset("b", (6_000_000,), "f4", chunks=(1000,))
    refused(path, "far more than its own size")


def test_paths_without_number_are_one_error(tmp_path):
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        groups = [file.create_group(f"layers{i}") for i in range(12)]
        for group, below in zip(groups, groups[1:], strict=False):
            for index in range(10):
                group[f"a{index}"] = below
    refused(path, "far more than its own size")


def test_an_array_without_numbers_is_named(tmp_path):
    arrays = {"conv1_w": np.zeros((8, 0, 1, 7, 7), "f4")}
    arrays["res2_0_branch2a_w"] = np.zeros((8, 8, 1, 1, 1), "f4")
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"blobs": arrays}, protocol=2))
    refused(path, "'conv1_w' is empty")


@pytest.fixture
def least(monkeypatch):
    """A budget that a small file exceeds."""
    monkeypatch.setattr(size_limits, "MIN_BYTES", 2**21)
    return size_limits.MIN_BYTES


def refused_in_budget(path, message=None, least=size_limits.MIN_BYTES):
    """One error, and no more Python memory than the file's budget."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as caught:
            read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak <= 4 * path.stat().st_size + least


LITTLE = 60_000
OPERATIONS = {
    "dictionaries": b"}" * LITTLE,
    "lists": b"]" * LITTLE,
    "tuples": b")\x85" * LITTLE,
    "memo": b"}" + b"\x94" * LITTLE,
    "dictionaries of one": b"}K\x01Ns" * (LITTLE // 2),
    "names": b"cnumpy\nndarray\n" * (LITTLE // 4),
    "calls": b"ccollections\nOrderedDict\nq\x010" + b"h\x01)R" * LITTLE,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_without_number_are_one_error(name, least, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + OPERATIONS[name] + b".")
    refused_in_budget(path, "far more than its own size", least)


def test_more_operations_than_weights_need_are_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_OPCODES", 1000)
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + b"N" * 2000 + b".")
    refused_in_budget(path, "more than 1000 opcodes")


@pytest.mark.parametrize("form", ["utf-8", "escapes"])
def test_long_text_of_four_bytes_a_letter_is_one_error(form, tmp_path):
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
def test_a_call_through_another_type_is_counted(name, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(REBUILT[name]))
    refused_in_budget(path)


def test_an_expanded_tensor_is_counted_before_it_is_made(tmp_path):
    storage = b"(" + text("storage") + b"ctorch\nDoubleStorage\n" + text("0")
    storage += text("cpu") + b"K\x01tQ"
    large = tensor(pair(4096, 4096), pair(0, 0), storage)
    path = tmp_path / "a.pth"
    path.write_bytes(torch_pickle(blobs(large)))
    refused_in_budget(path, "far more than its own size")


def test_a_zip_archive_of_many_entries_is_one_error(least, tmp_path):
    count = 3_000
    layout = "<4s4B4HL2L5H2L"
    fields = (20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    entry = struct.pack(layout, b"PK\x01\x02", *fields)
    entries = b"".join(entry + b"%06d" % i for i in range(count))
    fields = (0, 0, count, count, len(entries), 4, 0)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", *fields)
    path = tmp_path / "a.pth"
    path.write_bytes(b"PK\x03\x04" + entries + end)
    refused_in_budget(path, "far more than its own size", least)
