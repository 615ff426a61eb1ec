"""Safe stand-ins for the classes and functions that a pickle may name.

They build NumPy arrays from plain data. Classes of training frameworks become
objects without content.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.size_limits import MemoryBudget

KEY_TYPES = (str, bytes, int, float, bool, type(None))
MAX_RANK = 32


class OpaqueObject:
    """Stand-in for a class whose content is discarded."""

    def __init__(self, *ignored: object):
        pass


class PickledArray:
    """NumPy array before its state is converted."""

    def __init__(self) -> None:
        self.state: Any = None

    def to_numpy(self, budget: MemoryBudget | None = None) -> np.ndarray:
        """Return the array.

        Args:
            budget: budget of the file.

        Raises:
            CheckpointError: it is not numeric, or truncated.
        """
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise CheckpointError("The file has an array without data.")
        _, shape, dtype, is_fortran, content = self.state
        if isinstance(content, (str, bytes)):
            (budget or MemoryBudget()).reserve(len(content))
        return from_buffer(content, dtype, shape, "F" if is_fortran else "C")


class PickledDType:
    """NumPy dtype, numeric types only."""

    def __init__(self, code: object):
        if not isinstance(code, str):
            raise CheckpointError("The file has arrays that are not numeric.")
        self.code, self.order = code[:8], ""

    def set_state(self, state: Any) -> None:
        """Set the byte order from NumPy's pickled state."""
        # (version, byte order, and fields of structured types)
        if any(state[2:5]):
            raise CheckpointError("The file has structured arrays.")
        self.order = state[1] if state[1] in ("<", ">") else ""

    def to_numpy(self) -> np.dtype:
        """Return the dtype.

        Raises:
            CheckpointError: it is not numeric.
        """
        dtype = np.dtype(f"{self.order}{self.code}")
        if dtype.kind not in "fiub" or dtype.subdtype:
            raise CheckpointError(
                f"The file has arrays that are not numeric: {self.code!r}."
            )
        return dtype


def from_buffer(
    content: object,
    dtype: object,
    shape: Any,
    order: Any = "C",
    axes: Any = None,
) -> np.ndarray:
    """Build an array from its bytes, as NumPy's unpickling does.

    Raises:
        CheckpointError: the array is not numeric.
        ValueError: the bytes do not fit the shape.
    """
    if not is_shape(shape) or order not in ("C", "F", "K"):
        raise CheckpointError("The file has an array without a shape.")
    if isinstance(content, str):  # bytes of Python 2
        content = content.encode("latin1")
    if not isinstance(dtype, PickledDType) or not isinstance(content, bytes):
        raise CheckpointError("The file has arrays that are not numeric.")
    flat = np.frombuffer(content, dtype.to_numpy())
    if order == "K" and is_shape(axes):
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def is_shape(value: object) -> bool:
    """Tell if a value is a tuple of at most 32 non-negative integers."""
    return (
        isinstance(value, tuple)
        and len(value) <= MAX_RANK
        and all(type(n) is int and n >= 0 for n in value)
    )


def _scalar(dtype: object, content: object) -> np.generic:
    return from_buffer(content, dtype, (1,))[0]


def _encode(text: Any, encoding: object) -> bytes:
    """Stand in for `_codecs.encode`, which makes bytes in Python 2."""
    if not isinstance(encoding, str) or not encoding.startswith("latin"):
        raise CheckpointError("The file has text in an unsupported encoding.")
    return text.encode("latin1")


def _ordered_dict(pairs: Any) -> dict:
    """Stand in for `OrderedDict` with items, as Python 2 pickles it."""
    return {key: value for key, value in pairs if isinstance(key, KEY_TYPES)}


def rebuild_from_type(
    function: object, kind: object, arguments: object, state: object
) -> NoReturn:
    """Stand in for PyTorch's `_rebuild_from_type_v2`.

    The unpickler calls `function` itself, so that its memory is charged.
    """
    raise CheckpointError("Malformed pickle: call of a non-callable.")


# numpy.core became numpy._core in NumPy 2; files have either.
ALLOWED: dict[tuple[str, str], Callable] = {
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", lambda *ignored: PickledArray()),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", from_buffer),
        )
    },
    ("numpy", "ndarray"): OpaqueObject,
    ("numpy", "dtype"): lambda code, *ignored: PickledDType(code),
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytes"): lambda: b"",
    ("builtins", "bytearray"): lambda content=b"", *ignored: content,
    ("collections", "OrderedDict"): lambda pairs=(): _ordered_dict(pairs),
    # Beside the weights in training checkpoints.
    ("collections", "defaultdict"): OpaqueObject,
    ("argparse", "Namespace"): OpaqueObject,
    ("fvcore.common.config", "CfgNode"): OpaqueObject,
    ("yacs.config", "CfgNode"): OpaqueObject,
    ("mmengine.config.config", "ConfigDict"): OpaqueObject,
    ("mmengine.logging.history_buffer", "HistoryBuffer"): OpaqueObject,
}
