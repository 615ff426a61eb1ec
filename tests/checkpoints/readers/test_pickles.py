"""The machine for pickles: what it makes, and what it refuses to do."""

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
def test_arrays_are_those_of_pickle(protocol):
    content = pickle.dumps({"blobs": ARRAYS, "more": [1, "a"]}, protocol)
    found = pickles.load(content)
    assert found["more"] == [1, "a"]
    for name, expected in ARRAYS.items():
        array = found["blobs"][name]
        array = array.to_numpy() if hasattr(array, "to_numpy") else array
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_those_of_pickle(protocol):
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


def test_bytes_of_python_2_become_arrays():
    # What cPickle of Python 2 wrote: (1,) float32 of value 1, as text.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
        b"K\x00\x85U\x01bt R(K\x01K\x01\x85cnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x04\x00\x00\x80?tb."
    ).replace(b"t R", b"tR")
    assert pickles.load(content).to_numpy().tolist() == [1.0]


class Runs:
    """Would run a command when it is unpickled in the usual way."""

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
    content = pickle.dumps({"blobs": Runs(function, *arguments)}, protocol)
    with pytest.raises(CheckpointError, match="would run or build"):
        pickles.load(content)
    assert not target.exists()


HOSTILE = {
    "a state for a function": b"c_codecs\nencode\nq\x01(h\x01)}Ntb)R.",
    "attributes for a class": b"cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb)R.",
    "a memo of gigabytes": b"]r\xff\xff\xff\x7f.",
    "deep keys": b"})" + b"\x85" * 5000 + b"K\x01s.",
    "references of references": b"]q\x00"
    + b"".join(
        b"(h" + bytes([i]) + b"h" + bytes([i]) + b"lq" + bytes([i + 1])
        for i in range(60)
    )
    + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_crashes_or_fills_the_usual_machine_is_harmless(name):
    try:
        pickles.load(b"\x80\x02" + HOSTILE[name])
    except CheckpointError:
        pass  # refused, or made into something small: both are fine


REFUSED = {
    "a length of gigabytes": b"B\xff\xff\xff\x7fab.",
    "a number without end": b"\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".",
    "an extension": b"\x82\x01.",
    "another file's data": b"X\x01\x00\x00\x00aQ.",
    "old classes": b"(ios\nsystem\n.",
    "a dotted name": b"\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "names that are no text": b"K\x01K\x02\x93.",
    "a call of a number": b"K\x01)R.",
    "an empty stack": b"0.",
    "no end": b"]",
    "nothing": b"",
    "no pickle": b"\xff\xff",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_pickle_is_one_error(name):
    with pytest.raises(CheckpointError):
        pickles.load(b"\x80\x02" + REFUSED[name])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_truncated_pickle_is_one_error_wherever_it_ends(protocol):
    content = pickle.dumps({"blobs": ARRAYS}, protocol)
    for end in range(len(content)):
        with pytest.raises(CheckpointError):
            found = pickles.load(content[:end])
            [array.to_numpy() for array in found["blobs"].values()]


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
def test_only_numbers_are_arrays(array):
    content = pickle.dumps(array, protocol=2)
    content = content.replace(b"cbuiltins\nobject\n)\x81", b"N")
    with pytest.raises(CheckpointError):
        pickles.load(
            content.replace(b"c__builtin__\nobject\n)\x81", b"N")
        ).to_numpy()


def test_objects_of_training_frameworks_are_left_empty():
    content = (
        b"\x80\x02}X\x01\x00\x00\x00acmmengine.logging.history_buffer\n"
        b"HistoryBuffer\n)\x81}X\x01\x00\x00\x00bK\x01sbs."
    )
    assert isinstance(pickles.load(content)["a"], pickle_arrays.OpaqueObject)


def test_a_name_in_a_message_is_short_and_printable():
    name = b"\x1b[31m" + b"x" * 5000
    with pytest.raises(CheckpointError, match="would run") as caught:
        pickles.load(b"c" + name + b"\nsystem\n.")
    message = str(caught.value)
    assert message.isprintable() and len(message) < 1100
    assert message.endswith("with the software that wrote it.")
