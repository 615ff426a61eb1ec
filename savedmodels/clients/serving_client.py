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
        max_mb: the largest request that is sent, in megabytes.

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


def no_model(address: str, model: str, said: str) -> ClientError:
    """The error of a model that the server does not have."""
    return ClientError(f"{address} serves no model {model!r}: {said}")


def short(text: str, length: int = 400) -> str:
    """A server's message in one line, without its far end."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
