"""Finds the weights in what a checkpoint holds.

Training frameworks save weights in one of several dictionaries, under a key of
their own, by names with a prefix of their own. The dictionary is taken whose
names are known, whatever its key and prefix. Where several are, the averaged
weights (EMA, SWA, a teacher) are taken before those that the optimizer
changes, as results are published of them; then the first of `USUAL`. A few
arrays beside a network, such as those of a loss, are left out.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers import pickles, pytorch
from nonlocal_tf.checkpoints.size_limits import Budget

# The last part of a key, in the order in which they are taken.
USUAL = (
    *("blobs", "model_state", "state_dict", "model_state_dict", "model"),
    *("module", "net", "network", "weights", "params", "student"),
)
# Words of keys; words may be joined, as in "emamodel".
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
OF_NETWORKS = "(models?|net|network|module|state|dict|weights?|params?)*"
AVERAGED = re.compile(
    rf"{OF_NETWORKS}(ema|swa|avg|averaged?|polyak|shadow)s?{OF_NETWORKS}"
    "|.*teacher.*"
)
# Modules around a network, or around a part of it, of the same names.
WRAPPERS = re.compile(
    r"(?<![^.])(module|_orig_mod|_forward_module|_fsdp_wrapped_module"
    r"|_checkpoint_wrapped_module)\."
)
OF_OPTIMIZERS = re.compile(
    "optim|sched|optimizer(s|state|states)?|(lr)?schedulers?"
)
# Parts of keys, as words, that are the state of an optimizer and no network.
ITS_STATE = re.compile(
    rf"(.*_)?({OF_OPTIMIZERS.pattern})(_(states?|dict|[a-z]|\d+))*"
)
# The share of the arrays of a dictionary that a network has at least, if the
# others are left out.
LARGE_MAJORITY = 2 / 3
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
        parent: key of the dictionary in which a prefix tells it from others;
            None if it is a whole dictionary.
    """

    values: Values
    key: str = ""
    passed_over: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    keys: str = ""
    parent: str | None = None

    def choice(self) -> str:
        """A sentence on which weights were taken, "" if there is no other."""
        averaged = " (averaged weights)" if _is_averaged(self.key) else ""
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
    dictionaries = []
    of_optimizers = []
    for key, values in _dictionaries(saved, budget):
        if not _has_word(key, OF_OPTIMIZERS):
            dictionaries.append((key, values))
        elif not _is_optimizer_state(key):
            of_optimizers.append((key, values))
    keys = _listed(saved)
    networks = _networks(dictionaries, is_known) or _networks(
        of_optimizers, is_known
    )
    if networks:
        chosen = min(networks, key=lambda network: _rank(network, networks))
        _check_choice(chosen, networks)
        passed_over = tuple(n.key for n in networks if n is not chosen)
        return dataclasses.replace(chosen, keys=keys, passed_over=passed_over)
    unknown = [
        Selection(values, key, keys=keys) for key, values in dictionaries
    ]
    if not unknown:
        return Selection({}, keys=keys)
    return min(unknown, key=lambda selection: _rank(selection, unknown))


def _networks(
    dictionaries: list[tuple[str, dict[str, object]]], is_known: IsKnown
) -> list[Selection]:
    """Networks in the dictionaries, those of a large majority if any is."""
    found = [
        candidate
        for key, values in dictionaries
        for candidate in _candidates(key, values, is_known)
    ]
    minor = [network for network, is_major in found if not is_major]
    major = [network for network, is_major in found if is_major]
    if minor and not major:
        network = minor[0]
        counts = collections.Counter(map(_first_part, network.ignored))
        listed = ", ".join(
            f"{prefix!r} ({count} arrays)"
            for prefix, count in counts.most_common(MOST_LISTED)
        )
        raise CheckpointError(
            f"Of the file, {len(network.values)} arrays, {network.key!r}, are "
            "those of a network, which are too few beside the others. Save "
            "them alone, without this prefix, with the software that the file "
            f"is from. Received beside them: {listed}"
        )
    return major


def _check_choice(chosen: Selection, networks: list[Selection]) -> None:
    """Raises a CheckpointError if another network could as well be meant."""
    rank = _rank(chosen, networks)
    # By their prefixes alone, those of one dictionary have no order.
    equals = [
        other
        for other in networks
        if chosen.parent is not None
        and other.parent == chosen.parent
        and _rank(other, networks) == rank
    ]
    is_unusual = rank[:2] >= (1, len(USUAL))
    if len(equals) > 1 or (is_unusual and len(networks) > 1):
        raise CheckpointError(_ambiguous(networks))


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


