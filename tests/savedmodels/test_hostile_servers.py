"""The clients refuse what hostile servers answer, in one line and in time."""

import concurrent.futures
import copy
import json
import threading
import time

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.savedmodels import hostile_servers
from tests.savedmodels.hostile_servers import GOOD, SIGNATURE
from tests.training.data import films

STREAM = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture
def serving_client(clients):
    import serving_client

    return serving_client


@pytest.fixture
def video_client(clients):
    import video_client

    return video_client


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return films.write_film(tmp_path_factory.mktemp("film") / "a.mp4", 3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.npy"
    np.save(path, np.zeros((2, 5, 7, 3), np.uint8))
    return path


def trickle(connection, head):
    """Never ends, and never is silent."""
    connection.sendall(STREAM)
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.1)


def trickled_head(connection, head):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        connection.sendall(f"X-{number}: y\r\n".encode())
        time.sleep(0.1)


def endless_continue(connection, head):
    for _ in range(200):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [trickle, trickled_head, endless_continue])
def test_all_of_an_answer_shares_one_timeout(serving_client, answer):
    sent_whole = threading.Event()

    def send(connection, head):
        answer(connection, head)
        sent_whole.set()

    with hostile_servers.serving(send) as address:
        client = serving_client.connect(address, "x", True, timeout_s=0.5)
        with pytest.raises(serving_client.ClientError, match="No answer from"):
            client.signatures()
        assert not sent_whole.is_set()  # the server takes 20 s for it


def test_an_endless_answer_is_not_read(serving_client, monkeypatch):
    monkeypatch.setattr("serving_base.MAX_MB", 1.0)
    sent = []

    def flood(connection, head):
        connection.sendall(STREAM)
        for _ in range(200):
            connection.sendall(b" " * 1_000_000)
            sent.append(1)

    with hostile_servers.serving(flood) as address:
        client = serving_client.connect(address, "x", True, max_mb=1)
        with pytest.raises(serving_client.ClientError, match="more than 1 MB"):
            client.signatures()
    assert len(sent) < 100


def rest_error(video_client, capsys, path, answer, *options):
    """What the command prints of an error; it must be a line of text."""
    with hostile_servers.serving(answer) as address:
        arguments = ["--rest", f"--address={address}", "--model=x", *options]
        assert video_client.main([str(path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert error.rstrip("\n").isprintable()
    return error


def changed(outputs, name, value):
    return {**outputs, name: value}


FRAMES, CLIP = GOOD["serve_frames"], GOOD["serving_default"]


@pytest.mark.parametrize(
    "outputs",
    [
        changed(FRAMES, "top_k_scores", [[0.75]]),
        changed(FRAMES, "top_k_scores", [[0.75, float("nan")]]),
        changed(FRAMES, "top_k_scores", [[0.75, float("inf")]]),
        changed(FRAMES, "top_k_scores", [0.75, 0.25]),
        changed(FRAMES, "top_k_scores", [[[0.75, 0.25]]]),
        changed(FRAMES, "top_k_scores", [["0.75", "0.25"]]),
        changed(FRAMES, "top_k_scores", [[True, False]]),
        changed(FRAMES, "top_k_scores", []),
        changed(FRAMES, "top_k_scores", 0.75),
        changed(FRAMES, "top_k_classes", [["jump"]]),
        changed(FRAMES, "top_k_classes", ["jump", "sit"]),
        {name: value * 2 for name, value in FRAMES.items()},
    ],
    ids=json.dumps,
)
def test_odd_answers_to_frames_are_one_line(
    video_client, capsys, film, outputs
):
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capsys, film, answer)


@pytest.mark.parametrize(
    "outputs",
    [
        changed(CLIP, "probabilities", [[0.5, 0.5]]),
        changed(CLIP, "probabilities", [[0.5, 0.25, 0.25]] * 2),
        changed(CLIP, "probabilities", [[[0.5, 0.25, 0.25]]]),
        changed(CLIP, "probabilities", [[0.5, None, 0.25]]),
        changed(CLIP, "probabilities", [[0.5, 1e999, 0.25]]),
        changed(CLIP, "class_name", []),
        changed(CLIP, "class_name", ["jump", "sit"]),
        changed(CLIP, "class_name", [["jump"]]),
    ],
    ids=json.dumps,
)
def test_odd_answers_to_a_clip_are_one_line(
    video_client, capsys, clip, outputs
):
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capsys, clip, answer)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"a": ("DT_UINT8", (-1,) * 5), "b": ("DT_UINT8", (-1,) * 5)},
        {"clips": ("DT_UINT8", (-1, -7, -1, -1, 3))},
        {"clips": ("DT_UINT8", (-1, 10**12, -1, -1, 3))},
        {"clips\x1b[2J": ("DT_UINT8", (3,))},
    ],
    ids=["none", "two", "negative", "endless", "escape"],
)
@pytest.mark.parametrize("kind", ["film", "clip"])
def test_odd_inputs_of_a_signature_are_one_line(
    video_client, capsys, film, clip, inputs, kind
):
    signatures = copy.deepcopy(SIGNATURE)
    signatures["serving_default"]["inputs"] = inputs
    answer = hostile_servers.answering(CLIP, signatures)
    path = film if kind == "film" else clip
    options = ["--signature=serving_default"]
    rest_error(video_client, capsys, path, answer, *options)


