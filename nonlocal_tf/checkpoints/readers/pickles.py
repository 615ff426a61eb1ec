"""Pickles, read without running what they say.

A pickle is a program for a small machine. Python's own machine calls whatever
function the program names, trusts its numbers and can be made to crash. The
machine here knows the operations that dictionaries of arrays are made of; in
place of functions it has the few forms of arrays that it makes itself. A file
that names anything else is refused. Some classes of training frameworks may be
named: they become objects without content, since nobody wants it.
"""

import dataclasses
import io
import mmap
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.readers import pickle_opcodes as operations
from nonlocal_tf.checkpoints.size_limits import Budget

Content = bytes | mmap.mmap
KEYS = (str, bytes, int, float, bool, type(None))
MOST_AXES = 32
# Counted for every item of what a file turns into something else.
OVERHEAD = 64
# Pickles of weights have some ten thousand operations.
MOST_OPERATIONS = 2_000_000


class Inert:
    """Stands for an object whose content does not matter."""


class Array:
    """Stands for an array, until all that it is made of was read."""

    def __init__(self) -> None:
        self.state: Any = None

    def array(self, budget: Budget | None = None) -> np.ndarray:
        """The array.

        Args:
            budget: of the file.

        Raises:
            CheckpointError: it is not one of numbers, or is cut off.
        """
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise CheckpointError("The file has an array without numbers.")
        _, shape, dtype, is_fortran, content = self.state
        if isinstance(content, (str, bytes)):
            (budget or Budget()).take(len(content))
        return from_buffer(content, dtype, shape, "F" if is_fortran else "C")


class _DType:
    """NumPy's description of an element, for plain numbers alone."""

    def __init__(self, code: object):
        if not isinstance(code, str):
            raise CheckpointError("The file has arrays of other than numbers.")
        self.code, self.order = code[:8], ""

    def set_state(self, state: Any) -> None:
        # (version, byte order, and what records have)
        if any(state[2:5]):
            raise CheckpointError("The file has arrays of records.")
        self.order = state[1] if state[1] in ("<", ">") else ""

    def numpy(self) -> np.dtype:
        kind = np.dtype(f"{self.order}{self.code}")
        if kind.kind not in "fiub" or kind.subdtype:
            raise CheckpointError(
                f"The file has arrays of other than numbers: {self.code!r}."
            )
        return kind


def from_buffer(
    content: object,
    dtype: object,
    shape: Any,
    order: Any = "C",
    axes: Any = None,
) -> np.ndarray:
    """An array of bytes, as NumPy pickles it.

    Raises:
        CheckpointError: it is not one of numbers.
        ValueError: the bytes do not fit the shape.
    """
    if not is_shape(shape) or order not in ("C", "F", "K"):
        raise CheckpointError("The file has an array of no shape.")
    if isinstance(content, str):  # bytes of Python 2
        content = content.encode("latin1")
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise CheckpointError("The file has arrays of other than numbers.")
    flat = np.frombuffer(content, dtype.numpy())
    if order == "K" and is_shape(axes):
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order=order)


def is_shape(value: object) -> bool:
    """Whether it is a tuple of a few whole numbers, none below zero."""
    return (
        isinstance(value, tuple)
        and len(value) <= MOST_AXES
        and all(type(n) is int and n >= 0 for n in value)
    )


def _scalar(dtype: object, content: object) -> np.generic:
    return from_buffer(content, dtype, (1,))[0]


def _encode(text: Any, encoding: object) -> bytes:
    """`_codecs.encode` of what is bytes in Python 2."""
    if not isinstance(encoding, str) or not encoding.startswith("latin"):
        raise CheckpointError("The file has text in an encoding of its own.")
    return text.encode("latin1")


def _dictionary(pairs: Any) -> dict:
    """Python 2 gives the items of an ordered dictionary at once."""
    return {key: value for key, value in pairs if isinstance(key, KEYS)}


def nothing(*arguments: object) -> Inert:
    """Makes an object without content."""
    return Inert()


def of_another_type(
    function: object, kind: object, arguments: object, state: object
) -> NoReturn:
    """PyTorch's call of a function, `(function, class, arguments, state)`.

    The machine makes that call itself, so that it is counted.
    """
    raise CheckpointError("The file calls what is no function.")


# What stands for a function or class that a file may name. numpy.core became
# numpy._core in NumPy 2; files have either.
ALLOWED: dict[tuple[str, str], Callable] = {
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", lambda *ignored: Array()),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", from_buffer),
        )
    },
    ("numpy", "ndarray"): nothing,
    ("numpy", "dtype"): lambda code, *ignored: _DType(code),
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytes"): lambda: b"",
    ("builtins", "bytearray"): lambda content=b"", *ignored: content,
    ("collections", "OrderedDict"): lambda pairs=(): _dictionary(pairs),
    # Beside the weights in training checkpoints.
    ("collections", "defaultdict"): nothing,
    ("argparse", "Namespace"): nothing,
    ("fvcore.common.config", "CfgNode"): nothing,
    ("yacs.config", "CfgNode"): nothing,
    ("mmengine.config.config", "ConfigDict"): nothing,
    ("mmengine.logging.history_buffer", "HistoryBuffer"): nothing,
}


@dataclasses.dataclass(frozen=True)
class Named:
    """A function or class that a file names; `make` stands for it."""

    make: Any


_MARK = object()


