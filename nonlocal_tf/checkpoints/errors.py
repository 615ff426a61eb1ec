"""Errors of checkpoint files."""

import contextlib
from collections.abc import Iterator

import keras

# Characters of a message that are kept; it may quote a file.
HEAD_LENGTH, TAIL_LENGTH = 700, 300


class CheckpointError(ValueError):
    """A file cannot be read as weights, or its weights do not fit a model.

    Args:
        message: one line. Long quotes are shortened; control characters are
            replaced, since terminals act on them.
    """

    def __init__(self, message: str):
        if len(message) > HEAD_LENGTH + TAIL_LENGTH:
            message = f"{message[:HEAD_LENGTH]} ... {message[-TAIL_LENGTH:]}"
        printable = (
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}"
            for c in message
        )
        super().__init__("".join(printable))


class MismatchError(CheckpointError):
    """The weights of a file do not fit the model.

    Args:
        reason: what does not fit, as a sentence.
        remedy: what to do in Python, as a sentence. Commands replace it.
        network: name of the file's network as in `list_models`, "" if it
            cannot be inferred.
    """

    def __init__(self, reason: str, remedy: str, network: str = ""):
        if network:
            reason += f" The file has the weights of {network!r}."
        super().__init__(f"{reason} {remedy}")
        self.reason, self.remedy, self.network = reason, remedy, network


def check_model(model: object) -> None:
    """Raise a TypeError unless the argument is a Keras model."""
    if isinstance(model, keras.Model):
        return
    example = model if isinstance(model, str) else "c2d_nl5_r50"
    raise TypeError(
        f"Expected a keras.Model, such as nl.create_model({example!r}). "
        f"Received: {model!r}"
    )


@contextlib.contextmanager
def as_checkpoint_error(subject: str) -> Iterator[None]:
    """Report any exception of reading a damaged file as a CheckpointError.

    Args:
        subject: what the block reads, as the subject of a sentence.

    Raises:
        CheckpointError: the block raised it, or any other exception.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError(
            f"{subject} is damaged or cut off: is it fully downloaded? "
            f"({reason})"
        ) from error