def test_words_of_a_server_do_not_control_the_terminal(
    video_client, capsys, film
):
    outputs = changed(FRAMES, "top_k_classes", [["a\x1b[2J\n\rb", "\u202ec"]])
    with hostile_servers.serving(hostile_servers.answering(outputs)) as address:
        arguments = ["--rest", f"--address={address}", "--model=x"]
        assert video_client.main([str(film), *arguments]) == 0
    printed = capsys.readouterr().out
    assert r"a\x1b[2J\n\rb" in printed and r"\u202ec" in printed
    assert all(line.isprintable() for line in printed.splitlines())


def test_an_error_of_a_server_does_not_control_the_terminal(
    video_client, capsys, film
):
    def answer(connection, head):
        body = json.dumps({"error": "a\x1b]0;b\x07"}).encode()
        connection.sendall(hostile_servers.http(body, "400 Bad Request"))

    assert r"\x1b]0;b" in rest_error(video_client, capsys, film, answer)


@pytest.fixture
def grpc_server():
    """Makes a server of gRPC that gives these bytes, by method."""
    servers = []

    def start(compression=None, **answers):
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(lambda _, __, a=a: a)
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


def grpc_metadata(signatures=SIGNATURE):
    """The answer to GetModelMetadata, as bytes."""
    import serving_messages

    numbers = {name: n for n, (name, _, _) in serving_messages.TYPES.items()}
    found = serving_messages.message("SignatureDefMap")
    for name, sides in signatures.items():
        for side, tensors in sides.items():
            infos = getattr(found.signature_def[name], side)
            for tensor, (dtype, shape) in tensors.items():
                infos[tensor].dtype = numbers[dtype]
                for size in shape:
                    infos[tensor].tensor_shape.dim.add(size=size)
    answer = serving_messages.message("GetModelMetadataResponse")
    content = found.SerializeToString()
    answer.metadata["signature_def"].value = content
    return answer.SerializeToString()


def grpc_outputs(**arrays):
    """The answer to Predict, as bytes."""
    import serving_messages

    answer = serving_messages.message("PredictResponse")
    for name, array in arrays.items():
        tensor = serving_messages.to_tensor(array)
        answer.outputs[name].CopyFrom(tensor)
    return answer.SerializeToString()


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
def test_odd_answers_of_grpc_are_one_line(
    video_client, capsys, film, grpc_server, outputs
):
    address = grpc_server(
        GetModelMetadata=grpc_metadata(), Predict=grpc_outputs(**outputs)
    )
    grpc_error(video_client, capsys, film, address)