def _rank(
    selection: Selection, selections: list[Selection]
) -> tuple[int, int, int]:
    """Order of preference: averaged weights, then by the order of `USUAL`.

    The last number is that of the last part of the key.
    """
    parts = selection.key.split(".")
    places = [
        USUAL.index(part) if part in USUAL else len(USUAL) for part in parts
    ]
    position = min(places), places[-1]
    if not selection.key:
        return 1, -1, -1
    # When it saves, mmengine exchanges the two: the average, with a counter,
    # is the network's and the network's is the average.
    is_swapped = any(
        other.key == "ema_state_dict" and "steps" in other.ignored
        for other in selections
    )
    if is_swapped:
        return int(selection.key != "state_dict"), *position
    return int(not _is_averaged(selection.key)), *position


def _dictionaries(
    saved: dict, budget: Budget
) -> Iterator[tuple[str, dict[str, object]]]:
    """(key, values) of all dictionaries that have arrays, also nested."""
    pending: collections.deque[tuple[str, int, dict]] = collections.deque(
        [("", 0, saved)]
    )
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
) -> Iterator[tuple[Selection, bool]]:
    """The networks in one dictionary: one, or one beside its average.

    Yields:
        (a network, whether all of them have a large majority of the arrays).
    """
    names = {WRAPPERS.sub("", name): name for name in values}
    if len(names) < len(values):  # they make a difference
        names = {name: name for name in values}
    # Averages of mmcv: the network's own weights, by a name without dots.
    backups = {"ema_" + name.replace(".", "_") for name in names}
    ignored = [n for n in names if n in backups or n in COUNTERS]
    for name in ignored:
        del names[name]

    def selection(
        prefix: str, names: Mapping[str, str], others: Collection[str] = ()
    ) -> Selection:
        own = {name: values[full] for name, full in names.items()}
        path = f"{key}.{prefix}" if key and prefix else key or prefix
        return Selection(own, path.rstrip("./"), ignored=(*ignored, *others))

    prefix, short = _without_prefix(names, is_known)
    if is_known(short):
        # Others say nothing that the key does not.
        named = prefix if _is_averaged(prefix) else ""
        yield selection(named, short), True
        return
    parts: dict[str, dict[str, str]] = {}
    for name, full in short.items():
        part = _first_part(name)
        parts.setdefault(part, {})[name.removeprefix(part)] = full
    networks = {}
    others: list[str] = []
    for part, part_names in parts.items():
        _, network = _without_prefix(part_names, is_known)
        if part and is_known(network):
            networks[prefix + part] = network
        else:
            others += part_names.values()
    is_major = len(short) - len(others) >= LARGE_MAJORITY * len(short)
    for path, network in networks.items():
        found = selection(path, network, others)
        yield dataclasses.replace(found, parent=key), is_major


def _without_prefix(
    names: Mapping[str, str], is_known: IsKnown
) -> tuple[str, dict[str, str]]:
    """(prefix, names without it): what all have, until they are known."""
    short = dict(names)
    common = ""
    for _ in range(MOST_PREFIXES):
        prefix = _first_part(next(iter(short), ""))
        if not prefix or is_known(short):
            break
        if not all(name.startswith(prefix) for name in short):
            break
        common += prefix
        short = {n.removeprefix(prefix): full for n, full in short.items()}
    return common, short


def _first_part(name: str) -> str:
    """ "model." of "model.conv1.weight"; "" of a name of one part."""
    part = re.match(r"[^./]*[./]", name)
    return part[0] if part else ""


def _words(part: str) -> list[str]:
    """Words of a part of a key in small letters: ["model", "ema"]."""
    return [word.lower() for word in WORD.findall(part)]


def _has_word(key: str, pattern: re.Pattern) -> bool:
    """Whether a word of a key matches, also one of mixed letters."""
    plain = re.split(r"[^a-z0-9]+", key.lower())
    return any(pattern.fullmatch(word) for word in (*_words(key), *plain))


def _is_averaged(key: str) -> bool:
    return _has_word(key, AVERAGED)


def _is_optimizer_state(key: str) -> bool:
    return any(
        ITS_STATE.fullmatch("_".join(_words(part))) for part in key.split(".")
    )


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
