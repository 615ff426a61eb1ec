"""List of the training files of a run, and its changes.

A run folder keeps it in training_files.csv: the name of each file, relative to
where the data is, its label, and what is known of its content.
"""

import collections
import csv
import dataclasses
import hashlib
import io
import posixpath
from collections.abc import Collection, Mapping, Sequence

from ..data.data_files import DataFile
from ..io import quoting
from ..io.user_error import UserError

COLUMNS = ("file", "label", "content")
SHOWN = 3


def to_csv(rows: Sequence[DataFile]) -> str:
    """Format the files as a CSV table, for `from_csv`."""
    return quoting.csv_text([COLUMNS, *map(dataclasses.astuple, rows)])


def from_csv(text: str, path: object) -> list[DataFile]:
    """Parse a table of `to_csv`.

    Raises:
        UserError: it is damaged.
    """
    header, *rows = [*csv.reader(io.StringIO(text, newline=""))] or [()]
    if tuple(header) != COLUMNS or any(len(r) != len(COLUMNS) for r in rows):
        raise UserError(
            f"{path} is damaged. Expected a table of {', '.join(COLUMNS)}."
        )
    return [DataFile(*row) for row in rows]


def digest(rows: Sequence[DataFile]) -> str:
    """Return a digest of the files, to compare them."""
    return hashlib.sha256(to_csv(rows).encode()).hexdigest()[:16]


def differences(
    before: Sequence[DataFile],
    now: Sequence[DataFile],
    unreadable: Collection[str] = (),
    held_out: Collection[str] = (),
) -> str:
    """Describe how the files of a run differ from those at its beginning.

    Args:
        before: at the beginning.
        now: the files now. If all names differ, a common folder in front of
            them is ignored: the files may have moved.
        unreadable: paths of the files that cannot be read.
        held_out: names of the files of other splits now: where a rule divides
            the files, new or removed ones move others between splits.

    Returns:
        What differs, with some names and counts; "" if nothing does.
    """
    if before == now:
        return ""
    if not {row.name for row in before} & {row.name for row in now}:
        inner_before, inner_now = _without_folder(before), _without_folder(now)
        if inner_before == inner_now:
            return ""
        if {r.name for r in inner_before} & {r.name for r in inner_now}:
            before, now = inner_before, inner_now
    old, new = _by_name(before), _by_name(now)
    removed = [name for name in old if name not in new]
    differing = [name for name in old if name in new and old[name] != new[name]]
    changed = {name: _change(old[name], new[name]) for name in differing}
    bad = [name for name in removed if _is_one_of(name, unreadable)]
    moved = [name for name in removed if _is_one_of(name, held_out)]
    parts = [
        _some("added", [name for name in new if name not in old]),
        _some("gone", [n for n in removed if n not in (*bad, *moved)]),
        _some("held out now", moved),
        _some("cannot be read", bad),
    ]
    for kind in ("label changed", "content changed"):
        texts = [f"{n}: {t}" for n, (k, t) in changed.items() if k == kind]
        parts.append(_some(kind, texts))
    text = "; ".join(filter(None, parts))
    return text or "the same files come in another order"


def _change(
    old: Sequence[DataFile], new: Sequence[DataFile]
) -> tuple[str, str]:
    """Return the kind of a change, and its description."""
    labels = [" and ".join(row.label for row in rows) for rows in (old, new)]
    if labels[0] != labels[1]:
        return "label changed", f"{labels[0]}, now {labels[1]}"
    contents = [row.content for row in (old[0], new[0])]
    return "content changed", f"{contents[0]}, now {contents[1]}"


def _some(kind: str, names: Sequence[str]) -> str:
    """Return the count and the first few names; "" if there are none."""
    if not names:
        return ""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind}: {len(names)} ({', '.join(names[:SHOWN])}{rest})"


def _is_one_of(name: str, paths: Collection[str]) -> bool:
    return any(path == name or path.endswith(f"/{name}") for path in paths)


def _by_name(
    rows: Sequence[DataFile],
) -> Mapping[str, list[DataFile]]:
    """Group rows by name: a list may have a file several times."""
    rows_by_name = collections.defaultdict(list)
    for row in rows:
        rows_by_name[row.name].append(row)
    return dict(rows_by_name)


def _without_folder(rows: Sequence[DataFile]) -> list[DataFile]:
    """Return the rows with names relative to their common folder."""
    folders = {posixpath.dirname(row.name) for row in rows}
    if not folders or len({name.startswith("/") for name in folders}) > 1:
        return list(rows)
    common = posixpath.commonpath(folders)
    return [
        dataclasses.replace(
            row, name=posixpath.relpath(row.name, common or ".")
        )
        for row in rows
    ]
