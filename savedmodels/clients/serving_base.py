"""Types, limits, retries and errors shared by the gRPC and REST clients.

See `serving_client` for their use.
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
# NumPy types by TensorFlow's name.
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
    """User error, in one line."""


class Unavailable(Exception):
    """The server is temporarily unavailable; the request may be retried."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """Types and shapes of inputs and outputs, by name.

    Types are such as "DT_UINT8"; a size of -1 is any, and a shape of None has
    any rank.
    """

    inputs: dict[str, tuple[str, Shape]]
    outputs: dict[str, tuple[str, Shape]]


class Client(abc.ABC):
    """Client of one model on a server.

    Args:
        address: host and port of the server.
        model: name of the model on the server.
        timeout_s: seconds for a request, including retries.
        max_mb: maximum size of a request, in megabytes.
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
            ClientError: there is no such model, or no response.
        """

    @abc.abstractmethod
    def predict(
        self, signature: str, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the outputs for these inputs, by name.

        Raises:
            ClientError: the request is too large, the server refuses it, or
                there is no response.
        """

    def close(self) -> None:
        """Close the connection, if there is one."""
        return


def check_address(address: str) -> tuple[str, int]:
    """Split an address into host and port.

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
    """Raise a ClientError for a request above the size limit."""
    if size_bytes > max_mb * 1e6:
        raise ClientError(
            f"The request has {size_bytes / 1e6:.3g} MB or more, and at most "
            f"{max_mb:g} are sent. Send a part (--start, --seconds), smaller "
            "frames (--short-side 256), or raise --max-mb."
        )


def batch_size(
    inputs: dict[str, np.ndarray],
    expected: dict[str, tuple[str, Shape]],
) -> int | None:
    """Return the batch size of a request; None if it is not determined.

    Args:
        inputs: arrays by name.
        expected: types and shapes of the signature.
    """
    sizes = {
        array.shape[0]
        for name, array in inputs.items()
        if has_batch(expected.get(name)) and array.ndim
    }
    return sizes.pop() if len(sizes) == 1 else None


def has_batch(spec: tuple[str, Shape] | None) -> bool:
    """Return True if the first axis of a tensor is a batch of any size."""
    return bool(spec and spec[1] and spec[1][0] == -1)


def check_outputs(
    address: str,
    outputs: dict[str, np.ndarray],
    expected: dict[str, tuple[str, Shape]] | None,
    batch: int | None = None,
) -> None:
    """Raise a ClientError for outputs that contradict the signature.

    Args:
        address: of the server.
        outputs: arrays by name.
        expected: types and shapes of the signature; None if unknown.
        batch: size of the request's batch; None if unknown.
    """
    for name, spec in (expected or {}).items():
        dtype, shape = spec
        if name not in outputs:
            raise _invalid(address, f"{printable(name)} is missing")
        array = outputs[name]
        if dtype in DTYPES and array.dtype != DTYPES[dtype]:
            raise _invalid(
                address,
                f"expected {dtype} for {printable(name)}, not {array.dtype}",
            )
        if shape and has_batch(spec) and batch is not None:
            shape = (batch, *shape[1:])
        if not fits(array.shape, shape):
            raise _invalid(
                address,
                f"expected {printable(name)} of shape {shape} (-1: any), not "
                f"{array.shape}",
            )
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _invalid(address, f"{printable(name)} is not finite")


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Return True if a shape is that of a signature, where -1 is any size."""
    return expected is None or (
        len(shape) == len(expected)
        and all(e in (-1, n) for n, e in zip(shape, expected, strict=True))
    )


def _invalid(address: str, reason: str) -> ClientError:
    return ClientError(f"Invalid response of {address}: {reason}.")


def retry(send: Callable[[float], Any], address: str, timeout_s: float) -> Any:
    """Call `send`, again while the server is unavailable.

    Args:
        send: function of the remaining seconds; raises Unavailable.
        address: for the error.
        timeout_s: for all attempts together.

    Raises:
        ClientError: the server stayed unavailable.
    """
    deadline = time.monotonic() + timeout_s
    for wait in (*WAITS_S, None):
        try:
            return send(max(deadline - time.monotonic(), 1e-3))
        except Unavailable as error:
            # Jitter, so that not all clients retry at once.
            wait_s = wait and wait * random.uniform(0.5, 1)
            if wait_s is None or time.monotonic() + wait_s > deadline:
                raise ClientError(
                    f"No server at {address} ({error}). Is it running, and is "
                    "that its port? (8500: gRPC, 8501: REST)"
                ) from error
            time.sleep(wait_s)


def timeout_error(address: str, timeout_s: float) -> ClientError:
    """Return the error about a response that did not come in time."""
    return ClientError(
        f"No response from {address} within {timeout_s:g} s. Raise --timeout, "
        "or send less."
    )


def max_response_bytes(max_mb: float) -> int:
    """Return the maximum size of a response."""
    return int(max(max_mb, MAX_MB) * 1e6)


def too_large_error(address: str, max_mb: float) -> ClientError:
    """Return the error about a response above the size limit."""
    return ClientError(
        f"The response of {address} has more than "
        f"{max_response_bytes(max_mb) / 1e6:g} MB. Is that the right server? "
        "Raise --max-mb if it is."
    )


def model_error(address: str, model: str, message: str) -> ClientError:
    """Return the error about a model that the server does not have."""
    return ClientError(f"{address} serves no model {model!r}: {message}")


def shorten(text: str, length: int = 400) -> str:
    """Truncate a server's message to one printable line."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= length else f"{line[: length - 3]}..."


def printable(text: str) -> str:
    """Escape control characters, which could manipulate the terminal."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1]
        for letter in text
    )
