"""What can be wrong with a checkpoint."""

import contextlib
from collections.abc import Iterator


class CheckpointError(ValueError):
    """A file that cannot be read as weights, or not as those of a model."""


@contextlib.contextmanager
def damaged(what: str) -> Iterator[None]:
    """Makes one clear error of whatever reading broken bytes can end in.

    Args:
        what: what the block reads, as the subject of a sentence.

    Raises:
        CheckpointError: as the block raises it, or for any other error of it.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError(
            f"{what} is damaged or cut off: is it fully downloaded? ({reason})"
        ) from error
