"""Write numbered versions of SavedModels with their model cards."""

import json
import pathlib
from collections.abc import Callable

from ..io import atomic_files, json_text
from ..io.paths import Path
from . import saved_model
from .model_card import CARD

SOURCE = "source.json"


def write_version(
    out: Path,
    made_from: str | None = None,
    result: dict | None = None,
    *,
    check: Callable[[], None],
    write: Callable[[pathlib.Path], str],
) -> Path:
    """Write the next version, unless the newest has the same content.

    Args:
        out: directory of versions, created if needed.
        made_from: digest of the weights and of how they are stored; None for
            a new version in any case.
        result: scores of the run, for source.json, if any.
        check: raises a UserError unless versions may be written to `out`.
        write: writes a version to a folder and returns its card.

    Returns:
        The version's directory.

    Raises:
        UserError: it cannot be written.
    """
    check()
    with atomic_files.locked(out):
        check()  # other processes may have written meanwhile
        existing = saved_model.versions(out)
        newest = _source(existing[-1]) if existing else None
        if newest is not None and newest == made_from:
            _publish_card(existing[-1], out)
            return existing[-1]
        number = int(existing[-1].name) + 1 if existing else 1
        version = out / str(number)
        with atomic_files.new_directory(
            version, saved_model.SAVED_MODEL
        ) as path:
            card = write(path)
            source = {"made_from": made_from, "result": result}
            atomic_files.write_text(
                path / saved_model.EXTRA / SOURCE, json.dumps(source, indent=2)
            )
            atomic_files.write_text(path / CARD, card)
        _publish_card(version, out)
    return version


def _publish_card(version: Path, out: Path) -> None:
    """Copy a version's card to the directory, unless a user wrote one there."""
    card, published = version / CARD, out / CARD
    if not card.is_file():
        return
    text = card.read_text("utf-8")
    cards = [path / CARD for path in saved_model.versions(out)]
    if published.exists() and published.read_bytes() not in [
        path.read_bytes() for path in cards if path.is_file()
    ]:
        print(f"note: {published} is not a card of a version here: it stays")
        return
    atomic_files.write_text(published, text)


def _source(version: Path) -> str | None:
    """Return digest and dtype of a version's weights, if recorded."""
    try:
        text = (version / saved_model.EXTRA / SOURCE).read_bytes()
        return json_text.parse(text)["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # of another program, or damaged
