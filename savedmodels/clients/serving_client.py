"""Asks a model on TensorFlow Serving, over gRPC or REST.

    client = connect("localhost:8500", "digits_nl")
    client.signatures()["serving_default"].inputs  # names, types, shapes
    client.predict("serving_default", clips=clips)["probabilities"]

Both kinds of client have these two methods and take and give NumPy arrays;
strings are object arrays of bytes. What goes wrong is a ClientError of one
line. A server that is not there (UNAVAILABLE, 503) is asked again, with longer
and longer waits within the timeout, and nothing else is: asking twice would
not help, or take twice the time. Connections are not encrypted, and proxies
are not used.

Servers are not trusted: all of a question shares one timeout, an answer has a
largest size, and what it holds has the types and shapes that the model's
signature says and no number that is not finite.
"""

import dataclasses
import random
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

WAITS_S = (0.1, 0.2, 0.4, 0.8, 1.6)
MAX_MB = 64.0
Shape = tuple[int, ...] | None
# TensorFlow's name of a type, and NumPy's type.
DTYPES: dict[str, Any] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_BOOL": np.bool_,
    "DT_STRING": np.object_,
}


class ClientError(Exception):
    """Something the user can mend, in one line."""


class Unavailable(Exception):
    """Nobody answers now; worth another try."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a signature takes and gives: type and shape by name.

    A type is such as "DT_UINT8"; in a shape -1 is any size, and the shape is
    None where even the rank is open.
    """

    inputs: dict[str, tuple[str, Shape]]
    outputs: dict[str, tuple[str, Shape]]


class Client(Protocol):
    """What the clients of both protocols do."""

    def signatures(self) -> dict[str, Signature]:
        """The model's signatures, by name."""

    def predict(self, signature: str, **inputs: np.ndarray) -> dict[str, Any]:
        """The outputs for these inputs, by name."""

    def close(self) -> None:
        """Ends the connection."""


def connect(
    address: str,
    model: str,
    rest: bool = False,
    timeout_s: float = 30.0,
    max_mb: float = MAX_MB,
) -> Client:
    """A client of one model; nothing is sent yet.

    Args:
        address: host and port; of TensorFlow Serving, 8500 is gRPC, 8501 REST.
        model: its name on the server.
        rest: whether to speak REST.
        timeout_s: seconds for a question, with all its tries.
        max_mb: the largest request that is sent, and, if it is more than 64,
            the largest answer that is read, in megabytes.

    Raises:
        ClientError: that is no address, or a package is missing.
    """
    check_address(address)
    if rest:
        import serving_rest

        return serving_rest.RestClient(address, model, timeout_s, max_mb)
    import serving_grpc

    return serving_grpc.GrpcClient(address, model, timeout_s, max_mb)


def check_address(address: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        ClientError: it is not HOST:PORT.
    """
    try:
        parts = urllib.parse.urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != address:
        raise ClientError(
            f"Expected HOST:PORT, such as localhost:8500. Received: {address}"
        )
    return host, port


def check_size(size_bytes: int, max_mb: float) -> None:
    """Raises a ClientError for a request that is too large to be sent."""
    if size_bytes > max_mb * 1e6:
        raise ClientError(
            f"The request has {size_bytes / 1e6:.3g} MB or more, and at most "
            f"{max_mb:g} are sent. Send a part (--start, --seconds), smaller "
            "frames (--short-side 256), or raise --max-mb."
        )


def check_outputs(
    address: str,
    outputs: dict[str, np.ndarray],
    expected: dict[str, tuple[str, Shape]] | None,
) -> None:
    """Raise a ClientError for an answer that is not what the model gives.

    Args:
        address: of the server.
        outputs: what it answered, by name.
        expected: types and shapes of the signature; None if it is not known.
    """
    for name, (dtype, shape) in (expected or {}).items():
        if name not in outputs:
            raise _odd(address, f"{plain(name)} is missing")
        array = outputs[name]
        if dtype in DTYPES and array.dtype != DTYPES[dtype]:
            raise _odd(
                address,
                f"expected {dtype} for {plain(name)}, not {array.dtype}",
            )
        if not fits(array.shape, shape):
            raise _odd(
                address,
                f"expected {plain(name)} of shape {shape} (-1: any), not "
                f"{array.shape}",
            )
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _odd(
                address, f"{plain(name)} has numbers that are not finite"
            )


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Return whether a shape is that of a signature, where -1 is any size."""
    return expected is None or (
        len(shape) == len(expected)
        and all(e in (-1, n) for n, e in zip(shape, expected, strict=True))
    )


def _odd(address: str, reason: str) -> ClientError:
    return ClientError(f"{address} answered oddly: {reason}.")


def retry(ask: Callable[[float], Any], address: str, timeout_s: float) -> Any:
    """What `ask` gives, which is tried again as long as nobody answers.

    Args:
        ask: takes the seconds that are left; raises Unavailable.
        address: for the error.
        timeout_s: for all tries together.

    Raises:
        ClientError: nobody answered.
    """
    end = time.monotonic() + timeout_s
    for wait in (*WAITS_S, None):
        try:
            return ask(max(end - time.monotonic(), 1e-3))
        except Unavailable as error:
            # Not all clients at once, when a server comes back.
            wait_s = wait and wait * random.uniform(0.5, 1)
            if wait_s is None or time.monotonic() + wait_s > end:
                raise ClientError(
                    f"Nobody answers at {address} ({error}). Is the server "
                    "up, and is that its port? (8500: gRPC, 8501: REST)"
                ) from error
            time.sleep(wait_s)


def no_answer(address: str, timeout_s: float) -> ClientError:
    """The error of an answer that did not come in time."""
    return ClientError(
        f"No answer from {address} within {timeout_s:g} s. Give it more time "
        "(--timeout), or send less."
    )


def answer_bytes(max_mb: float) -> int:
    """Return the size of the largest answer that is read."""
    return int(max(max_mb, MAX_MB) * 1e6)


def too_large(address: str, max_mb: float) -> ClientError:
    """Return the error of an answer that is not read to its end."""
    return ClientError(
        f"The answer of {address} has more than "
        f"{answer_bytes(max_mb) / 1e6:g} MB. Is that the right server? Raise "
        "--max-mb if it is."
    )


def no_model(address: str, model: str, said: str) -> ClientError:
    """The error of a model that the server does not have."""
    return ClientError(f"{address} serves no model {model!r}: {said}")


def short(text: str, length: int = 400) -> str:
    """A server's message in one line, without its far end."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: length - 3]}..."


def plain(text: str) -> str:
    """Return a server's words as they may go to a terminal.

    Control characters could move its cursor or change what it shows.
    """
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1]
        for letter in text
    )
