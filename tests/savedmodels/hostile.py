"""Sends random and hostile requests to a contract server, good ones between.

    python -m tests.savedmodels.hostile --requests 10000
    python -m tests.savedmodels.hostile --model savedmodels/digits_nl

The server is a process of its own, which must live to the end; each bad request
must get an error (never a time-out, never INTERNAL or UNKNOWN), each good one
the answer that the model gives in this process. Requests follow from the seed.
What this finds out is about the SavedModel, its checks and the client; the
server in C++ is another one.
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

    from tests.savedmodels import made_model
    from tests.savedmodels.hostile_requests import Requests, proto, to_json

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 60
# What a server says of a request that is wrong.
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
# gRPC's own words for bytes that are no message.
UNREADABLE = "Exception deserializing request!"
# The contract server's for a shape that no memory would hold.
TOO_LARGE = "is too large"


class Wrong(Exception):
    """A bad request was answered, or a good one was not answered right."""


class Talk:
    """Speaks to a server by both protocols, without a client's care."""

    def __init__(self, grpc_address: str, rest_address: str):
        self.rest_address = rest_address
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.insecure_channel(grpc_address, options)
        self._predict = self._channel.unary_unary(PREDICT)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def grpc(self, request: bytes) -> tuple[str, bytes | str]:
        """The status of an answer, and the answer or what is said."""
        try:
            return "OK", self._predict(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def rest(self, method: str, path: str, body: bytes) -> tuple[int, dict]:
        """The HTTP status of an answer, and its JSON."""
        connection = http.client.HTTPConnection(
            self.rest_address, timeout=TIMEOUT_S
        )
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def attack(requests: Requests, talk: Talk, count: int) -> collections.Counter:
    """Sends requests, one in five of them good; how they were answered.

    Raises:
        Wrong: one was not answered as it should be.
    """
    seen: collections.Counter = collections.Counter()
    for _ in range(count):
        kind = requests.rng.integers(10)
        if kind == 0:
            _good_by_grpc(requests, talk)
            seen["good, gRPC"] += 1
        elif kind == 1:
            _good_by_rest(requests, talk)
            seen["good, REST"] += 1
        elif kind < 7:
            seen[_bad_by_grpc(requests, talk)] += 1
        else:
            seen[_bad_by_rest(requests, talk)] += 1
    return seen


def _bad_by_grpc(requests: Requests, talk: Talk) -> str:
    request = requests.bad_message()
    code, said = talk.grpc(request)
    refused = code in REFUSALS or said == UNREADABLE or TOO_LARGE in said
    if not refused:
        raise Wrong(f"{code} {said!r:.500} to {request[:200]!r}")
    return code if said != UNREADABLE else "no message"


def _bad_by_rest(requests: Requests, talk: Talk) -> str:
    method, path, body = requests.bad_rest()
    status, answer = talk.rest(method, path, body)
    if not 400 <= status < 500 or not answer.get("error"):
        raise Wrong(f"{status} {answer!r:.500} to {path} {body[:200]!r}")
    return f"HTTP {status}"


def _good_by_grpc(requests: Requests, talk: Talk) -> None:
    signature, inputs, expected = requests.good()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = requests.name
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(proto(array))
    code, content = talk.grpc(request.SerializeToString())
    if code != "OK":
        raise Wrong(f"{code} {content!r} to a good request")
    answer = predict_pb2.PredictResponse.FromString(content).outputs
    _compare(
        {name: tf.make_ndarray(answer[name]) for name in expected}, expected
    )


def _good_by_rest(requests: Requests, talk: Talk) -> None:
    signature, inputs, expected = requests.good()
    columns = {name: to_json(array) for name, array in inputs.items()}
    body = json.dumps({"signature_name": signature, "inputs": columns})
    path = f"/v1/models/{requests.name}:predict"
    status, answer = talk.rest("POST", path, body.encode())
    if status != 200:
        raise Wrong(f"{status} {answer!r} to a good request")
    _compare({name: np.array(answer["outputs"][name]) for name in expected},
             expected)  # fmt: skip


def _compare(answer: dict, expected: dict) -> None:
    for name, right in expected.items():
        if right.dtype == np.object_:
            same = answer[name].astype("U") == right.astype("U")
        else:
            same = np.isclose(answer[name], right, rtol=0, atol=1e-5)
        if not np.all(same):
            raise Wrong(f"{name}: {answer[name]} instead of {right}")


@contextlib.contextmanager
def server_process(config: pathlib.Path, root: pathlib.Path):
    """A contract server in a process; yields it and its two addresses.

    Raises:
        Wrong: it did not start, or died before it was told to end.
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
                raise Wrong(f"the server did not start: {process.wait()}")
            yield [line.split()[1] for line in lines]
            if process.poll() is not None:
                raise Wrong(f"the server ended with {process.returncode}")
        finally:
            process.terminate()


def run(count: int, seed: int, model: pathlib.Path | None = None):
    """Attacks a server of a model, or of the made one; what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = pathlib.Path(folder) / "shares"
            made_model.write(model / "1")
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
            talk = Talk(*addresses)
            with contextlib.closing(talk):
                seen = attack(requests, talk, count)
                _good_by_grpc(requests, talk)
                _good_by_rest(requests, talk)
    return seen


def main() -> None:
    """Attacks, and prints what was answered how often."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=pathlib.Path, metavar="DIR")
    options = parser.parse_args()
    started = time.perf_counter()
    seen = run(options.requests, options.seed, options.model)
    for answer, times in seen.most_common():
        print(f"{times:7d}  {answer}")
    spent = time.perf_counter() - started
    print(f"{seen.total()} requests in {spent:.1f} s: all answered as expected")


if __name__ == "__main__":
    main()
