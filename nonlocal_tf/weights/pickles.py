"""Pickles, read without running what they say.

A pickle is a program: it may name any function of any module and call it. The
reader here knows the few names that arrays are made of, and refuses a file
that has another. Some classes of training frameworks are allowed in name only:
they become inert objects, since nobody wants their content.
"""

import collections
import functools
import io
import pickle
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np

from nonlocal_tf.weights.errors import CheckpointError


class Inert:
    """Stands for an object whose content does not matter."""

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


class _DType:
    """NumPy's description of an element, for plain numbers alone."""

    def __init__(self, code, *ignored):
        self._code, self._order = code, ""

    def __setstate__(self, state):
        # (version, byte order, and what records have)
        if any(state[2:5]):
            raise CheckpointError("The file has arrays of records.")
        self._order = state[1] if state[1] in ("<", ">") else ""

    def numpy(self) -> np.dtype:
        kind = np.dtype(f"{self._order}{self._code}")
        if kind.hasobject or kind.names or kind.subdtype:
            raise CheckpointError("The file has arrays of objects.")
        return kind


class _Array:
    """An array, made of the bytes of its state."""

    def __init__(self, *ignored):
        self._state = None

    def __setstate__(self, state):
        self._state = state

    def array(self) -> np.ndarray:
        if self._state is None:
            raise CheckpointError("The file has an array without numbers.")
        _, shape, dtype, is_fortran, content = self._state
        return _from_buffer(content, dtype, shape, "F" if is_fortran else "C")


def _from_buffer(content, dtype, shape, order="C", axes=None):
    if axes is not None or not isinstance(dtype, _DType):
        raise CheckpointError("The file has arrays of an unknown form.")
    if isinstance(content, str):  # bytes of Python 2
        content = content.encode("latin1")
    if not isinstance(content, (bytes, bytearray)):
        raise CheckpointError("The file has arrays of objects.")
    flat = np.frombuffer(bytes(content), dtype.numpy())
    return flat.reshape(shape, order=order)


def _scalar(dtype, content):
    return _from_buffer(content, dtype, (1,))[0]


def _encode(text, encoding):
    """`_codecs.encode` of what is bytes in Python 2."""
    if encoding not in ("latin1", "latin-1", "bytes"):
        raise CheckpointError(f"The file has text in {encoding!r}.")
    return text.encode("latin1")


# numpy.core became numpy._core in NumPy 2; files have either. NumPy's own
# functions are not called: they were not made for what strangers write.
ALLOWED: dict[tuple[str, str], object] = {
    **{
        (f"numpy.{core}.{module}", name): ours
        for core in ("core", "_core")
        for module, name, ours in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
# Beside the weights in training checkpoints.
INERT = {
    ("argparse", "Namespace"),
    ("collections", "defaultdict"),
    ("fvcore.common.config", "CfgNode"),
    ("yacs.config", "CfgNode"),
    ("mmengine.config.config", "ConfigDict"),
    ("mmengine.logging.history_buffer", "HistoryBuffer"),
}


class Unpickler(pickle.Unpickler):
    """Makes arrays, dictionaries, lists, numbers and text; nothing else.

    Args:
        file: to read from.
        more: other names to allow, `{(module, name): what it stands for}`.
        storage: what a persistent identifier stands for, as PyTorch's files
            have them.
    """

    def __init__(
        self,
        file: BinaryIO,
        more: Mapping[tuple[str, str], object] | None = None,
        storage: Callable | None = None,
    ):
        # Python 2 wrote bytes where there is text now.
        super().__init__(file, encoding="latin1")
        self._allowed = {**ALLOWED, **(more or {})}
        self._storage = storage

    def find_class(self, module, name):
        # Subclasses and partials of their own: a file may set attributes.
        if (module, name) in INERT:
            return type(name, (Inert,), {})
        if (module, name) in self._allowed:
            known = self._allowed[module, name]
            if isinstance(known, type) and known.__module__ == __name__:
                return type(name, (known,), {})
            return functools.partial(known) if callable(known) else known
        raise CheckpointError(
            f"The file asks to run or make {module}.{name}, which weights do "
            "not need: it is not opened, as it may be made to harm. If you "
            "trust it, save its arrays alone, with the software it is from."
        )

    def persistent_load(self, pid):
        if self._storage is None:
            raise CheckpointError("The file refers to data outside of itself.")
        return self._storage(pid)


def load(file: BinaryIO, more=None, storage=None):
    """The next object of a pickle.

    Args:
        file: open at its beginning.
        more: as of `Unpickler`.
        storage: as of `Unpickler`.

    Raises:
        CheckpointError: the file ends early, is damaged, or asks for what is
            not allowed.
    """
    try:
        return Unpickler(file, more, storage).load()
    except CheckpointError:
        raise
    except (EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"The file is not a whole pickle: {str(error) or 'it ends early'}."
            " Is it fully downloaded?"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever broken bytes can make of it
        raise CheckpointError(
            f"The file is damaged: {type(error).__name__}: {error}"
        ) from error


def loads(content: bytes, more=None, storage=None):
    """As `load`, of bytes."""
    return load(io.BytesIO(content), more, storage)


def with_arrays(value):
    """What `load` gave, with arrays for what stands for them.

    Args:
        value: an object that stands for an array has a method `array`; those
            in dictionaries, lists and tuples are found.
    """
    try:
        if isinstance(value, dict):
            return {key: with_arrays(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [with_arrays(item) for item in value]
        return value.array() if hasattr(value, "array") else value
    except (ValueError, TypeError, IndexError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"The file is damaged: {error}") from error
    except RecursionError as error:
        raise CheckpointError("The file is damaged: it has no end.") from error
