"""Restricted unpickler: reads pickles of arrays without running their code.

A pickle is a program. Python's own unpickler calls any function that it names,
trusts its sizes and can be made to crash. The one here supports the opcodes of
dictionaries of arrays. Functions and classes are looked up in a table of safe
stand-ins; files that name others are refused.
"""

import dataclasses
import io
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.readers import pickle_opcodes
from nonlocal_tf.checkpoints.readers.pickle_arrays import (
    ALLOWED,
    KEY_TYPES,
    PickledArray,
    PickledDType,
    rebuild_from_type,
)
from nonlocal_tf.checkpoints.size_limits import MemoryBudget
from nonlocal_tf.typing import FileContent

ARGUMENT_COST = 64  # per item of an argument
# Pickles of weights have some ten thousand opcodes.
MAX_OPCODES = 2_000_000


@dataclasses.dataclass(frozen=True)
class Global:
    """Stand-in for a function or class that a file names."""

    stand_in: Any


_MARK = object()


class RestrictedUnpickler:
    """Stack machine that runs the opcodes of one pickle.

    Args:
        allowed: further stand-ins, `{(module, name): callable}`.
        load_storage: maps a persistent id, as in PyTorch's files, to data.
        budget: budget of the file.
    """

    def __init__(
        self,
        allowed: Mapping[tuple[str, str], Callable] | None = None,
        load_storage: Callable | None = None,
        budget: MemoryBudget | None = None,
    ):
        self._budget = budget or MemoryBudget()
        self._allowed = {**ALLOWED, **(allowed or {})}
        self._load_storage = load_storage
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self, content: FileContent) -> Any:
        """Return the object of a pickle; leave `content` at its end."""
        is_bytes = isinstance(content, bytes)
        source: Any = io.BytesIO(content) if is_bytes else content
        file: IO[bytes] = source
        for _ in range(MAX_OPCODES):
            opcode = pickle_opcodes.OPCODES.get(file.read(1))
            if opcode is None:
                raise ValueError("an invalid opcode, or an early end")
            name = opcode.name
            cost = pickle_opcodes.COSTS.get(name, pickle_opcodes.DEFAULT_COST)
            self._budget.reserve(cost)
            if name in pickle_opcodes.STRINGS:
                self._push(pickle_opcodes.read_string(name, file))
                continue
            argument: Any = opcode.arg and opcode.arg.reader(file)
            if name == "STOP":
                return self._stack.pop()
            if name in pickle_opcodes.CONSTANTS:
                self._stack.append(pickle_opcodes.CONSTANTS[name])
            elif name in pickle_opcodes.LITERALS:
                self._push(pickle_opcodes.check_literal(argument))
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self._memo[argument] = self._stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self._stack.append(self._memo[argument])
            elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
                items = [self._stack.pop() for _ in range(int(name[-1]))]
                self._stack.append(tuple(reversed(items)))
            elif name == "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            elif name not in ("PROTO", "FRAME"):
                execute = getattr(self, f"_{name.lower()}", None)
                if execute is None:
                    raise CheckpointError(
                        f"The file has the opcode {name}, which weights do "
                        "not need."
                    )
                execute(argument)
        raise CheckpointError(
            f"The file has more than {MAX_OPCODES} opcodes, which weights do "
            "not need."
        )

    def _push(self, value: object) -> None:
        """Push a number, string or bytes, and charge its memory."""
        self._budget.reserve(sys.getsizeof(value))
        self._stack.append(value)

    # Each method below executes the opcode of its name in `pickletools`.

    def _mark(self, _: object) -> None:
        self._stack.append(_MARK)

    def _pop(self, _: object) -> None:
        self._stack.pop()

    def _pop_mark(self, _: object) -> None:
        self._pop_to_mark()

    def _empty_list(self, _: object) -> None:
        self._stack.append([])

    def _empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _list(self, _: object) -> None:
        self._stack.append(self._pop_to_mark())

    def _tuple(self, _: object) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _append(self, _: object) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: object) -> None:
        self._extend(self._pop_to_mark())

    def _dict(self, _: object) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._update(items)

    def _setitem(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: object) -> None:
        self._update(self._pop_to_mark())

    def _global(self, names: str) -> None:
        self._stack.append(self._find_global(*names.split(" ", 1)))

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._find_global(module, name))

    def _reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._call(function, arguments)

    def _newobj_ex(self, _: object) -> None:
        self._stack.pop()  # keyword arguments
        self._reduce(_)

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        instance = self._stack[-1]
        if isinstance(instance, PickledArray):
            instance.state = state
        elif isinstance(instance, PickledDType):
            instance.set_state(state)

    def _binpersid(self, _: object) -> None:
        if self._load_storage is None:
            raise CheckpointError("The file refers to data outside of itself.")
        self._stack.append(self._load_storage(self._stack.pop()))

    # Weights are not in sets: they become lists.
    _empty_set, _additems, _frozenset = _empty_list, _appends, _list
    _newobj = _reduce

    def _pop_to_mark(self) -> list:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _extend(self, items: list) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _update(self, items: list) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            self._budget.reserve(pickle_opcodes.ITEM_COST * len(items) // 2)
            for key, value in zip(items[::2], items[1::2], strict=True):
                # Hashing other types can take endlessly.
                if isinstance(key, KEY_TYPES):
                    target[key] = value

    def _find_global(self, module: object, name: object) -> Global:
        # Only strings: hashing or printing deeply nested objects can crash.
        if not isinstance(module, str) or not isinstance(name, str):
            raise CheckpointError("Malformed pickle: a name is no string.")
        if (module, name) not in self._allowed:
            raise CheckpointError(
                f"The file would run or build {module}.{name}, which weights "
                "do not need. It is not loaded: this may be malicious code. If "
                "you trust the file, save its arrays alone with the software "
                "that wrote it."
            )
        return Global(self._allowed[module, name])

    def _call(self, function: object, arguments: object) -> None:
        if (
            isinstance(function, Global)
            and function.stand_in is rebuild_from_type
            and isinstance(arguments, tuple)
            and len(arguments) == 4
        ):
            function, _, arguments, _ = arguments
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise CheckpointError("Malformed pickle: call of a non-callable.")
        for argument in arguments:
            if isinstance(argument, (str, bytes)):
                self._budget.reserve(len(argument))
            elif isinstance(argument, (list, tuple, dict)):
                self._budget.reserve(ARGUMENT_COST * len(argument))
        self._stack.append(function.stand_in(*arguments))


def load(
    content: FileContent,
    allowed: Mapping[tuple[str, str], Callable] | None = None,
    load_storage: Callable | None = None,
    budget: MemoryBudget | None = None,
) -> Any:
    """Load the next pickle of a file.

    Args:
        content: bytes, or a memory map at the start of the pickle. The memory
            map is left at the pickle's end.
        allowed: see `RestrictedUnpickler`.
        load_storage: see `RestrictedUnpickler`.
        budget: budget of the file.

    Returns:
        Numbers, strings, lists, tuples and dictionaries; arrays are objects
        with a method `to_numpy`.

    Raises:
        CheckpointError: the file is truncated, damaged, or would run code.
    """
    with as_checkpoint_error("The pickle"):
        unpickler = RestrictedUnpickler(allowed, load_storage, budget)
        return unpickler.load(content)
