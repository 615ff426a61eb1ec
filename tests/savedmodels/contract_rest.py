"""The REST front of the contract server: JSON in, the same models, JSON out.

From the API's description and its source (util/json_tensor.cc): requests in
rows ("instances") and columns ("inputs"); {"b64": ...} is bytes; outputs are
base64 only if their names end in _bytes; a single output comes without its
name. Unlike the real one, it refuses integers that do not fit their type.
"""

import base64
import binascii
import http.server
import json
import re
import threading
import urllib.parse

import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tests.savedmodels.contract_models import Code, Models, StatusError

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(.*)", re.S)
HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.NOT_FOUND: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
MAX_BODY = 1 << 30
INTEGERS = {
    types_pb2.DT_UINT8: ("int_val", 0, 255),
    types_pb2.DT_INT32: ("int_val", -(1 << 31), (1 << 31) - 1),
    types_pb2.DT_INT64: ("int64_val", -(1 << 63), (1 << 63) - 1),
}


class RestServer(http.server.ThreadingHTTPServer):
    """REST server on 127.0.0.1, in a thread of its own."""

    daemon_threads = True

    def __init__(self, models: Models, port: int = 0):
        super().__init__(("127.0.0.1", port), RestHandler)
        self.models = models
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Ignore clients that disconnected."""


class RestHandler(http.server.BaseHTTPRequestHandler):
    """Handler of one request per connection."""

    timeout = 30
    error_content_type = "application/json"
    error_message_format = '{"error": "%(code)d"}'

    def do_GET(self):
        """Status and metadata."""
        self._answer(self._get)

    def do_POST(self):
        """Predictions."""
        self._answer(self._post)

    def log_message(self, format, *arguments):
        """Quiet."""

    def _answer(self, make):
        try:
            status, content = 200, make()
        except StatusError as error:
            status = HTTP.get(error.code, 500)
            content = {"error": error.message}
        except RecursionError:
            status, content = 400, {"error": "JSON is nested too deeply"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _addressed(self, spec) -> str:
        """Fill in the model; return the rest of the path."""
        match = PATH.fullmatch(self.path)
        if match is None:
            raise _malformed(f"{self.command} {self.path}")
        spec.name = urllib.parse.unquote(match[1])
        if match[2] is not None:
            if int(match[2]) >= 1 << 63:
                raise _malformed(f"version {match[2][:32]}")
            spec.version.value = int(match[2])
        return match[3]

    def _get(self):
        models = self.server.models
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        what = self._addressed(request.model_spec)
        if what == "/metadata":
            request.metadata_field.append("signature_def")
            return _metadata(models.metadata(request))
        if what:
            raise _malformed(f"{self.command} {self.path}")
        status = models.status(
            get_model_status_pb2.GetModelStatusRequest(
                model_spec=request.model_spec
            )
        )
        return {
            "model_version_status": [
                {
                    "version": str(version.version),
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
                for version in status.model_version_status
            ]
        }

    def _post(self):
        request = predict_pb2.PredictRequest()
        if self._addressed(request.model_spec) != ":predict":
            raise _malformed(f"{self.command} {self.path}")
        content = self._read_json()
        servable = self.server.models.find(request.model_spec)
        rows = _fill(request, content, servable.signatures)
        outputs = servable.predict(request).outputs
        columns = {name: _to_json(name, outputs[name]) for name in outputs}
        if not rows:
            return {"outputs": _unnamed(columns)}
        sizes = {len(column) for column in columns.values()}
        if len(sizes) != 1:
            raise _malformed("outputs without a common batch, in rows")
        return {
            "predictions": [
                _unnamed({name: columns[name][n] for name in columns})
                for n in range(sizes.pop())
            ]
        }

    def _read_json(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length) or int(length) > MAX_BODY:
            raise _malformed(f"Content-Length {length[:32]!r}")
        try:
            content = json.loads(self.rfile.read(int(length)))
        except ValueError as error:  # of its encoding, too
            raise _malformed(f"JSON Parse error: {error}") from error
        if not isinstance(content, dict):
            raise _malformed("JSON is no object")
        return content


def _malformed(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, f"Malformed request: {message}")


def _fill(request, content: dict, signatures: dict) -> bool:
    """Puts JSON into a request; returns whether it came in rows."""
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise _malformed("'signature_name' must be a string")
    definition = signatures.get(name or "serving_default")
    if definition is None:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f'Serving signature name: "{name}" not found in signature def',
        )
    if ("instances" in content) == ("inputs" in content):
        raise _malformed("expected either 'instances' or 'inputs'")
    request.model_spec.signature_name = name
    if "inputs" in content:
        columns = _columns(content["inputs"], definition)
    else:
        columns = _of_rows(content["instances"], definition)
    for key, value in columns.items():
        if key not in definition.inputs:
            raise _malformed(f"there is no input {key!r}")
        tensor = _to_tensor(value, definition.inputs[key].dtype)
        request.inputs[key].CopyFrom(tensor)
    return "instances" in content


def _columns(value, definition) -> dict:
    if _is_named(value):
        return value
    if len(definition.inputs) != 1:
        raise _malformed("several inputs need their names")
    return {next(iter(definition.inputs)): value}


def _of_rows(rows, definition) -> dict:
    if not isinstance(rows, list) or not rows:
        raise _malformed("'instances' must be a list that is not empty")
    if not any(map(_is_named, rows)):
        return _columns(rows, definition)
    if not all(_is_named(row) and row.keys() == rows[0].keys() for row in rows):
        raise _malformed("instances differ in their inputs")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _is_named(value) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value) -> bool:
    return (
        isinstance(value, dict)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
    )


def _to_tensor(value, dtype: int) -> tensor_pb2.TensorProto:
    """Convert nested lists to a tensor; first elements determine the shape."""
    proto, inner = tensor_pb2.TensorProto(dtype=dtype), value
    shape = []
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    values: list = []
    _flatten(value, shape, values)
    field, read = _reader(dtype)
    getattr(proto, field).extend([read(item) for item in values])
    return proto


def _flatten(value, shape: list, values: list) -> None:
    if isinstance(value, list) != bool(shape):
        raise _malformed("a list is nested unevenly")
    if not shape:
        values.append(value)
        return
    if len(value) != shape[0]:
        raise _malformed(f"a list of {len(value)}, expected {shape[0]}")
    for part in value:
        _flatten(part, shape[1:], values)


def _reader(dtype: int):
    """Return the field of a type's values, and their converter from JSON."""
    if dtype == types_pb2.DT_STRING:
        return "string_val", _bytes
    field, lowest, highest = INTEGERS.get(dtype, (None, 0, 0))
    if field is None:
        name = types_pb2.DataType.Name(dtype)
        raise StatusError(Code.UNIMPLEMENTED, f"{name} from JSON")

    def integer(value):
        if type(value) is not int or not lowest <= value <= highest:
            raise _malformed(f"{str(value)[:32]!r} is no such integer")
        return value

    return field, integer


