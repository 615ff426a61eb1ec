"""Class names and their labels."""

from collections.abc import Iterable, Mapping, Sequence

from ..io.user_error import UserError
from .manifest import Video
from .text_files import read_json, read_lines

MAX_UNNAMED_CLASSES = 100_000


def read_classes(path: str) -> tuple[str, ...]:
    """Read class names from a file, in the order of their labels.

    Args:
        path: a text file with one name per line, or a ".json" file with an
            object from names to labels. Quotes around a name are removed:
            video-nonlocal-net writes some.

    Raises:
        UserError: the file cannot be read, has a class twice, or lacks a
            label.
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
    """Return the names of (name, "file:line") pairs.

    Raises:
        UserError: a name is repeated, or there are none.
    """
    classes: dict[str, None] = {}
    for name, where in names:
        if name in classes:
            raise UserError(
                f"{where}: expected each class once. Received again: {name!r}"
            )
        classes[name] = None
    if not classes:
        raise UserError(f"Expected class names in {path}. Received: none")
    return tuple(classes)


def check_names(classes: Sequence[str]) -> None:
    """Check class names that a script gives.

    Raises:
        TypeError: it is one string instead of several.
        UserError: a name is repeated.
    """
    if isinstance(classes, str):
        raise TypeError(
            "Expected classes as a sequence of names, such as "
            f"['no', 'yes']. Received: {classes!r}"
        )
    unique(((str(name), "classes") for name in classes), "classes")


def label_named(
    name: object, labels: Mapping[str, int], where: str, source: str
) -> int:
    """Return the label of a class name.

    Args:
        name: class name in a list.
        labels: labels of all class names.
        where: "file:line" of the name, for errors.
        source: file with the class names, for errors.

    Raises:
        UserError: there is no such class.
    """
    if not isinstance(name, str) or name not in labels:
        raise UserError(
            f"{where}: expected a class of {source}. Received: {name!r}"
        )
    return labels[name]


def numbered(splits: dict[str, list[tuple[Video, str]]]) -> tuple[str, ...]:
    """Name classes "0" to the highest label, for lists without class names.

    Args:
        splits: for each split, (video, "file:line") pairs.

    Raises:
        UserError: no video has a label, or a label is missing in the training
            split.
    """
    entries = [entry for split in splits.values() for entry in split]
    train_labels = {
        label
        for video, _ in splits.get("train", entries)
        for label in video.labels
    }
    if not train_labels:
        raise UserError(
            "Expected class names, because no list has labels. Give them "
            "with --set data.classes=FILE."
        )
    for video, where in entries:
        for label in video.labels:
            if label not in train_labels:
                raise UserError(
                    f"{where}: expected a label of the training list, or the "
                    "names of all classes with --set data.classes=FILE. "
                    f"Received: {label}"
                )
    highest = max(train_labels)
    if highest >= MAX_UNNAMED_CLASSES:
        where = next(w for v, w in entries if highest in v.labels)
        raise UserError(
            f"{where}: expected labels that count from 0, or the names of all "
            f"classes with --set data.classes=FILE. Received: {highest}"
        )
    return tuple(str(label) for label in range(highest + 1))


def _label(path: str, name: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()):
        raise UserError(
            f"{path}: expected a label for {name!r}. Received: {value!r}"
        )
    return int(text)
