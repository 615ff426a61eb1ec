"""Selection of a network's state dict in a training checkpoint.

Training frameworks save state dicts under keys and with prefixes of their own.
The selected one has the names of a network, under any key and prefix. Of
several, averaged weights (EMA, SWA, a teacher) come first, since results are
published of them, then the first of `USUAL_KEYS`. A few arrays beside a
network, such as those of a loss, are ignored.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from nonlocal_tf.checkpoints.errors import CheckpointError
from nonlocal_tf.checkpoints.readers.pickle_arrays import PickledArray
from nonlocal_tf.checkpoints.readers.pytorch import TorchTensor
from nonlocal_tf.checkpoints.size_limits import MemoryBudget

# Last parts of keys, in order of preference.
USUAL_KEYS = (
    *("blobs", "model_state", "state_dict", "model_state_dict", "model"),
    *("module", "net", "network", "weights", "params", "student"),
)
# Words of keys; words may be joined, as in "emamodel".
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
NETWORK_WORDS = "(models?|net|network|module|state|dict|weights?|params?)*"
AVERAGED = re.compile(
    rf"{NETWORK_WORDS}(ema|swa|avg|averaged?|polyak|shadow)s?{NETWORK_WORDS}"
    "|.*teacher.*"
)
# Modules that wrap a network or a part of it.
WRAPPERS = re.compile(
    r"(?<![^.])(module|_orig_mod|_forward_module|_fsdp_wrapped_module"
    r"|_checkpoint_wrapped_module)\."
)
OPTIMIZER = re.compile(
    "optim|sched|optimizer(s|state|states)?|(lr)?schedulers?"
)
# Parts of keys, as words, of an optimizer's state.
OPTIMIZER_STATE = re.compile(
    rf"(.*_)?({OPTIMIZER.pattern})(_(states?|dict|[a-z]|\d+))*"
)
# Minimum share of a network in the arrays of a dictionary with others.
MIN_SHARE = 2 / 3
# Counters of averaged models, beside the names of a network.
COUNTERS = ("n_averaged", "steps")
MAX_DEPTH = 6
MAX_PREFIXES = 8
MAX_LISTED = 12
MAX_KEY_LENGTH = 60
ITEM_OVERHEAD = 300

Values = Mapping[str, object]
IsNetwork = Callable[[Collection[str]], bool]


@dataclasses.dataclass(frozen=True)
class Selection:
    """State dict of a network in a file.

    Attributes:
        values: arrays, or objects with a method `to_numpy`, by name.
        key: its key in the file, with dots; "" for the file itself.
        alternatives: keys of the file's other networks.
        ignored: names in it that are not weights of a network.
        keys: keys of the file, for messages.
        parent: key of the dictionary of which it is the part with a common
            prefix; None if it is a whole dictionary.
    """

    values: Values
    key: str = ""
    alternatives: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    keys: str = ""
    parent: str | None = None

    def description(self) -> str:
        """Describe the selection, "" if the file has one plain network."""
        averaged = " (averaged weights)" if _is_averaged(self.key) else ""
        alternatives = ", ".join(map(repr, self.alternatives))
        if not averaged and not alternatives:
            return ""
        instead = f", not of {alternatives}" if alternatives else ""
        return f"{self.key!r}{averaged}{instead}"


def select(
    saved: object, is_network: IsNetwork, budget: MemoryBudget
) -> Selection:
    """Select the state dict of a network in a file.

    Args:
        saved: content of the file, a dictionary that may be nested.
        is_network: tells if a collection of names is that of a network.
        budget: budget of the file.

    Returns:
        The network; if the file has none, its most likely state dict.

    Raises:
        CheckpointError: the content is no dictionary, or has several networks
            and none under a usual key.
    """
    if not isinstance(saved, dict):
        raise CheckpointError(
            "Expected a dictionary of weights. "
            f"Received: {type(saved).__name__}"
        )
    dictionaries = []
    optimizer_dictionaries = []
    for key, values in _dictionaries(saved, budget):
        if not _has_word(key, OPTIMIZER):
            dictionaries.append((key, values))
        elif not _is_optimizer_state(key):
            optimizer_dictionaries.append((key, values))
    keys = _listed(saved)
    networks = _networks(dictionaries, is_network) or _networks(
        optimizer_dictionaries, is_network
    )
    if networks:
        selected = min(networks, key=lambda network: _rank(network, networks))
        _check_unambiguous(selected, networks)
        alternatives = tuple(n.key for n in networks if n is not selected)
        return dataclasses.replace(
            selected, keys=keys, alternatives=alternatives
        )
    unknown = [
        Selection(values, key, keys=keys) for key, values in dictionaries
    ]
    if not unknown:
        return Selection({}, keys=keys)
    return min(unknown, key=lambda selection: _rank(selection, unknown))


def _networks(
    dictionaries: list[tuple[str, dict[str, object]]], is_network: IsNetwork
) -> list[Selection]:
    """Return the networks that are most of their dictionary.

    Raises:
        CheckpointError: no network is most of its dictionary.
    """
    candidates = [
        candidate
        for key, values in dictionaries
        for candidate in _candidates(key, values, is_network)
    ]
    minor = [network for network, is_major in candidates if not is_major]
    major = [network for network, is_major in candidates if is_major]
    if minor and not major:
        network = minor[0]
        counts = collections.Counter(map(_first_part, network.ignored))
        listed = ", ".join(
            f"{prefix!r} ({count} arrays)"
            for prefix, count in counts.most_common(MAX_LISTED)
        )
        raise CheckpointError(
            f"{len(network.values)} arrays of the file, {network.key!r}, are "
            "those of a network, too few beside the others. Save them alone, "
            "without this prefix, with the software that wrote the file. "
            f"Received beside them: {listed}"
        )
    return major


def _check_unambiguous(selected: Selection, networks: list[Selection]) -> None:
    """Raise a CheckpointError if another network ranks equally."""
    rank = _rank(selected, networks)
    # Prefixes in one dictionary do not rank.
    equals = [
        network
        for network in networks
        if selected.parent is not None
        and network.parent == selected.parent
        and _rank(network, networks) == rank
    ]
    is_unusual = rank[:2] >= (1, len(USUAL_KEYS))
    if len(equals) > 1 or (is_unusual and len(networks) > 1):
        raise CheckpointError(_ambiguity(networks))


def _ambiguity(selections: list[Selection]) -> str:
    listed = ", ".join(
        f"{selection.key!r} ({len(selection.values)} arrays)"
        for selection in selections[:MAX_LISTED]
    )
    return (
        "The file has several state dicts and none under the key of averaged "
        "weights or another usual key. Save one of them alone, with the "
        f"software that wrote the file. Received: {listed}"
    )


def _rank(
    selection: Selection, selections: list[Selection]
) -> tuple[int, int, int]:
    """Return a sort key: averaged weights first, then by `USUAL_KEYS`."""
    parts = selection.key.split(".")
    indices = [
        USUAL_KEYS.index(part) if part in USUAL_KEYS else len(USUAL_KEYS)
        for part in parts
    ]
    position = min(indices), indices[-1]
    if not selection.key:
        return 1, -1, -1
    # mmengine swaps both when it saves: "state_dict" has the average, and
    # "ema_state_dict", with a counter, the optimizer's weights.
    is_swapped = any(
        candidate.key == "ema_state_dict" and "steps" in candidate.ignored
        for candidate in selections
    )
    if is_swapped:
        return int(selection.key != "state_dict"), *position
    return int(not _is_averaged(selection.key)), *position


def _dictionaries(
    saved: dict, budget: MemoryBudget
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (key, values) of all nested dictionaries that have arrays."""
    pending: collections.deque[tuple[str, int, dict]] = collections.deque(
        [("", 0, saved)]
    )
    visited = set()
    while pending:
        key, depth, mapping = pending.popleft()
        if id(mapping) in visited or depth > MAX_DEPTH:
            continue
        visited.add(id(mapping))
        budget.reserve(ITEM_OVERHEAD * (len(mapping) + 1))
        values = {_text(n): v for n, v in mapping.items() if _is_number(v)}
        if any(_is_array(value) for value in values.values()):
            yield key, values
        for name, value in mapping.items():
            if isinstance(value, dict):
                part = _text(name)[:MAX_KEY_LENGTH]
                path = f"{key}.{part}" if key else part
                pending.append((path, depth + 1, value))


