"""What formats do with the settings that say where a data set is."""

from collections.abc import Callable, Iterable

from ..io.user_error import UserError
from ..recipes.schema import DataConfig
from . import file_names
from .listing import SPLITS

PLACES = ("root", *SPLITS, "classes", "split", "separator")


def read_splits(
    data: DataConfig, read: Callable[[str, str], Iterable]
) -> dict[str, list]:
    """`read(path, split)` of each list of videos that `data` names.

    Raises:
        UserError: it names none, or one of them is empty.
    """
    splits = {}
    for split in SPLITS:
        path = getattr(data, split)
        if path:
            splits[split] = list(read(path, split))
            if not splits[split]:
                raise UserError(f"{path} lists no videos.")
    if not splits:
        raise UserError(
            "Expected a list of videos. Give data.train, data.validation or "
            "data.test with --set data.train=FILE."
        )
    return splits


def check_settings(data: DataConfig, *read: str) -> None:
    """Finds settings that a data set would pass over.

    Args:
        data: the settings.
        read: names of those that the data set reads, of those that say where
            its files are.

    Raises:
        UserError: another one is set, or one is not UTF-8 text.
    """
    for name in PLACES:
        value = getattr(data, name)
        if isinstance(value, str) and not file_names.is_text(value):
            raise UserError(
                f"data.{name}={file_names.printable(value)}: "
                f"{file_names.NOT_TEXT}."
            )
        if name not in read and value != getattr(DataConfig(), name):
            raise UserError(
                f"This data set has no use for data.{name}. Expected only: "
                f"{', '.join(f'data.{r}' for r in read)}. "
                f"Received: data.{name}={value!r}"
            )


def need(data: DataConfig, name: str, what: str) -> str:
    """The path that a setting must have.

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
    """Raises unless `data.split` is one of a data set's splits."""
    if not 1 <= data.split <= splits:
        raise UserError(
            f"Expected data.split from 1 to {splits}. Received: {data.split}"
        )
