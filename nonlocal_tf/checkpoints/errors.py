"""What can be wrong with a checkpoint."""

import contextlib
from collections.abc import Iterator

import keras

# Of a message, which may quote a file.
LONGEST_START, LONGEST_END = 700, 300


class CheckpointError(ValueError):
    """A file that cannot be read as weights, or not as those of a model.

    Args:
        message: one line; what is quoted of a file is shortened, and letters
            that terminals act on are left out.
    """

    def __init__(self, message: str):
        if len(message) > LONGEST_START + LONGEST_END:
            message = f"{message[:LONGEST_START]} ... {message[-LONGEST_END:]}"
        clean = (
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}"
            for c in message
        )
        super().__init__("".join(clean))


def check_model(model: object) -> None:
    """Raise a TypeError unless it is a model, and say how to make one."""
    if isinstance(model, keras.Model):
        return
    example = model if isinstance(model, str) else "c2d_nl5_r50"
    raise TypeError(
        f"Expected a keras.Model, such as nl.create_model({example!r}). "
        f"Received: {model!r}"
    )


class MisfitError(CheckpointError):
    """A file whose weights do not fit the model.

    Args:
        reason: what does not fit, as a sentence.
        remedy: what to do in Python, as a sentence; commands say their own.
        network: that the file has the weights of, as in `list_models`; "" if
            its names and shapes do not say.
    """

    def __init__(self, reason: str, remedy: str, network: str = ""):
        of = f" The file has the weights of {network!r}." if network else ""
        super().__init__(f"{reason}{of} {remedy}")
        self.reason, self.remedy = f"{reason}{of}", remedy
        self.network = network


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