def _candidates(
    key: str, values: dict[str, object], is_network: IsNetwork
) -> Iterator[tuple[Selection, bool]]:
    """Yield networks of one dictionary, such as a model and its average.

    Yields:
        (network, True if the networks are most of the dictionary's arrays).
    """
    names = {WRAPPERS.sub("", name): name for name in values}
    if len(names) < len(values):  # wrapped and plain names differ
        names = {name: name for name in values}
    # mmcv stores averages beside the network, in names without dots.
    backups = {"ema_" + name.replace(".", "_") for name in names}
    ignored = [n for n in names if n in backups or n in COUNTERS]
    for name in ignored:
        del names[name]

    def selection(
        prefix: str, names: Mapping[str, str], extra: Collection[str] = ()
    ) -> Selection:
        own = {name: values[full] for name, full in names.items()}
        path = f"{key}.{prefix}" if key and prefix else key or prefix
        return Selection(own, path.rstrip("./"), ignored=(*ignored, *extra))

    prefix, short = _without_prefix(names, is_network)
    if is_network(short):
        # Only the prefix of averaged weights adds to the key.
        label = prefix if _is_averaged(prefix) else ""
        yield selection(label, short), True
        return
    parts: dict[str, dict[str, str]] = {}
    for name, full in short.items():
        part = _first_part(name)
        parts.setdefault(part, {})[name.removeprefix(part)] = full
    networks = {}
    extra: list[str] = []
    for part, part_names in parts.items():
        _, network = _without_prefix(part_names, is_network)
        if part and is_network(network):
            networks[prefix + part] = network
        else:
            extra += part_names.values()
    is_major = len(short) - len(extra) >= MIN_SHARE * len(short)
    for path, network in networks.items():
        candidate = selection(path, network, extra)
        yield dataclasses.replace(candidate, parent=key), is_major