def test_bytes_that_are_no_message_are_one_line(
    video_client, capsys, film, grpc_server
):
    junk = b"\xff\xff\xff"
    address = grpc_server(GetModelMetadata=junk)
    assert "oddly" in grpc_error(video_client, capsys, film, address)
    address = grpc_server(GetModelMetadata=grpc_metadata(), Predict=junk)
    assert "oddly" in grpc_error(video_client, capsys, film, address)


def test_signatures_that_are_no_message_are_one_line(
    video_client, capsys, film, grpc_server
):
    import serving_messages

    answer = serving_messages.message("GetModelMetadataResponse")
    answer.metadata["signature_def"].value = b"\xff\xff"
    address = grpc_server(GetModelMetadata=answer.SerializeToString())
    assert "oddly" in grpc_error(video_client, capsys, film, address)


@pytest.mark.parametrize("shape", [[-1], [2, -1], [1] * 70, [2**62, 4]])
def test_shapes_that_are_none_are_refused(clients, shape):
    import serving_messages

    tensor = serving_messages.message("Tensor", dtype=1)
    tensor.float_val.extend([0.5, 0.25])
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError):
        serving_messages.to_array(tensor)


def test_numbers_beyond_their_type_are_refused(clients):
    import serving_messages

    tensor = serving_messages.message("Tensor", dtype=4, int_val=[300])
    tensor.tensor_shape.dim.add(size=1)
    with pytest.raises(ValueError):
        serving_messages.to_array(tensor)


def test_a_large_answer_of_grpc_is_not_read(
    video_client, serving_client, capsys, film, grpc_server, monkeypatch
):
    monkeypatch.setattr("serving_base.MAX_MB", 1.0)
    address = grpc_server(GetModelMetadata=bytes(2_000_000))
    with pytest.raises(serving_client.ClientError, match="more than 1 MB"):
        serving_client.connect(address, "x", max_mb=1).signatures()


def test_a_compressed_answer_of_grpc_is_not_unpacked(
    serving_client, grpc_server
):
    address = grpc_server(grpc.Compression.Gzip, GetModelMetadata=bytes(10**6))
    with pytest.raises(serving_client.ClientError, match="oddly"):
        serving_client.connect(address, "x").signatures()


@pytest.mark.parametrize("number", [1e308, 10**30])
def test_a_number_too_large_for_its_type_is_one_line(
    video_client, capfd, clip, number
):
    outputs = changed(CLIP, "probabilities", [[0.5, number, 0.25]])
    answer = hostile_servers.answering(outputs)
    rest_error(video_client, capfd, clip, answer)


NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
)
ANY_JSON = st.recursive(
    NUMBERS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["b64", "x"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(ANY_JSON, st.sampled_from(["DT_FLOAT", "DT_UINT8", "DT_STRING"]))
def test_any_json_is_an_array_of_its_type_or_an_error_that_is_known(
    value, dtype
):
    import serving_base
    import serving_rest

    try:
        array = serving_rest.from_json(value, dtype)
    except serving_rest.FROM_OTHERS:
        return
    assert array.dtype == serving_base.DTYPES[dtype]


@settings(deadline=None)
@given(
    st.sampled_from([1, 3, 4, 7, 9, 10, 22]),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    st.binary(max_size=16),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
)
def test_any_tensor_is_an_array_of_its_shape_or_a_value_error(
    dtype, shape, content, values
):
    import serving_messages

    tensor = serving_messages.message(
        "Tensor", dtype=dtype, tensor_content=content, int_val=values
    )
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    try:
        array = serving_messages.to_array(tensor)
    except ValueError:
        return
    assert list(array.shape) == shape


@pytest.mark.slow
def test_mutated_answers_are_good_or_an_error_of_a_line(clients):
    from tests.savedmodels import fuzz_clients

    # 5220 printed a warning: a number too large for its type.
    for first, count in ((0, 1500), (5220, 1)):
        ended = fuzz_clients.run(first, count, seconds=600)
        assert ended.total() == count
