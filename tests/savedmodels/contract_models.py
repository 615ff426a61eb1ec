"""The models of a contract server: loaded, described and asked."""

import math
import pathlib

import grpc
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

Code = grpc.StatusCode
# TensorFlow's error codes are gRPC's.
CODES = {code.value[0]: code for code in Code}
# A few bytes can ask for any amount of memory ("the last value repeats").
MAX_ELEMENTS = 1 << 28
WARM_UP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
# Where TensorProto keeps the values of each type that our outputs have.
FIELDS = {
    tf.float32: "float_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.string: "string_val",
}


class StatusError(Exception):
    """A gRPC status other than OK, to be sent."""

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code, self.message = code, message


class Servable:
    """The newest version of one model, warmed up.

    Args:
        name: of the model.
        base: its directory of versions.
    """

    def __init__(self, name: str, base: pathlib.Path):
        numbers = [p.name for p in base.iterdir() if p.name.isdecimal()]
        if not numbers:
            raise FileNotFoundError(f"No versions of {name} under {base}")
        self.name, self.version = name, max(map(int, numbers))
        path = base / max(numbers, key=int)
        self._module = tf.saved_model.load(str(path))
        saved = saved_model_pb2.SavedModel.FromString(
            (path / "saved_model.pb").read_bytes()
        )
        self.signatures = dict(saved.meta_graphs[0].signature_def)
        self.warmed_by = 0
        if (path / WARM_UP).is_file():
            self._warm_up(path / WARM_UP)

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        """The outputs of a signature.

        Raises:
            StatusError: the request is not what the signature takes.
        """
        name = request.model_spec.signature_name or "serving_default"
        # Listed in the file and not callable: what initialises the tables.
        if name not in self._module.signatures:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f'Serving signature key "{name}" not found.',
            )
        definition = self.signatures[name]
        tensors = _inputs(definition, request.inputs)
        output_names = list(request.output_filter) or list(definition.outputs)
        for output in output_names:
            if output not in definition.outputs:
                raise StatusError(
                    Code.INVALID_ARGUMENT,
                    f"output tensor alias not found in signature: {output}",
                )
        try:
            outputs = self._module.signatures[name](**tensors)
        except tf.errors.OpError as error:
            raise StatusError(CODES[error.error_code], error.message) from error
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(self.spec(name))
        for output in output_names:
            response.outputs[output].CopyFrom(_as_fields(outputs[output]))
        return response

    def spec(self, signature: str = "") -> model_pb2.ModelSpec:
        """The name of what answered."""
        spec = model_pb2.ModelSpec(name=self.name, signature_name=signature)
        spec.version.value = self.version
        return spec

    def _warm_up(self, path: pathlib.Path) -> None:
        for record in tf.data.TFRecordDataset(str(path)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            self.predict(log.predict_log.request)
            self.warmed_by += 1


class Models:
    """All models of a models.config.

    Args:
        config: the file.
        root: the folder that is /models in the configuration.
    """

    def __init__(self, config: pathlib.Path, root: pathlib.Path):
        parsed = text_format.Parse(
            config.read_text("utf-8"),
            model_server_config_pb2.ModelServerConfig(),
        )
        self.by_name = {
            model.name: Servable(
                model.name,
                root / pathlib.Path(model.base_path).relative_to("/models"),
            )
            for model in parsed.model_config_list.config
        }

    def find(self, spec: model_pb2.ModelSpec) -> Servable:
        """Return the model that a request names.

        Raises:
            StatusError: there is none.
        """
        if not spec.name:
            raise StatusError(Code.INVALID_ARGUMENT, "Missing ModelSpec")
        servable = self.by_name.get(spec.name)
        version = spec.version.value if spec.HasField("version") else None
        if servable is None or version not in (None, servable.version):
            kind = "Latest" if version is None else "Specific"
            which = spec.name if version is None else f"{spec.name}, {version}"
            raise StatusError(
                Code.NOT_FOUND,
                f"Servable not found for request: {kind}({which})",
            )
        return servable

    def predict(self, request):
        """Answers a PredictRequest."""
        return self.find(request.model_spec).predict(request)

    def metadata(self, request):
        """Answers a GetModelMetadataRequest."""
        if list(request.metadata_field) != ["signature_def"]:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"Metadata field {list(request.metadata_field)} is not "
                "supported",
            )
        servable = self.find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.CopyFrom(servable.spec())
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(self, request):
        """Answers a GetModelStatusRequest."""
        try:
            servable = self.find(request.model_spec)
        except StatusError as error:
            name = request.model_spec.name
            message = f"Could not find any versions of model {name}"
            raise StatusError(error.code, message) from error
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(
            version=servable.version,
            state=get_model_status_pb2.ModelVersionStatus.AVAILABLE,
        )
        return response


def _inputs(definition: meta_graph_pb2.SignatureDef, tensors) -> dict:
    """Check the tensors of a request against the signature."""
    extra = sorted(set(tensors) - set(definition.inputs))
    missing = sorted(set(definition.inputs) - set(tensors))
    if extra or missing:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"input size does not match signature: Sent extra: {extra}. "
            f"Missing but required: {missing}.",
        )
    return {
        name: _tensor(name, tensors[name], info)
        for name, info in definition.inputs.items()
    }


def _tensor(
    name: str, proto: tensor_pb2.TensorProto, info: meta_graph_pb2.TensorInfo
) -> tf.Tensor:
    def refuse(message: str) -> StatusError:
        return StatusError(Code.INVALID_ARGUMENT, f"{name}: {message}")

    if proto.dtype != info.dtype:
        raise refuse(
            f"expected {types_pb2.DataType.Name(info.dtype)}, received type "
            f"{proto.dtype}"
        )
    shape = [dim.size for dim in proto.tensor_shape.dim]
    expected = [dim.size for dim in info.tensor_shape.dim]
    fits = len(shape) == len(expected) and all(
        size_or_any in (-1, size) and size >= 0
        for size_or_any, size in zip(expected, shape, strict=True)
    )
    if proto.tensor_shape.unknown_rank or not fits:
        raise refuse(f"expected shape {expected}, received {shape[:32]}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise StatusError(
            Code.RESOURCE_EXHAUSTED, f"{name}: {shape} is too large"
        )
    try:
        # In C++, as the real one does; wrong sizes and bytes are found there.
        return tf.io.parse_tensor(
            proto.SerializeToString(), tf.as_dtype(info.dtype)
        )
    except tf.errors.OpError as error:
        # Its message has all the pixels.
        raise refuse("tensor parsing error") from error


def _as_fields(tensor: tf.Tensor) -> tensor_pb2.TensorProto:
    """Convert to a TensorProto with value fields, as the server does."""
    proto = tensor_pb2.TensorProto(
        dtype=tensor.dtype.as_datatype_enum,
        tensor_shape=tensor.shape.as_proto(),
    )
    values = tensor.numpy().ravel().tolist()
    getattr(proto, FIELDS[tensor.dtype]).extend(values)
    return proto
