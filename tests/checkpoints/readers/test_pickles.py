"""The restricted unpickler: supported objects and refused code."""

import collections
import os
import pickle

import numpy as np
import pytest

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers import pickle_arrays, pickles

ARRAYS = {
    "plain": np.arange(6, dtype="float32").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">f4"),
    "integers": np.arange(4),
    "number": np.zeros((), "float32"),
    "empty": np.zeros((0, 3), "float16"),
    "permuted": np.arange(24, dtype="float32")
    .reshape(2, 3, 4)
    .transpose(1, 2, 0),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_equal_those_of_pickle(protocol):
    content = pickle.dumps({"blobs": ARRAYS, "more": [1, "a"]}, protocol)
    loaded = pickles.load(content)
    assert loaded["more"] == [1, "a"]
    for name, expected in ARRAYS.items():
        array = loaded["blobs"][name]
        array = array.to_numpy() if hasattr(array, "to_numpy") else array
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_equal_those_of_pickle(protocol):
    saved = {
        "numbers": [0, -1, 255, 70_000, 2**40, 1.5, True, None],
        "text": "résumé",
        "bytes": b"\x00\xff",
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "nested": {"a": {"b": {}}},
        "ordered": collections.OrderedDict([("x", 1), ("y", 2)]),
        5: "five",
    }
    assert pickles.load(pickle.dumps(saved, protocol)) == saved


def test_arrays_of_python_2_are_read():
    # cPickle of Python 2: a float32 array of one, with bytes as a string.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        b"K\x00\x85U\x01bt R(K\x01K\x01\x85cnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x04\x00\x00\x80?tb."
    ).replace(b"t R", b"tR")
    assert pickles.load(content).to_numpy().tolist() == [1.0]


class Malicious:
    """Object that calls a function when Python unpickles it."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {}",)),
        (eval, ("open('{}', 'w')",)),
        (os.mkdir, ("{}",)),
    ],
)
def test_no_code_is_run(function, arguments, protocol, tmp_path):
    target = tmp_path / "made"
    arguments = [argument.format(target) for argument in arguments]
    content = pickle.dumps({"blobs": Malicious(function, *arguments)}, protocol)
    with pytest.raises(CheckpointError, match="would run or build"):
        pickles.load(content)
    assert not target.exists()


HOSTILE = {
    "state of a function": b"c_codecs\nencode\nq\x01(h\x01)}Ntb)R.",
    "attributes of a class": b"cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb)R.",
    "memo of gigabytes": b"]r\xff\xff\xff\x7f.",
    "deep keys": b"})" + b"\x85" * 5000 + b"K\x01s.",
    "nested references": b"]q\x00"
    + b"".join(
        b"(h" + bytes([i]) + b"h" + bytes([i]) + b"lq" + bytes([i + 1])
        for i in range(60)
    )
    + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_pickles_that_crash_python_are_harmless(name):
    try:
        pickles.load(b"\x80\x02" + HOSTILE[name])
    except CheckpointError:
        pass  # refused or small: both are fine


REFUSED = {
    "length of gigabytes": b"B\xff\xff\xff\x7fab.",
    "huge integer": b"\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".",
    "extension registry": b"\x82\x01.",
    "persistent id": b"X\x01\x00\x00\x00aQ.",
    "old-style class": b"(ios\nsystem\n.",
    "dotted name": b"\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "names that are no strings": b"K\x01K\x02\x93.",
    "call of a number": b"K\x01)R.",
    "empty stack": b"0.",
    "truncated": b"]",
    "empty": b"",
    "invalid opcode": b"\xff\xff",
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_pickles_are_refused(name):
    with pytest.raises(CheckpointError):
        pickles.load(b"\x80\x02" + REFUSED[name])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_truncated_anywhere_are_refused(protocol):
    content = pickle.dumps({"blobs": ARRAYS}, protocol)
    for length in range(len(content)):
        with pytest.raises(CheckpointError):
            loaded = pickles.load(content[:length])
            [array.to_numpy() for array in loaded["blobs"].values()]


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array(["2026-11-24"], "datetime64[D]"),
        np.array([1j]),
        np.zeros(2, [("a", "f4")]),
    ],
)
def test_arrays_that_are_not_numeric_are_refused(array):
    content = pickle.dumps(array, protocol=2)
    content = content.replace(b"cbuiltins\nobject\n)\x81", b"N")
    with pytest.raises(CheckpointError):
        pickles.load(
            content.replace(b"c__builtin__\nobject\n)\x81", b"N")
        ).to_numpy()


def test_objects_of_training_frameworks_are_opaque():
    content = (
        b"\x80\x02}X\x01\x00\x00\x00acmmengine.logging.history_buffer\n"
        b"HistoryBuffer\n)\x81}X\x01\x00\x00\x00bK\x01sbs."
    )
    assert isinstance(pickles.load(content)["a"], pickle_arrays.OpaqueObject)


def test_names_in_messages_are_short_and_printable():
    name = b"\x1b[31m" + b"x" * 5000
    with pytest.raises(CheckpointError, match="would run") as caught:
        pickles.load(b"c" + name + b"\nsystem\n.")
    message = str(caught.value)
    assert message.isprintable() and len(message) < 1100
    assert message.endswith("with the software that wrote it.")
