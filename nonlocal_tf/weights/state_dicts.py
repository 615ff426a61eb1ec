"""Finds the weights in what a checkpoint holds.

Training frameworks save weights in one of several dictionaries, under a key of
their own, by names with a prefix of their own. The dictionary is taken whose
names are known, whatever its key and prefix. Where several are, the averaged
weights (EMA, SWA, a teacher) are taken before those that the optimizer
changes, as results are published of them; then the first of `USUAL`.
"""

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from nonlocal_tf.weights import pickles, pytorch
from nonlocal_tf.weights.budget import Budget
from nonlocal_tf.weights.errors import CheckpointError

# The last part of a key, in the order in which they are taken.
USUAL = (
    *("blobs", "model_state", "state_dict", "model_state_dict", "model"),
    *("module", "net", "network", "weights", "params", "student"),
)
AVERAGED = re.compile(
    r"(^|[._/])(ema|swa|avg|averaged?|polyak)s?($|[._/])|teacher", re.I
)
# Modules around a network, or around a part of it, of the same names.
WRAPPERS = re.compile(
    r"(?<![^.])(module|_orig_mod|_forward_module|_fsdp_wrapped_module"
    r"|_checkpoint_wrapped_module)\."
)
OF_OPTIMIZERS = re.compile("optim|sched", re.I)
# Counters of averages, beside the names of a network.
COUNTERS = ("n_averaged", "steps")
DEEPEST = 6
MOST_PREFIXES = 8
MOST_LISTED = 12
LONGEST_KEY = 60
OVERHEAD = 300

Values = Mapping[str, object]
IsKnown = Callable[[Collection[str]], bool]


@dataclasses.dataclass(frozen=True)
class Selection:
    """The dictionary of weights of a file.

    Attributes:
        values: arrays, or what has a method `array`, by name.
        key: under which the file has it, with dots; "" for the file itself.
        passed_over: keys of the others that it could have been.
        ignored: names in it that are not weights of a network.
        keys: what the file has, for messages.
    """

    values: Values
    key: str = ""
    passed_over: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    keys: str = ""

    def choice(self) -> str:
        """A sentence on which weights were taken, "" if there is no other."""
        averaged = " (averaged weights)" if AVERAGED.search(self.key) else ""
        others = ", ".join(map(repr, self.passed_over))
        if not averaged and not others:
            return ""
        instead = f", not of {others}" if others else ""
        return f"{self.key!r}{averaged}{instead}"


def select(saved: object, is_known: IsKnown, budget: Budget) -> Selection:
    """The weights in what a file holds, as the module says.

    Args:
        saved: a dictionary, with dictionaries in it or without.
        is_known: whether a network has such names.
        budget: of the file.

    Returns:
        The dictionary whose names are known; if there is none, another.

    Raises:
        CheckpointError: it is no dictionary, or has several whose names are
            known, none under an usual key.
    """
    if not isinstance(saved, dict):
        raise CheckpointError(
            "Expected a dictionary of weights. "
            f"Received: {type(saved).__name__}"
        )
    dictionaries = [
        (key, values)
        for key, values in _dictionaries(saved, budget)
        if not OF_OPTIMIZERS.search(key)
    ]
    keys = _listed(saved)
    networks = [
        dataclasses.replace(candidate, keys=keys)
        for key, values in dictionaries
        for candidate in _candidates(key, values, is_known)
    ]
    if networks:
        chosen = min(networks, key=lambda network: _rank(network, networks))
        passed_over = tuple(n.key for n in networks if n is not chosen)
        if passed_over and _rank(chosen, networks) >= (1, len(USUAL)):
            raise CheckpointError(_ambiguous(networks))
        return dataclasses.replace(chosen, passed_over=passed_over)
    unknown = [
        Selection(values, key, keys=keys) for key, values in dictionaries
    ]
    if not unknown:
        return Selection({}, keys=keys)
    return min(unknown, key=lambda selection: _rank(selection, unknown))


def _ambiguous(selections: list[Selection]) -> str:
    listed = ", ".join(
        f"{selection.key!r} ({len(selection.values)} arrays)"
        for selection in selections[:MOST_LISTED]
    )
    return (
        "The file has several dictionaries of weights, and none is named as "
        "averaged weights or as usual. Save the one that you mean alone, with "
        f"the software that it is from. Received: {listed}"
    )


