"""The clients' messages equal those of tensorflow-serving-api on the wire."""

import ast
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

ALLOWED = {"numpy", "grpc", "google", "av", "PIL"} | sys.stdlib_module_names
ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    np.array(-3.25, np.float64),
    np.array([[1], [-(2**31)]], np.int32),
    np.array([[[0, 255]]], np.uint8),
    np.array([-(2**63), 5], np.int64),
    np.array([[True, False, True]]),
    np.array([[b"", b"\xff\0x"]], object),
    np.zeros((0, 3), np.float32),
]


@pytest.fixture(scope="module")
def messages():
    import serving_messages

    return serving_messages


def same(array, expected):
    assert array.dtype == expected.dtype and array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


def test_clients_import_neither_tensorflow_nor_this_project(clients):
    files = sorted(clients.glob("*.py"))
    allowed = ALLOWED | {file.stem for file in files}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert {name.split(".")[0] for name in names} <= allowed, file


def test_clients_run_without_tensorflow(clients):
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "import serving_client, serving_messages, video_client\n"
        "serving_client.connect('localhost:1', 'x')\n"
        "serving_messages.message('PredictRequest')\n"
        "assert 'nonlocal_tf' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=clients, check=True)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_tensors_are_read_by_tensorflow(messages, array):
    written = messages.to_tensor(array).SerializeToString()
    proto = tensor_pb2.TensorProto.FromString(written)
    same(np.asarray(tf.make_ndarray(proto)), array)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_tensors_of_tensorflow_are_read(messages, array):
    dtype = tf.string if array.dtype == object else None
    proto = tf.make_tensor_proto(array, dtype, array.shape)
    tensor = messages.parse("Tensor", proto.SerializeToString())
    same(messages.to_array(tensor), array)


def test_last_value_repeats(messages):
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1.5, 2.5])
    for size in (2, 3):
        proto.tensor_shape.dim.add(size=size)
    tensor = messages.parse("Tensor", proto.SerializeToString())
    expected = [[1.5, 2.5, 2.5], [2.5, 2.5, 2.5]]
    same(messages.to_array(tensor), np.array(expected, np.float32))


def test_invalid_tensors_are_errors(messages):
    with pytest.raises(TypeError, match="received complex128"):
        messages.to_tensor(np.array([1j]))
    endless = {"dim": [{"size": 1 << 40}]}
    for fields in (
        {"dtype": 99},
        {"dtype": 1, "tensor_content": b"\0" * 8},
        {"dtype": 1, "float_val": [1.0], "tensor_shape": endless},
    ):
        with pytest.raises(ValueError):
            messages.to_array(messages.message("Tensor", **fields))


def test_request_is_read_by_the_server(messages):
    request = messages.message("PredictRequest", output_filter=["a"])
    request.model_spec.name = "x"
    request.model_spec.signature_name = "s"
    request.model_spec.version.value = 7
    request.inputs["i"].CopyFrom(messages.to_tensor(np.ones((1, 2), np.uint8)))
    read = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    spec = read.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("x", "s", 7)
    assert tf.make_ndarray(read.inputs["i"]).tolist() == [[1, 1]]
    assert read.output_filter == ["a"]


def test_metadata_of_the_server_is_read(messages):
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    info = signatures.signature_def["s"].inputs["clips"]
    info.dtype = 4
    info.tensor_shape.dim.add(size=-1)
    response.metadata["signature_def"].Pack(signatures)
    read = messages.parse(
        "GetModelMetadataResponse", response.SerializeToString()
    )
    content = read.metadata["signature_def"].value
    definition = messages.parse("SignatureDefMap", content).signature_def["s"]
    assert definition.inputs["clips"].dtype == 4
    assert definition.inputs["clips"].tensor_shape.dim[0].size == -1
