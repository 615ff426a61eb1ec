"""Fuzz the clients with mutated responses: results or one-line errors.

    python -m tests.savedmodels.fuzz_clients --seconds 600

A server on loopback speaks HTTP; gRPC messages replace the client's call. Cases
follow from the seed; the first failing case is printed with its number, for
`--seed`.
"""

import collections
import contextlib
import io
import json
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np

from tests import fuzzing, mutations
from tests.savedmodels import hostile_servers

TIMEOUT_S = 2.0
MOST_S = 20.0  # beyond it, a timeout did not hold
MOST_MB = 1500.0  # that a case adds to the peak of the process


class ClientFault(Exception):
    """The client did not end with a result or a one-line error."""


class Answers:
    """Responses of the HTTP server, set for each case."""

    def __init__(self):
        self.metadata = self.prediction = b""

    def __call__(self, connection, head: bytes) -> None:
        is_question = head.startswith(b"POST")
        connection.sendall(self.prediction if is_question else self.metadata)


def rest_case(rng: np.random.Generator, answers: Answers, name: str) -> None:
    """Set mutated responses for a signature."""
    contents = [
        hostile_servers.metadata(),
        {"outputs": hostile_servers.GOOD[name]},
    ]
    which = int(rng.integers(2))
    kind = rng.integers(4)
    if kind == 0:
        contents[which] = mutations.of_json(rng, contents[which])
    texts = [json.dumps(content).encode() for content in contents]
    if kind == 1:
        texts[which] = mutations.of_bytes(rng, texts[which])
    elif kind == 2:
        texts[which] = mutations.nested(rng)
    statuses = ["200 OK"] * 2
    if rng.random() < 0.1:
        statuses[which] = ["404 Not", "503 Busy", "100 Go on", "999 x"][
            int(rng.integers(4))
        ]
    messages = [
        hostile_servers.http(text, status)
        for text, status in zip(texts, statuses, strict=True)
    ]
    if kind == 3:
        messages[which] = mutations.of_bytes(rng, messages[which])
    answers.metadata, answers.prediction = messages


def grpc_case(rng: np.random.Generator, name: str) -> dict[str, bytes]:
    """Make mutated responses by method."""
    arrays = {
        key: np.array(value, object if "class" in key else np.float32)
        for key, value in hostile_servers.GOOD[name].items()
    }
    for key, array in arrays.items():
        if array.dtype == object:
            arrays[key] = np.vectorize(str.encode, otypes=[object])(array)
    messages = {
        "GetModelMetadata": hostile_servers.grpc_metadata(),
        "Predict": hostile_servers.grpc_outputs(**arrays),
    }
    which = list(messages)[int(rng.integers(2))]
    messages[which] = mutations.of_bytes(rng, messages[which])
    return messages


def check(seed: int, answers: Answers, address: str, paths: dict) -> str:
    """Run the command on a case.

    Raises:
        ClientFault: the command did not end as expected.
    """
    import serving_base
    import serving_grpc
    import video_client

    rng = np.random.default_rng(seed)
    name = ["serve_frames", "serving_default"][int(rng.integers(2))]
    is_rest = rng.random() < 0.7
    arguments = [str(paths[name]), "--model=x", f"--timeout={TIMEOUT_S}"]
    if is_rest:
        rest_case(rng, answers, name)
        arguments += ["--rest", f"--address={address}"]
    else:
        contents = grpc_case(rng, name)
        arguments += ["--address=127.0.0.1:9"]
    ask = serving_grpc.GrpcClient._ask

    def parsed_answer(client, method, request):
        return client._parsed(f"{method}Response", contents[method])

    out, err = io.StringIO(), io.StringIO()
    begun, before_mb = time.monotonic(), _peak_mb()
    try:
        if not is_rest:
            serving_grpc.GrpcClient._ask = parsed_answer
        serving_base.WAITS_S = (0.01,)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = video_client.main(arguments)
    except Exception as error:
        raise ClientFault(f"case {seed}: {error!r}") from error
    finally:
        serving_grpc.GrpcClient._ask = ask
    printed = err.getvalue() or out.getvalue()
    lines = printed.split("\n")
    if code not in (0, 2) or not all(line.isprintable() for line in lines):
        raise ClientFault(f"case {seed}: exit code {code}, {printed!r}")
    if code == 2 and (len(lines) != 2 or len(printed) > 1500):
        raise ClientFault(f"case {seed}: not a line: {printed!r}")
    if code == 0 and ("nan" in printed or "inf" in printed):
        raise ClientFault(f"case {seed}: not finite: {printed!r}")
    if time.monotonic() - begun > MOST_S:
        raise ClientFault(f"case {seed}: the timeout did not hold")
    growth_mb = _peak_mb() - before_mb
    if growth_mb > MOST_MB:
        raise ClientFault(f"case {seed}: {growth_mb:.0f} MB more memory")
    protocol = "REST" if is_rest else "gRPC"
    return f"{protocol}, {'answered' if code == 0 else 'refused'}"


def _peak_mb() -> float:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def run(first: int, count: int, seconds: float) -> collections.Counter:
    """Run cases up to a number or a time; count the results."""
    from tests.training.data import films

    clients = str(pathlib.Path("savedmodels/clients").resolve())
    if clients not in sys.path:
        sys.path.insert(0, clients)
    ended: collections.Counter = collections.Counter()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        clip = pathlib.Path(folder) / "a.npy"
        np.save(clip, np.zeros((2, 5, 7, 3), np.uint8))
        film = films.write_film(pathlib.Path(folder) / "a.mp4", 2)
        paths = {"serve_frames": film, "serving_default": clip}
        answers = Answers()
        with hostile_servers.serving(answers) as address:
            for seed in range(first, first + count):
                if time.monotonic() > until:
                    break
                ended[check(seed, answers, address, paths)] += 1
    return ended


def main() -> None:
    """Command line of this program."""
    fuzzing.main(__doc__, run, seconds=600)


if __name__ == "__main__":
    main()
