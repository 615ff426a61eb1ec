"""Names of classes, and which label a name has."""

from collections.abc import Iterable, Mapping

from ..io.user_error import UserError
from .listing import Video, read_json, read_lines

MOST_CLASSES = 100_000  # without names


def read_classes(path: str) -> tuple[str, ...]:
    """Names of a file in the order of their labels.

    Args:
        path: of a text file with one name a line; or, where it ends in
            ".json", of a table from names to labels. Quotes around a name
            are not part of it: video-nonlocal-net writes some.

    Raises:
        UserError: the file cannot be read, names a class twice, or leaves out
            a label.
    """
    if not path.endswith(".json"):
        return unique(read_lines(path), path)
    table = read_json(path)
    if not isinstance(table, dict):
        raise UserError(f'{path}: expected {{"class": label, ...}}.')
    names = {_label(path, *item): item[0].strip('"') for item in table.items()}
    if sorted(names) != list(range(len(table))):
        raise UserError(
            f"{path}: expected the labels 0 to {len(table) - 1}, each once. "
            f"Received: {', '.join(str(v) for v in table.values())}"
        )
    return unique(((names[label], path) for label in sorted(names)), path)


def unique(names: Iterable[tuple[str, str]], path: str) -> tuple[str, ...]:
    """The names, without where each of them stands.

    Raises:
        UserError: one comes twice, or there are none.
    """
    found: dict[str, None] = {}
    for name, where in names:
        if name in found:
            raise UserError(
                f"{where}: expected each class once. Received again: {name!r}"
            )
        found[name] = None
    if not found:
        raise UserError(f"{path} names no classes.")
    return tuple(found)


def label_named(
    name: object, labels: Mapping[str, int], where: str, source: str
) -> int:
    """The label of a class.

    Args:
        name: of the class, as a list has it.
        labels: of all classes.
        where: "file:line" of it.
        source: of the names of classes.

    Raises:
        UserError: there is no such class.
    """
    if not isinstance(name, str) or name not in labels:
        raise UserError(
            f"{where}: expected a class of {source}. Received: {name!r}"
        )
    return labels[name]


def numbered(splits: dict[str, list[tuple[Video, str]]]) -> tuple[str, ...]:
    """Names for classes that no file names: "0" to the highest label.

    Args:
        splits: the videos and where each of them stands.

    Raises:
        UserError: no video has a label, or one has a label that no video to
            train on has.
    """
    every = [entry for entries in splits.values() for entry in entries]
    known = {
        label
        for video, _ in splits.get("train", every)
        for label in video.labels
    }
    if not known:
        raise UserError(
            "Expected the names of the classes, as no list has labels. "
            "Give them with --set data.classes=FILE."
        )
    for video, where in every:
        for label in video.labels:
            if label not in known:
                raise UserError(
                    f"{where}: expected a label of the training list, or the "
                    "names of all classes with --set data.classes=FILE. "
                    f"Received: {label}"
                )
    if max(known) >= MOST_CLASSES:
        where = next(w for v, w in every if max(known) in v.labels)
        raise UserError(
            f"{where}: expected labels that count from 0, or the names of all "
            f"classes with --set data.classes=FILE. Received: {max(known)}"
        )
    return tuple(str(label) for label in range(max(known) + 1))


def _label(path: str, name: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()):
        raise UserError(
            f"{path}: expected a label for {name!r}. Received: {value!r}"
        )
    return int(text)
