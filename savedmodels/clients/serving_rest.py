"""The client that speaks REST; `serving_client` says how it is used.

It needs NumPy alone. Numbers become decimals and JPEG files base64, so requests
are larger than those of gRPC: by a third for JPEG files, by three times and
more for pixels.
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
    answer_bytes,
    check_address,
    check_outputs,
    check_size,
    no_answer,
    no_model,
    retry,
    short,
    too_large,
)

# NumPy's kinds of JSON's values that an array of a kind may be made of; else
# text becomes numbers, and 0.5 a 0.
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}
# What reading an answer raises that has not the form of TensorFlow Serving's.
FROM_OTHERS = (
    AttributeError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)


class RestClient(Client):
    """Asks a model over REST; made by `serving_client.connect`."""

    def __init__(
        self, address: str, model: str, timeout_s: float, max_mb: float
    ):
        super().__init__(address, model, timeout_s, max_mb)
        self._path = f"/v1/models/{urllib.parse.quote(model, safe='')}"

    def signatures(self) -> dict[str, Signature]:
        answer = self._ask("GET", "/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            self._signatures = {
                name: Signature(
                    _infos(each.get("inputs", {})),
                    _infos(each.get("outputs", {})),
                )
                for name, each in found.items()
            }
        except FROM_OTHERS as error:
            raise self._strange() from error
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
            raise self._strange()
        expected = self._signatures[signature].outputs
        try:
            outputs = answer["outputs"]
            if len(expected) == 1:  # then it comes without its name
                outputs = {next(iter(expected)): outputs}
            arrays = {
                name: from_json(outputs[name], dtype)
                for name, (dtype, _) in expected.items()
            }
        except FROM_OTHERS as error:
            raise self._strange() from error
        check_outputs(self.address, arrays, expected)
        return arrays

    def _ask(self, method: str, what: str, body: bytes | None = None) -> Any:
        def once(left_s: float):
            status, content = self._exchange(method, what, body, left_s)
            return self._read(status, content)

        return retry(once, self.address, self.timeout_s)

    def _exchange(self, method, what, body, left_s) -> tuple[int, bytes]:
        host, port = check_address(self.address)
        max_bytes = answer_bytes(self.max_mb)
        connection = http.client.HTTPConnection(host, port)
        try:
            with contextlib.closing(_Timed(host, port, left_s)) as timed:
                connection.sock = _Borrowed(timed)  # type: ignore[assignment]
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, self._path + what, body, headers)
                response = connection.getresponse()
                content = response.read(max_bytes + 1)
        except TimeoutError as error:
            raise no_answer(self.address, self.timeout_s) from error
        except OSError as error:
            raise Unavailable(error.strerror or str(error)) from error
        except http.client.HTTPException as error:
            raise self._strange() from error
        if len(content) > max_bytes:
            raise too_large(self.address, self.max_mb)
        return response.status, content

    def _read(self, status: int, content: bytes) -> Any:
        """An answer's JSON, or the error that it is."""
        try:
            answer = json.loads(content)
            said = short(str(answer["error"])) if "error" in answer else ""
        except (ValueError, TypeError, RecursionError) as error:
            if status == 503:
                raise Unavailable("HTTP 503") from error
            raise self._strange() from error
        if status == 200 and not said:
            return answer
        if status == 503:
            raise Unavailable(said)
        if status == 504:
            raise no_answer(self.address, self.timeout_s)
        if status == 404:
            raise no_model(self.address, self.model, said)
        raise ClientError(f"{self.address} says HTTP {status}: {said}")

    def _strange(self) -> ClientError:
        return ClientError(
            f"What answers at {self.address} is not the REST port of "
            "TensorFlow Serving (8501, if nothing else is said)."
        )


def to_json(array: np.ndarray) -> Any:
    """Nested lists of an array; bytes are base64 in an object."""
    return _encoded(np.asarray(array).tolist())


def from_json(value: Any, dtype: str) -> np.ndarray:
    """The array of nested lists; strings become bytes.

    Raises:
        ValueError: it is no array of that type.
    """
    if dtype != "DT_STRING":
        with np.errstate(over="ignore"):  # it becomes infinite, and refused
            array = np.array(value, DTYPES[dtype])
        kind = np.array(value).dtype.kind
        if array.size and kind not in KINDS[array.dtype.kind]:
            raise ValueError(f"not of type {dtype}")
        return array
    plain = np.array(value, object)
    as_bytes = [
        base64.b64decode(each["b64"])
        if isinstance(each, dict)
        else each.encode()
        for each in plain.ravel()
    ]
    made = np.empty(plain.size, object)
    made[:] = as_bytes
    return made.reshape(plain.shape)


def _encoded(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], list | bytes):
        return [_encoded(each) for each in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return value


def _infos(entries: dict) -> dict:
    """Type and shape of each tensor of a signature."""
    infos = {}
    for name, info in entries.items():
        shape = info["tensor_shape"]
        sizes = tuple(int(dim["size"]) for dim in shape.get("dim", []))
        infos[name] = (
            info["dtype"],
            None if shape.get("unknown_rank") else sizes,
        )
    return infos


class _Timed(io.RawIOBase):
    """A connection of which all sending and receiving shares one timeout.

    Raises:
        OSError: nobody answers, or not in time.
    """

    def __init__(self, host: str, port: int, seconds: float):
        self._end = time.monotonic() + seconds
        self._socket = self._connect(host, port)

    def _connect(self, host: str, port: int) -> socket.socket:
        """Return a socket of the first of a name's addresses that answers."""
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
        """Return the seconds that are left, more than 0.

        Raises:
            TimeoutError: there are none.
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


class _Borrowed:
    """What `http.client` calls of a socket, but for closing it.

    It closes sockets before it has read answers whose length is not known.
    """

    def __init__(self, timed: _Timed):
        self.sendall = timed.sendall
        self._timed = timed

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._timed)

    def close(self) -> None:
        """Nothing: whoever opened it does."""
