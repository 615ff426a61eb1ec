"""Checks of the settings that locate a data set."""

from collections.abc import Callable, Iterable

from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import file_names
from .listing import SPLITS

LOCATION_FIELDS = ("root", *SPLITS, "classes", "split", "separator")


def read_splits(
    data: DataConfig, read: Callable[[str, str], Iterable]
) -> dict[str, list]:
    """Read the list of each split with `read(path, split)`.

    Raises:
        UserError: no list is set, or a list is empty.
    """
    splits = {}
    for split in SPLITS:
        path = getattr(data, split)
        if path:
            splits[split] = list(read(path, split))
            if not splits[split]:
                raise UserError(f"Expected videos in {path}. Received: none")
    if not splits:
        raise UserError(
            "Expected a list of videos. Give data.train, data.validation or "
            "data.test with --set data.train=FILE."
        )
    return splits


def check_settings(data: DataConfig, *read: str) -> None:
    """Check that only supported location settings are set.

    Args:
        data: the settings.
        read: names of the location settings that the data set supports.

    Raises:
        UserError: another one is set, or one is not UTF-8 text.
    """
    for name in LOCATION_FIELDS:
        value = getattr(data, name)
        if isinstance(value, str) and not file_names.is_text(value):
            raise UserError(
                f"data.{name}={file_names.printable(value)}: "
                f"{file_names.NOT_TEXT}."
            )
        if name not in read and value != getattr(DataConfig(), name):
            raise UserError(
                f"This data set does not support data.{name}. Expected only: "
                f"{', '.join(f'data.{r}' for r in read)}. "
                f"Received: data.{name}={value!r}"
            )


def need(data: DataConfig, name: str, what: str) -> str:
    """Return a required path.

    Args:
        data: the settings.
        name: name of the setting.
        what: description of the file or folder, for errors.

    Raises:
        UserError: it is not set.
    """
    value = getattr(data, name)
    if not value:
        raise UserError(
            f"Expected data.{name}: {what}. Give it with --set "
            f"data.{name}=PATH."
        )
    return value


def check_split_number(data: DataConfig, splits: int) -> None:
    """Raise a UserError unless `data.split` is from 1 to `splits`."""
    if not 1 <= data.split <= splits:
        raise UserError(
            f"Expected data.split from 1 to {splits}. Received: {data.split}"
        )
