"""REST client; see `serving_client` for its use.

It needs only NumPy. Numbers are sent as decimals and JPEG files in base64, so
requests are larger than with gRPC: by a third for JPEG files, by three times
and more for pixels.
"""

import base64
import contextlib
import http.client
import io
import json
import socket
import time
import urllib.parse
from typing import Any

import numpy as np
from serving_base import (
    DTYPES,
    Client,
    ClientError,
    Signature,
    Unavailable,
    batch_size,
    check_address,
    check_outputs,
    check_size,
    max_response_bytes,
    model_error,
    retry,
    shorten,
    timeout_error,
    too_large_error,
)

# NumPy kinds of JSON values allowed for each kind of array; otherwise strings
# would become numbers, and 0.5 would become 0.
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
# Raised by reading a response that does not follow TensorFlow Serving's API.
INVALID_RESPONSE = (
    AttributeError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)


class RestClient(Client):
    """REST client of a model; see `serving_client.connect`."""

    def __init__(
        self, address: str, model: str, timeout_s: float, max_mb: float
    ):
        super().__init__(address, model, timeout_s, max_mb)
        self._path = f"/v1/models/{urllib.parse.quote(model, safe='')}"

    def signatures(self) -> dict[str, Signature]:
        answer = self._ask("GET", "/metadata")
        try:
            definitions = answer["metadata"]["signature_def"]["signature_def"]
            self._signatures = {
                name: Signature(
                    _infos(definition.get("inputs", {})),
                    _infos(definition.get("outputs", {})),
                )
                for name, definition in definitions.items()
            }
        except INVALID_RESPONSE as error:
            raise self._not_serving() from error
        return self._signatures

    def predict(
        self, signature: str, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        columns = {name: to_json(array) for name, array in inputs.items()}
        body = json.dumps(
            {"signature_name": signature, "inputs": columns},
            separators=(",", ":"),
        )
        check_size(len(body), self.max_mb)
        answer = self._ask("POST", ":predict", body.encode())
        if signature not in (self._signatures or self.signatures()):
            raise self._not_serving()
        expected = self._signatures[signature].outputs
        batch = batch_size(inputs, self._signatures[signature].inputs)
        try:
            outputs = answer["outputs"]
            if len(expected) == 1:  # a single output comes without its name
                outputs = {next(iter(expected)): outputs}
            arrays = {
                name: from_json(outputs[name], dtype)
                for name, (dtype, _) in expected.items()
            }
        except INVALID_RESPONSE as error:
            raise self._not_serving() from error
        check_outputs(self.address, arrays, expected, batch)
        return arrays

    def _ask(self, method: str, what: str, body: bytes | None = None) -> Any:
        def once(left_s: float):
            status, content = self._exchange(method, what, body, left_s)
            return self._read(status, content)

        return retry(once, self.address, self.timeout_s)

    def _exchange(self, method, what, body, left_s) -> tuple[int, bytes]:
        host, port = check_address(self.address)
        max_bytes = max_response_bytes(self.max_mb)
        connection = http.client.HTTPConnection(host, port)
        try:
            with contextlib.closing(
                _DeadlineConnection(host, port, left_s)
            ) as timed:
                connection.sock = _UnclosedSocket(timed)  # type: ignore[assignment]
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, self._path + what, body, headers)
                response = connection.getresponse()
                content = response.read(max_bytes + 1)
        except TimeoutError as error:
            raise timeout_error(self.address, self.timeout_s) from error
        except OSError as error:
            raise Unavailable(error.strerror or str(error)) from error
        except http.client.HTTPException as error:
            raise self._not_serving() from error
        if len(content) > max_bytes:
            raise too_large_error(self.address, self.max_mb)
        return response.status, content

    def _read(self, status: int, content: bytes) -> Any:
        """Parse the JSON of a response, and raise its error if it is one."""
        try:
            answer = json.loads(content)
            problem = shorten(str(answer["error"])) if "error" in answer else ""
        except (ValueError, TypeError, RecursionError) as error:
            if status == 503:
                raise Unavailable("HTTP 503") from error
            raise self._not_serving() from error
        if status == 200 and not problem:
            return answer
        if status == 503:
            raise Unavailable(problem)
        if status == 504:
            raise timeout_error(self.address, self.timeout_s)
        if status == 404:
            raise model_error(self.address, self.model, problem)
        raise ClientError(f"{self.address} says HTTP {status}: {problem}")

    def _not_serving(self) -> ClientError:
        return ClientError(
            f"{self.address} is not the REST port of TensorFlow Serving "
            "(8501 by default)."
        )


def to_json(array: np.ndarray) -> Any:
    """Convert an array to nested lists; bytes become base64 in an object."""
    return _encoded(np.asarray(array).tolist())


def from_json(value: Any, dtype: str) -> np.ndarray:
    """Convert nested lists to an array; strings become bytes.

    Raises:
        ValueError: the values do not form an array of that type.
    """
    if dtype != "DT_STRING":
        with np.errstate(over="ignore"):  # infinite values are refused later
            array = np.array(value, DTYPES[dtype])
        kind = np.array(value).dtype.kind
        if array.size and kind not in KINDS[array.dtype.kind]:
            raise ValueError(f"not of type {dtype}")
        return array
    plain = np.array(value, object)
    as_bytes = [
        base64.b64decode(item["b64"])
        if isinstance(item, dict)
        else item.encode()
        for item in plain.ravel()
    ]
    array = np.empty(plain.size, object)
    array[:] = as_bytes
    return array.reshape(plain.shape)


def _encoded(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], list | bytes):
        return [_encoded(item) for item in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def _infos(entries: dict) -> dict:
    """Return type and shape of each tensor of a signature."""
    infos = {}
    for name, info in entries.items():
        shape = info["tensor_shape"]
        sizes = tuple(int(dim["size"]) for dim in shape.get("dim", []))
        infos[name] = (
            info["dtype"],
            None if shape.get("unknown_rank") else sizes,
        )
    return infos


class _DeadlineConnection(io.RawIOBase):
    """Connection with one deadline for all sending and receiving.

    Raises:
        OSError: the server is unavailable or does not respond in time.
    """

    def __init__(self, host: str, port: int, seconds: float):
        self._end = time.monotonic() + seconds
        self._socket = self._connect(host, port)

    def _connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first reachable address of a host name."""
        failure: OSError = OSError(f"{host} has no address")
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, number, _, place in places:
            opened = socket.socket(family, kind, number)
            try:
                opened.settimeout(self._left())
                opened.connect(place)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return opened
            except OSError as error:
                opened.close()
                failure = error
        raise failure

    def _left(self) -> float:
        """Return the remaining seconds.

        Raises:
            TimeoutError: the deadline has passed.
        """
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def sendall(self, content: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self._socket.settimeout(self._left())
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        super().close()
        self._socket.close()


class _UnclosedSocket:
    """Socket for `http.client` that does not close the connection.

    `http.client` closes sockets before it has read responses of unknown length.
    """

    def __init__(self, timed: _DeadlineConnection):
        self.sendall = timed.sendall
        self._timed = timed

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._timed)

    def close(self) -> None:
        """Do nothing: the owner of the connection closes it."""
