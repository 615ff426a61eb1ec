"""The gRPC client refuses hostile responses, in one line."""

import concurrent.futures
import threading

import grpc
import numpy as np
import pytest

from tests.savedmodels.hostile_servers import grpc_metadata, grpc_outputs


@pytest.fixture
def grpc_server():
    """Factory of gRPC servers with given response bytes by method.

    For b"" the server sends the status OK without a message.
    """
    servers = []

    def start(compression=None, **answers):
        handlers = {
            name: grpc.unary_stream_rpc_method_handler(
                lambda _, __, a=a: iter([a] if a else [])
            )
            for name, a in answers.items()
        }
        options = [("grpc.max_send_message_length", -1)]
        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(1),
            options=options,
            compression=compression,
        )
        service = "tensorflow.serving.PredictionService"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers)]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(grace=None).wait()


SCORES = np.array([[0.75, 0.25]], np.float32)
NAMES = np.array([[b"jump", b"sit"]], object)


def grpc_error(video_client, capsys, path, address):
    arguments = [f"--address={address}", "--model=x"]
    assert video_client.main([str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    "outputs",
    [
        {"top_k_scores": SCORES[:, :1], "top_k_classes": NAMES},
        {"top_k_scores": SCORES * np.nan, "top_k_classes": NAMES},
        {"top_k_scores": SCORES[0], "top_k_classes": NAMES},
        {"top_k_scores": SCORES, "top_k_classes": NAMES[:, :1]},
        {"top_k_scores": SCORES, "top_k_classes": SCORES},
        {"top_k_scores": SCORES.astype(np.float64), "top_k_classes": NAMES},
        {"top_k_scores": SCORES},
        {},
    ],
    ids=["few", "nan", "flat", "name", "types", "double", "missing", "none"],
)
def test_invalid_outputs_are_one_line(
    video_client, capsys, film, grpc_server, outputs
):
    address = grpc_server(
        GetModelMetadata=grpc_metadata(), Predict=grpc_outputs(**outputs)
    )
    grpc_error(video_client, capsys, film, address)


def test_unreadable_messages_are_one_line(
    video_client, capsys, film, grpc_server
):
    junk = b"\xff\xff\xff"
    address = grpc_server(GetModelMetadata=junk)
    assert "Invalid response" in grpc_error(video_client, capsys, film, address)
    address = grpc_server(GetModelMetadata=grpc_metadata(), Predict=junk)
    assert "Invalid response" in grpc_error(video_client, capsys, film, address)


def test_unreadable_signatures_are_one_line(
    video_client, capsys, film, grpc_server
):
    import serving_messages

    answer = serving_messages.message("GetModelMetadataResponse")
    answer.metadata["signature_def"].value = b"\xff\xff"
    address = grpc_server(GetModelMetadata=answer.SerializeToString())
    assert "Invalid response" in grpc_error(video_client, capsys, film, address)


def test_status_without_message_is_one_line(
    video_client, capsys, film, grpc_server
):
    address = grpc_server(GetModelMetadata=b"")
    assert "Invalid response" in grpc_error(video_client, capsys, film, address)


class FloodedChannel:
    """Channel to a server that sends pings without end: no call ends."""

    def __init__(self):
        self.ended = threading.Event()

    def unary_unary(self, method, **options):
        return self

    def future(self, request, timeout):
        return self

    def result(self, timeout=None):
        if not self.ended.wait(timeout):
            raise grpc.FutureTimeoutError

    def cancel(self):
        return

    def close(self):
        self.ended.wait()


def test_flooded_connection_times_out(serving_client, monkeypatch):
    channel = FloodedChannel()
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_, **__: channel)
    client = serving_client.connect("127.0.0.1:1", "x", timeout_s=0.1)
    with pytest.raises(serving_client.ClientError, match="No response"):
        client.signatures()
    client.close()
    assert not channel.ended.is_set()
    channel.ended.set()


def test_large_response_is_not_read(
    video_client, serving_client, capsys, film, grpc_server, monkeypatch
):
    monkeypatch.setattr("serving_base.MAX_MB", 1.0)
    address = grpc_server(GetModelMetadata=bytes(2_000_000))
    with pytest.raises(serving_client.ClientError, match="more than 1 MB"):
        serving_client.connect(address, "x", max_mb=1).signatures()


def test_compressed_response_is_not_decompressed(serving_client, grpc_server):
    address = grpc_server(grpc.Compression.Gzip, GetModelMetadata=bytes(10**6))
    with pytest.raises(serving_client.ClientError, match="Invalid response"):
        serving_client.connect(address, "x").signatures()