def _without_prefix(
    names: Mapping[str, str], is_network: IsNetwork
) -> tuple[str, dict[str, str]]:
    """Strip common prefixes until a network is recognised.

    Returns:
        (prefix, {name without it: full name}).
    """
    short = dict(names)
    common = ""
    for _ in range(MAX_PREFIXES):
        prefix = _first_part(next(iter(short), ""))
        if not prefix or is_network(short):
            break
        if not all(name.startswith(prefix) for name in short):
            break
        common += prefix
        short = {n.removeprefix(prefix): full for n, full in short.items()}
    return common, short


def _first_part(name: str) -> str:
    """Return "model." of "model.conv1.weight", "" of a name without dots."""
    part = re.match(r"[^./]*[./]", name)
    return part[0] if part else ""


def _words(part: str) -> list[str]:
    """Split a part of a key into lower-case words: ["model", "ema"]."""
    return [word.lower() for word in WORD.findall(part)]


def _has_word(key: str, pattern: re.Pattern) -> bool:
    """Tell if a word of a key matches, with mixed case split or not."""
    plain = re.split(r"[^a-z0-9]+", key.lower())
    return any(pattern.fullmatch(word) for word in (*_words(key), *plain))


def _is_averaged(key: str) -> bool:
    return _has_word(key, AVERAGED)


def _is_optimizer_state(key: str) -> bool:
    return any(
        OPTIMIZER_STATE.fullmatch("_".join(_words(part)))
        for part in key.split(".")
    )


def _is_array(value: object) -> bool:
    return isinstance(value, (PickledArray, TorchTensor, np.ndarray))


def _is_number(value: object) -> bool:
    return _is_array(value) or isinstance(value, (np.generic, int, float))


def _text(name: object) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _listed(saved: dict) -> str:
    """List the keys of a file, in quotes."""
    quoted = [
        repr(_text(key)[:MAX_KEY_LENGTH]) for key in list(saved)[:MAX_LISTED]
    ]
    if len(saved) > MAX_LISTED:
        quoted.append(f"{len(saved) - MAX_LISTED} more")
    return ", ".join(quoted) or "none"