def _rank(selection: Selection, selections: list[Selection]) -> tuple[int, int]:
    """Order of preference: averaged weights, then by the order of `USUAL`."""
    parts = selection.key.split(".")
    usual = [USUAL.index(part) for part in parts if part in USUAL]
    position = min(usual, default=len(USUAL))
    if not selection.key:
        return 1, -1
    # When it saves, mmengine exchanges the two: the average, with a counter,
    # is the network's and the network's is the average.
    is_swapped = any(
        other.key == "ema_state_dict" and "steps" in other.ignored
        for other in selections
    )
    if is_swapped:
        return int(selection.key != "state_dict"), position
    return int(not AVERAGED.search(selection.key)), position


def _dictionaries(
    saved: dict, budget: Budget
) -> Iterator[tuple[str, dict[str, object]]]:
    """(key, values) of all dictionaries that have arrays, also nested."""
    pending: deque[tuple[str, int, dict]] = deque([("", 0, saved)])
    visited = set()
    while pending:
        key, depth, mapping = pending.popleft()
        if id(mapping) in visited or depth > DEEPEST:
            continue
        visited.add(id(mapping))
        budget.take(OVERHEAD * (len(mapping) + 1))
        values = {_text(n): v for n, v in mapping.items() if _is_number(v)}
        if any(_is_array(value) for value in values.values()):
            yield key, values
        for name, value in mapping.items():
            if isinstance(value, dict):
                part = _text(name)[:LONGEST_KEY]
                path = f"{key}.{part}" if key else part
                pending.append((path, depth + 1, value))


def _candidates(
    key: str, values: dict[str, object], is_known: IsKnown
) -> Iterator[Selection]:
    """The networks in one dictionary: one, or one beside its average."""
    names = {WRAPPERS.sub("", name): name for name in values}
    if len(names) < len(values):  # they make a difference
        names = {name: name for name in values}
    # Averages of mmcv: the network's own weights, by a name without dots.
    backups = {"ema_" + name.replace(".", "_") for name in names}
    ignored = [n for n in names if n in backups or n in COUNTERS]
    for name in ignored:
        del names[name]

    def selection(prefix: str, names: Mapping[str, str]) -> Selection:
        own = {name: values[full] for name, full in names.items()}
        path = f"{key}.{prefix}" if key and prefix else key or prefix
        return Selection(own, path.rstrip("./"), ignored=tuple(ignored))

    network = _without_prefix(names, is_known)
    if network is not None:
        yield selection("", network)
        return
    parts: dict[str, dict[str, str]] = {}
    for name, full in names.items():
        prefix = _first_part(name)
        parts.setdefault(prefix, {})[name.removeprefix(prefix)] = full
    networks = {}
    for prefix, part_names in parts.items():
        network = _without_prefix(part_names, is_known)
        if network is None:
            return
        networks[prefix] = network
    for prefix, stripped in networks.items():
        yield selection(prefix, stripped)


def _without_prefix(
    names: Mapping[str, str], is_known: IsKnown
) -> dict[str, str] | None:
    """Names that are known, without the prefix that all have; or None."""
    short = dict(names)
    for _ in range(MOST_PREFIXES):
        if is_known(short):
            return short
        prefix = _first_part(next(iter(short), ""))
        if not prefix or not all(name.startswith(prefix) for name in short):
            return None
        short = {n.removeprefix(prefix): full for n, full in short.items()}
    return None


def _first_part(name: str) -> str:
    """ "model." of "model.conv1.weight"; "" of a name of one part."""
    part = re.match(r"[^./]*[./]", name)
    return part[0] if part else ""


def _is_array(value: object) -> bool:
    return isinstance(value, (pickles.Array, pytorch.Tensor, np.ndarray))


def _is_number(value: object) -> bool:
    return _is_array(value) or isinstance(value, (np.generic, int, float))


def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _listed(saved: dict) -> str:
    """The keys of a file, in quotes."""
    some = [repr(_text(key)[:LONGEST_KEY]) for key in list(saved)[:MOST_LISTED]]
    more = [f"{len(saved) - MOST_LISTED} more"] * (len(saved) > MOST_LISTED)
    return ", ".join(some + more) or "none"
