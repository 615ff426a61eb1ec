"""Retries and checks of the clients as a library."""

import concurrent.futures
import json

import grpc
import numpy as np
import pytest


@pytest.fixture
def serving_client(clients, monkeypatch):
    import serving_base
    import serving_client

    monkeypatch.setattr(serving_base, "WAITS_S", (0.01,) * 4)
    return serving_client


@pytest.fixture
def failing():
    """Factory of gRPC servers that respond with a sequence of statuses."""
    servers, calls = [], []

    def start(*codes):
        def answer(request, context):
            calls.append(request)
            code = codes[min(len(calls), len(codes)) - 1]
            if code is not None:
                context.abort(code, "made to fail")
            return b""

        method = grpc.unary_unary_rpc_method_handler(answer)
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.PredictionService", {"Predict": method}
                )
            ]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}", calls

    yield start
    for server in servers:
        server.stop(grace=None).wait()


def predict(serving_client, address, **options):
    client = serving_client.connect(address, "x", **options)
    try:
        return client.predict("s", clips=np.zeros((1, 2), np.uint8))
    finally:
        client.close()


def test_unavailable_is_retried(serving_client, failing):
    unavailable = grpc.StatusCode.UNAVAILABLE
    address, calls = failing(unavailable, unavailable, None)
    assert predict(serving_client, address) == {}
    assert len(calls) == 3


def test_client_gives_up_after_the_last_wait(serving_client, failing):
    address, calls = failing(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(serving_client.ClientError, match="No server at"):
        predict(serving_client, address)
    assert len(calls) == 5


@pytest.mark.parametrize(
    "code", ["INTERNAL", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "ABORTED"]
)
def test_other_errors_are_not_retried(serving_client, failing, code):
    address, calls = failing(grpc.StatusCode[code])
    message = f"{code}: made to fail"
    with pytest.raises(serving_client.ClientError, match=message):
        predict(serving_client, address)
    assert len(calls) == 1


def test_server_of_another_service_is_an_error(serving_client, failing):
    address, _ = failing(None)
    client = serving_client.connect(address, "x")
    with pytest.raises(serving_client.ClientError, match="is not TensorFlow"):
        client.signatures()
    client.close()


@pytest.mark.parametrize("rest", [False, True])
def test_large_request_is_not_sent(serving_client, rest):
    client = serving_client.connect("localhost:1", "x", rest, max_mb=0.01)
    with pytest.raises(serving_client.ClientError, match="at most 0.01 are"):
        client.predict("s", clips=np.zeros(20_000, np.uint8))
    client.close()


def test_arrays_round_trip_through_json(clients):
    import serving_rest

    bytes_ = np.array([[b"\xff\0", b""]], object)
    assert serving_rest.to_json(bytes_) == [[{"b64": "/wA="}, {"b64": ""}]]
    back = serving_rest.from_json([["a", {"b64": "/wA="}]], "DT_STRING")
    assert back.tolist() == [[b"a", b"\xff\0"]]
    floats = serving_rest.from_json([[0.1], [float("nan")]], "DT_FLOAT")
    assert floats.dtype == np.float32 and np.isnan(floats[1, 0])


@pytest.mark.parametrize(
    "outputs",
    [
        {"p": [[300]], "n": ["a"]},
        {"p": [[3]], "n": [5]},
        {"p": [[3], [4, 5]], "n": ["a"]},
        {"p": [[3]]},
        [],
        None,
    ],
    ids=json.dumps,
)
def test_invalid_rest_outputs_are_an_error(
    serving_client, monkeypatch, outputs
):
    import serving_base

    client = serving_client.connect("localhost:1", "x", rest=True)
    expected = {"p": ("DT_UINT8", (1, 1)), "n": ("DT_STRING", (1,))}
    client._signatures = {"s": serving_base.Signature({}, expected)}
    body = json.dumps({"outputs": outputs}).encode()
    monkeypatch.setattr(client, "_exchange", lambda *_: (200, body))
    with pytest.raises(serving_client.ClientError, match="is not the REST"):
        client.predict("s", clips=np.zeros((1, 2), np.uint8))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rest_outputs_have_the_batch_of_the_request(
    serving_client, monkeypatch, rows
):
    import serving_base

    client = serving_client.connect("localhost:1", "x", rest=True)
    inputs = {"clips": ("DT_UINT8", (-1, -1))}
    outputs = {"p": ("DT_FLOAT", (-1, 2))}
    client._signatures = {"s": serving_base.Signature(inputs, outputs)}
    body = json.dumps({"outputs": [[0.5, 0.5]] * rows}).encode()
    monkeypatch.setattr(client, "_exchange", lambda *_: (200, body))
    clips = np.zeros((2, 3), np.uint8)
    if rows == 2:
        assert client.predict("s", clips=clips)["p"].shape == (2, 2)
        return
    with pytest.raises(serving_client.ClientError, match=r"\(2, 2\)"):
        client.predict("s", clips=clips)