class Machine:
    """Runs the operations of one pickle.

    Args:
        more: other names to allow, `{(module, name): what stands for it}`.
        storage: what a persistent identifier stands for, as PyTorch's files
            have them.
        budget: of the file.
    """

    def __init__(
        self,
        more: Mapping[tuple[str, str], Callable] | None = None,
        storage: Callable | None = None,
        budget: Budget | None = None,
    ):
        self._budget = budget or Budget()
        self._allowed = {**ALLOWED, **(more or {})}
        self._storage = storage
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: Content) -> Any:
        """The object that a pickle makes; leaves `content` at its end."""
        is_bytes = isinstance(content, bytes)
        source: Any = io.BytesIO(content) if is_bytes else content
        file: IO[bytes] = source
        for _ in range(MOST_OPERATIONS):
            operation = operations.ALL.get(file.read(1))
            if operation is None:
                raise ValueError("what is no operation, or an early end")
            name = operation.name
            self._budget.take(operations.COSTS.get(name, operations.COST))
            if name in operations.TEXTS:
                self._push(operations.text(name, file))
                continue
            argument: Any = operation.arg and operation.arg.reader(file)
            if name == "STOP":
                return self._stack.pop()
            if name in operations.CONSTANTS:
                self._stack.append(operations.CONSTANTS[name])
            elif name in operations.LITERALS:
                self._push(operations.literal(argument))
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self._memo[argument] = self._stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self._stack.append(self._memo[argument])
            elif name == "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            elif name not in ("PROTO", "FRAME"):
                step = getattr(self, f"_{name.lower()}", None)
                if step is None:
                    raise CheckpointError(
                        f"The file has the operation {name}, which weights do "
                        "not need."
                    )
                step(argument)
        raise CheckpointError(
            f"The file has more than {MOST_OPERATIONS} operations, which "
            "weights do not need."
        )

    def _push(self, value: object) -> None:
        """Adds a number, text or bytes, whose memory is counted."""
        self._budget.take(sys.getsizeof(value))
        self._stack.append(value)

    # Each method below is an operation, named as in `pickletools`.

    def _mark(self, _: object) -> None:
        self._stack.append(_MARK)

    def _pop(self, _: object) -> None:
        self._stack.pop()

    def _pop_mark(self, _: object) -> None:
        self._since_mark()

    def _empty_list(self, _: object) -> None:
        self._stack.append([])

    def _empty_set(self, _: object) -> None:  # no weight is in one
        self._stack.append([])

    def _empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _list(self, _: object) -> None:
        self._stack.append(self._since_mark())

    def _tuple(self, _: object) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _tuple1(self, _: object) -> None:
        self._join(1)

    def _tuple2(self, _: object) -> None:
        self._join(2)

    def _tuple3(self, _: object) -> None:
        self._join(3)

    def _append(self, _: object) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: object) -> None:
        self._extend(self._since_mark())

    def _additems(self, _: object) -> None:
        self._extend(self._since_mark())

    def _frozenset(self, _: object) -> None:
        self._list(_)

    def _dict(self, _: object) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._update(items)

    def _setitem(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: object) -> None:
        self._update(self._since_mark())

    def _global(self, names: str) -> None:
        self._stack.append(self._named(*names.split(" ", 1)))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._named(module, name))

    def _reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._call(function, arguments)

    def _newobj(self, _: object) -> None:
        self._reduce(_)

    def _newobj_ex(self, _: object) -> None:
        self._stack.pop()  # keywords
        self._reduce(_)

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        built = self._stack[-1]
        if isinstance(built, Array):
            built.state = state
        elif isinstance(built, _DType):
            built.set_state(state)
        # Of everything else the state does not matter.

    def _binpersid(self, _: object) -> None:
        if self._storage is None:
            raise CheckpointError("The file refers to data outside of itself.")
        self._stack.append(self._storage(self._stack.pop()))

    def _since_mark(self) -> list:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _join(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def _extend(self, items: list) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _update(self, items: list) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            self._budget.take(operations.COST_OF_PAIR * len(items) // 2)
            for key, value in zip(items[::2], items[1::2], strict=True):
                # Only what is hashed at once; no weight has another name.
                if isinstance(key, KEYS):
                    target[key] = value

    def _named(self, module: object, name: object) -> Named:
        # Only text is looked up and shown: hashing or showing what is nested
        # without end crashes, or takes as long.
        if not isinstance(module, str) or not isinstance(name, str):
            raise CheckpointError("The file names what is no name.")
        if (module, name) not in self._allowed:
            raise CheckpointError(
                f"The file asks to run or make {module}.{name}, which weights "
                "do not need: it is not opened, as it may be made to harm. If "
                "you trust it, save its arrays alone, with the software it is "
                "from."
            )
        return Named(self._allowed[module, name])

    def _call(self, function: object, arguments: object) -> None:
        if (
            isinstance(function, Named)
            and function.make is of_another_type
            and isinstance(arguments, tuple)
            and len(arguments) == 4
        ):
            function, _, arguments, _ = arguments
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise CheckpointError("The file calls what is no function.")
        for one in arguments:
            if isinstance(one, (str, bytes)):
                self._budget.take(len(one))
            elif isinstance(one, (list, tuple, dict)):
                self._budget.take(OVERHEAD * len(one))
        self._stack.append(function.make(*arguments))


def load(
    content: Content,
    more: Mapping[tuple[str, str], Callable] | None = None,
    storage: Callable | None = None,
    budget: Budget | None = None,
) -> Any:
    """The next object of a pickle; its arrays have still to be asked for.

    Args:
        content: bytes or a memory map, which is left behind the pickle.
        more: as of `Machine`.
        storage: as of `Machine`.
        budget: of the file.

    Returns:
        Numbers, text, lists, tuples, dictionaries, and in place of arrays what
        has a method `array`.

    Raises:
        CheckpointError: the file ends early, is damaged, or asks for what is
            not allowed.
    """
    with damaged("The pickle"):
        return Machine(more, storage, budget).run(content)
