"""Types, limits, retries and errors of the clients of both protocols.

`serving_client` describes how the clients are used.
"""

import abc
import dataclasses
import random
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

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


class Client(abc.ABC):
    """A client of one model on a server, whatever the protocol.

    Args:
        address: host and port of the server.
        model: name of the model on the server.
        timeout_s: seconds for a question, with all its tries.
        max_mb: the largest request that is sent, in megabytes.
    """

    def __init__(
        self, address: str, model: str, timeout_s: float, max_mb: float
    ):
        self.address, self.model = address, model
        self.timeout_s, self.max_mb = timeout_s, max_mb
        self._signatures: dict[str, Signature] = {}

    @abc.abstractmethod
    def signatures(self) -> dict[str, Signature]:
        """Return the model's signatures, by name.

        Raises:
            ClientError: there is no such model, or no answer.
        """

    @abc.abstractmethod
    def predict(
        self, signature: str, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the outputs for these inputs, by name.

        Raises:
            ClientError: the request is too large or the server refuses it;
                or there is no answer.
        """

    def close(self) -> None:
        """End the connection, where one outlasts a question."""
        return


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
