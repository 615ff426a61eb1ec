"""The contract server follows TensorFlow Serving's API."""

import http.client
import json
import runpy
import sys

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.savedmodels import colour_model, contract_server
from tests.savedmodels.contract_models import Models


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


def clips(batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (batch, 3, 5, 7, 3)).astype(np.uint8)


def request(array, name="shares", signature=""):
    message = predict_pb2.PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = name, signature
    message.inputs["clips"].CopyFrom(tf.make_tensor_proto(array))
    return message


def refusal(channel, request):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request, timeout=30)
    return error.value.code().name, error.value.details()


def rest(server, method, path, content=None):
    connection = http.client.HTTPConnection(server.rest_address, timeout=30)
    connection.request(method, path, json.dumps(content))
    answer = connection.getresponse()
    answered = answer.status, json.loads(answer.read())
    connection.close()
    return answered


def post(server, content, name="shares"):
    return rest(server, "POST", f"/v1/models/{name}:predict", content)


def test_newest_version_is_loaded_and_warmed_up(server):
    (servable,) = server.models.by_name.values()
    assert (servable.name, servable.version) == ("shares", 10)
    assert servable.warmed_by == 1


def test_model_without_versions_is_an_error(tmp_path, served):
    (tmp_path / "shares").mkdir()
    with pytest.raises(FileNotFoundError, match="No versions of shares"):
        Models(served[0], tmp_path)


def test_outputs_are_in_value_fields(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.Predict(request(clips()), timeout=30)
    proto = answer.outputs["probabilities"]
    assert len(proto.float_val) == 6 and not proto.tensor_content
    expected = [colour_model.shares(clip) for clip in clips()]
    np.testing.assert_allclose(tf.make_ndarray(proto), expected, atol=1e-5)
    assert answer.model_spec.version.value == 10


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"name": ""}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({"name": "no"}, "NOT_FOUND", "for request: Latest(no)"),
        ({"signature": "no"}, "FAILED_PRECONDITION", 'key "no" not found'),
        ({"array": np.zeros((1, 3, 5, 7, 3))}, "INVALID_ARGUMENT", "DT_UINT8"),
        ({"array": clips()[0]}, "INVALID_ARGUMENT", "received [3, 5, 7, 3]"),
        ({"array": clips(0)}, "INVALID_ARGUMENT", "no size may be 0"),
    ],
)
def test_bad_requests_get_the_servers_codes(channel, changed, code, text):
    arguments = {"array": clips()} | changed
    response = refusal(channel, request(**arguments))
    assert response[0] == code and text in response[1]


def test_inconsistent_tensor_is_refused(channel):
    short = request(clips())
    short.inputs["clips"].tensor_content += b"\0"
    code, details = refusal(channel, short)
    assert code == "INVALID_ARGUMENT" and "tensor parsing error" in details
    endless = request(clips())
    endless.inputs["clips"].tensor_shape.dim[0].size = 1 << 40
    assert refusal(channel, endless)[0] == "RESOURCE_EXHAUSTED"


def test_status_is_available_or_not_found(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    query = get_model_status_pb2.GetModelStatusRequest()
    query.model_spec.name = "shares"
    (version,) = stub.GetModelStatus(query, timeout=30).model_version_status
    assert (version.version, version.state) == (10, 30)
    query.model_spec.name = "no"
    with pytest.raises(grpc.RpcError, match="Could not find any versions"):
        stub.GetModelStatus(query, timeout=30)


def test_rows_and_columns_of_json_get_equal_outputs(server):
    pixels = clips().tolist()
    status, columns = post(server, {"inputs": {"clips": pixels}})
    assert status == 200
    named = [{"clips": clip} for clip in pixels]
    for instances in (pixels, named):
        status, rows = post(server, {"instances": instances})
        assert status == 200
        for n, row in enumerate(rows["predictions"]):
            assert row == {k: v[n] for k, v in columns["outputs"].items()}
    expected = [colour_model.shares(clip) for clip in clips()]
    probabilities = columns["outputs"]["probabilities"]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"inputs": [[1], [2, 3]]}, "a list of 2, expected 1"),
        ({"inputs": {"clips": [300]}}, "'300' is no such integer"),
        ({"inputs": {"clips": [float("nan")]}}, "'nan' is no such integer"),
        ({"inputs": {"no": [1]}}, "there is no input 'no'"),
        ({"signature_name": "no", "inputs": []}, '"no" not found'),
        ({"inputs": [], "instances": []}, "either 'instances' or 'inputs'"),
        ([], "JSON is no object"),
    ],
)
def test_bad_json_is_400_with_a_reason(server, content, text):
    status, answer = post(server, content)
    assert status == 400 and text in answer["error"]


def test_other_paths_and_models_are_errors(server):
    status, answer = post(server, {"inputs": []}, name="no")
    assert (status, answer["error"][-10:]) == (404, "Latest(no)")
    status, answer = rest(server, "GET", "/v1/models/no")
    assert status == 404 and "Could not find any versions" in answer["error"]
    assert rest(server, "GET", "/v2/models/shares")[0] == 400


def test_status_and_metadata_of_rest(server):
    status, answer = rest(server, "GET", "/v1/models/shares")
    (version,) = answer["model_version_status"]
    assert (version["version"], version["state"]) == ("10", "AVAILABLE")
    _, answer = rest(server, "GET", "/v1/models/shares/versions/10/metadata")
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    info = signatures["serve_frames"]["inputs"]["frames_bytes"]
    assert info["dtype"] == "DT_STRING"
    assert [dim["size"] for dim in info["tensor_shape"]["dim"]] == ["-1", "-1"]


def made_config(name):
    return (
        f'model_config_list {{ config {{ name: "{name}" base_path: '
        f'"/models/{name}" model_platform: "tensorflow" }} }}'
    )


def run_as_a_script(*arguments):
    """Run the command in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["contract_server", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(contract_server.__file__, run_name="__main__")
    return exit_.value.code


def test_missing_extra_is_a_one_line_error(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    assert run_as_a_script("--config=x", "--models=y") == 2
    error = capsys.readouterr().err
    assert "pip install 'nonlocal-tf[serving]'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "No such file or directory: "),
        ("model_config_list {", "Expected"),
        (made_config("none"), "No such file or directory: "),
        (made_config("shares"), "Failed to bind to address"),
    ],
)
def test_user_errors_are_one_line(
    config, message, served, server, tmp_path, capsys
):
    path = tmp_path / "models.config"
    if config is not None:
        path.write_text(config)
    port = server.grpc_address.rpartition(":")[2]
    options = [f"--config={path}", f"--models={served[1]}", f"--port={port}"]
    assert run_as_a_script(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
