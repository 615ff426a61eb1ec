"""Send random and hostile requests to a contract server, mixed with valid ones.

    python -m tests.savedmodels.hostile --requests 10000
    python -m tests.savedmodels.hostile --model savedmodels/digits_nl

The server is a separate process, which must survive. Each bad request must get
an error (not a timeout, INTERNAL or UNKNOWN), each valid one the outputs of the
model in this process. Requests follow from the seed. This tests the SavedModel,
its checks and the clients, not the server in C++.
"""

import argparse
import collections
import contextlib
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from tests.savedmodels import extra

with extra.required(__name__):
    import grpc
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    from tests.savedmodels import colour_model
    from tests.savedmodels.hostile_requests import Requests, proto, to_json

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 60
# Status codes of bad requests.
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
# gRPC's message about bytes that cannot be parsed.
UNREADABLE = "Exception deserializing request!"
# The contract server's message about a shape that exceeds any memory.
TOO_LARGE = "is too large"


class UnexpectedResponse(Exception):
    """A bad request succeeded, or a valid one got other outputs."""


class RawClient:
    """Sends raw requests by both protocols."""

    def __init__(self, grpc_address: str, rest_address: str):
        self.rest_address = rest_address
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.insecure_channel(grpc_address, options)
        self._predict = self._channel.unary_unary(PREDICT)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def grpc(self, request: bytes) -> tuple[str, bytes | str]:
        """Return the status, and the response or the error's details."""
        try:
            return "OK", self._predict(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def rest(self, method: str, path: str, body: bytes) -> tuple[int, dict]:
        """Return HTTP status and JSON of a response."""
        connection = http.client.HTTPConnection(
            self.rest_address, timeout=TIMEOUT_S
        )
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def attack(
    requests: Requests, raw_client: RawClient, count: int
) -> collections.Counter:
    """Send requests, a fifth of them valid; count the responses.

    Raises:
        UnexpectedResponse: a response differs from the expected one.
    """
    counts: collections.Counter = collections.Counter()
    for _ in range(count):
        kind = requests.rng.integers(10)
        if kind == 0:
            _good_by_grpc(requests, raw_client)
            counts["good, gRPC"] += 1
        elif kind == 1:
            _good_by_rest(requests, raw_client)
            counts["good, REST"] += 1
        elif kind < 7:
            counts[_bad_by_grpc(requests, raw_client)] += 1
        else:
            counts[_bad_by_rest(requests, raw_client)] += 1
    return counts


def _bad_by_grpc(requests: Requests, raw_client: RawClient) -> str:
    request = requests.bad_message()
    code, details = raw_client.grpc(request)
    refused = code in REFUSALS or details == UNREADABLE or TOO_LARGE in details
    if not refused:
        raise UnexpectedResponse(
            f"{code} {details!r:.500} to {request[:200]!r}"
        )
    return code if details != UNREADABLE else "no message"


def _bad_by_rest(requests: Requests, raw_client: RawClient) -> str:
    method, path, body = requests.bad_rest()
    status, answer = raw_client.rest(method, path, body)
    if not 400 <= status < 500 or not answer.get("error"):
        raise UnexpectedResponse(
            f"{status} {answer!r:.500} to {path} {body[:200]!r}"
        )
    return f"HTTP {status}"


def _good_by_grpc(requests: Requests, raw_client: RawClient) -> None:
    signature, inputs, expected = requests.good()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = requests.name
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(proto(array))
    code, content = raw_client.grpc(request.SerializeToString())
    if code != "OK":
        raise UnexpectedResponse(f"{code} {content!r} to a good request")
    answer = predict_pb2.PredictResponse.FromString(content).outputs
    _compare(
        {name: tf.make_ndarray(answer[name]) for name in expected}, expected
    )


def _good_by_rest(requests: Requests, raw_client: RawClient) -> None:
    signature, inputs, expected = requests.good()
    columns = {name: to_json(array) for name, array in inputs.items()}
    body = json.dumps({"signature_name": signature, "inputs": columns})
    path = f"/v1/models/{requests.name}:predict"
    status, answer = raw_client.rest("POST", path, body.encode())
    if status != 200:
        raise UnexpectedResponse(f"{status} {answer!r} to a good request")
    _compare({name: np.array(answer["outputs"][name]) for name in expected},
             expected)  # fmt: skip


def _compare(answer: dict, expected: dict) -> None:
    for name, right in expected.items():
        if right.dtype == np.object_:
            same = answer[name].astype("U") == right.astype("U")
        else:
            same = np.isclose(answer[name], right, rtol=0, atol=1e-5)
        if not np.all(same):
            raise UnexpectedResponse(
                f"{name}: {answer[name]} instead of {right}"
            )


@contextlib.contextmanager
def server_process(config: pathlib.Path, root: pathlib.Path):
    """Run a contract server in a process; yield its two addresses.

    Raises:
        UnexpectedResponse: it did not start, or died early.
    """
    command = [sys.executable, "-m", "tests.savedmodels.contract_server"]
    command += ["--config", str(config), "--models", str(root)]
    command += ["--port", "0", "--rest-port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as process:
        try:
            lines = [process.stdout.readline() for _ in range(2)]
            if not all(lines):
                raise UnexpectedResponse(
                    f"the server did not start: {process.wait()}"
                )
            yield [line.split()[1] for line in lines]
            if process.poll() is not None:
                raise UnexpectedResponse(
                    f"the server ended with {process.returncode}"
                )
        finally:
            process.terminate()


def run(count: int, seed: int, model: pathlib.Path | None = None):
    """Attack a server of a model (by default the small one)."""
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = pathlib.Path(folder) / "shares"
            colour_model.write(model / "1")
        versions = [p.name for p in model.iterdir() if p.name.isdecimal()]
        config = pathlib.Path(folder) / "models.config"
        config.write_text(
            f'model_config_list {{ config {{ name: "{model.name}" '
            f'base_path: "/models/{model.name}" '
            'model_platform: "tensorflow" } }'
        )
        newest = model / max(versions, key=int)
        requests = Requests(model.name, newest, seed)
        with server_process(config, model.parent) as addresses:
            raw_client = RawClient(*addresses)
            with contextlib.closing(raw_client):
                counts = attack(requests, raw_client, count)
                _good_by_grpc(requests, raw_client)
                _good_by_rest(requests, raw_client)
    return counts


def main() -> None:
    """Attack a server and print the counts of responses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    started = time.perf_counter()
    counts = run(options.requests, options.seed, options.model)
    for answer, times in counts.most_common():
        print(f"{times:7d}  {answer}")
    spent = time.perf_counter() - started
    print(
        f"{counts.total()} requests in {spent:.1f} s: all answered as expected"
    )


if __name__ == "__main__":
    main()