def _bytes(value) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not _is_base64(value):
        raise _malformed(f"{str(value)[:32]!r} is neither string nor base64")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed("Unable to base64 decode") from error


def _to_json(name: str, proto: tensor_pb2.TensorProto):
    """Convert an output to nested lists."""
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype == types_pb2.DT_STRING:
        values = np.empty(len(proto.string_val), object)
        values[:] = [
            {"b64": base64.b64encode(item).decode()}
            if name.endswith("_bytes")
            else item.decode("utf-8", "replace")
            for item in proto.string_val
        ]
        return values.reshape(shape).tolist()
    field = INTEGERS.get(proto.dtype, ("float_val",))[0]
    return np.array(getattr(proto, field)).reshape(shape).tolist()


def _unnamed(outputs: dict):
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _metadata(response) -> dict:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)

    def infos(entries):
        return {
            name: {
                "dtype": types_pb2.DataType.Name(info.dtype),
                "tensor_shape": {
                    "dim": [
                        {"size": str(dim.size), "name": ""}
                        for dim in info.tensor_shape.dim
                    ],
                    "unknown_rank": info.tensor_shape.unknown_rank,
                },
                "name": info.name,
            }
            for name, info in entries.items()
        }

    spec = response.model_spec
    version = str(spec.version.value)
    return {
        "model_spec": {
            "name": spec.name,
            "signature_name": "",
            "version": version,
        },
        "metadata": {
            "signature_def": {
                "signature_def": {
                    name: {
                        "inputs": infos(item.inputs),
                        "outputs": infos(item.outputs),
                        "method_name": item.method_name,
                    }
                    for name, item in signatures.signature_def.items()
                }
            }
        },
    }
