"""gRPC client; see `serving_client` for its use."""

import threading

import numpy as np
import serving_messages
from serving_base import (
    Client,
    ClientError,
    Signature,
    Unavailable,
    batch_size,
    check_outputs,
    check_size,
    max_response_bytes,
    model_error,
    retry,
    shorten,
    timeout_error,
    too_large_error,
)

SERVICE = "/tensorflow.serving.PredictionService"
OPTIONS = (
    # The default of 4 MB is a clip of 27 frames; requests are checked before.
    ("grpc.max_send_message_length", -1),
    # Decompression bombs: the client does not request compression.
    ("grpc.per_message_decompression", 0),
    ("grpc.enable_retries", 0),  # `retry` has one timeout for all
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
# Time for gRPC to report its own deadline, and to close. It does neither while
# a server floods the connection with HTTP/2 pings.
GRACE_S = 0.5

# gRPC's message about a response, not a request, that is too large.
RECEIVED = "Received message larger than max"


class GrpcClient(Client):
    """gRPC client of a model; see `serving_client.connect`."""

    def __init__(
        self, address: str, model: str, timeout_s: float, max_mb: float
    ):
        try:
            import grpc
        except ImportError as error:
            raise ClientError(
                "gRPC needs the package grpcio: pip install grpcio protobuf. "
                "Or use REST (--rest, port 8501)."
            ) from error
        super().__init__(address, model, timeout_s, max_mb)
        self._grpc = grpc
        max_bytes = max_response_bytes(max_mb)
        largest = ("grpc.max_receive_message_length", max_bytes)
        options = (*OPTIONS, largest)
        self._channel = grpc.insecure_channel(address, options=options)

    def signatures(self) -> dict[str, Signature]:
        request = serving_messages.message("GetModelMetadataRequest")
        request.model_spec.name = self.model
        request.metadata_field.append("signature_def")
        answer = self._ask("GetModelMetadata", request)
        definitions = self._parsed(
            "SignatureDefMap", answer.metadata["signature_def"].value
        )
        self._signatures = {
            name: Signature(
                _infos(definition.inputs), _infos(definition.outputs)
            )
            for name, definition in definitions.signature_def.items()
        }
        return self._signatures

    def predict(
        self, signature: str, **inputs: np.ndarray
    ) -> dict[str, np.ndarray]:
        request = serving_messages.message("PredictRequest")
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            tensor = serving_messages.to_tensor(np.asarray(array))
            request.inputs[name].CopyFrom(tensor)
        check_size(request.ByteSize(), self.max_mb)
        answer = self._ask("Predict", request)
        try:
            outputs = {
                name: serving_messages.to_array(tensor)
                for name, tensor in answer.outputs.items()
            }
        except ValueError as error:
            raise self._invalid(str(error)) from error
        spec = self._signatures.get(signature)
        if spec is None:
            check_outputs(self.address, outputs, None)
            return outputs
        batch = batch_size(inputs, spec.inputs)
        check_outputs(self.address, outputs, spec.outputs, batch)
        return outputs

    def close(self) -> None:
        closing = threading.Thread(target=self._channel.close, daemon=True)
        closing.start()
        closing.join(GRACE_S)  # a flood may keep gRPC from closing

    def _ask(self, method: str, request):
        call = self._channel.unary_unary(
            f"{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
        )

        def once(left_s: float):
            answer = call.future(request, timeout=left_s)
            try:
                return answer.result(left_s + GRACE_S)
            except self._grpc.FutureTimeoutError as error:
                raise timeout_error(self.address, self.timeout_s) from error
            except self._grpc.RpcError as error:
                raise self._explained(error) from error
            finally:
                answer.cancel()

        content = retry(once, self.address, self.timeout_s)
        if content is None:
            raise self._invalid("a status without a message")
        return self._parsed(f"{method}Response", content)

    def _parsed(self, name: str, content: bytes):
        """Parse a message of the server.

        Raises:
            ClientError: it is not such a message.
        """
        try:
            return serving_messages.parse(name, content)
        except ValueError as error:
            raise self._invalid(str(error)) from error

    def _invalid(self, reason: str) -> ClientError:
        return ClientError(
            f"Invalid response of {self.address}: {shorten(reason)}"
        )

    def _explained(self, error) -> Exception:
        """Translate a gRPC status to an error of this module."""
        codes = self._grpc.StatusCode
        code, details = error.code(), shorten(error.details() or "")
        if code == codes.UNAVAILABLE:
            return Unavailable(details)
        if code == codes.DEADLINE_EXCEEDED:
            return timeout_error(self.address, self.timeout_s)
        if code == codes.NOT_FOUND:
            return model_error(self.address, self.model, details)
        if code == codes.RESOURCE_EXHAUSTED and RECEIVED in details:
            return too_large_error(self.address, self.max_mb)
        if code == codes.UNIMPLEMENTED:
            return ClientError(
                f"The server at {self.address} is not TensorFlow Serving: "
                f"{details}"
            )
        return ClientError(f"{self.address} says {code.name}: {details}")


def _infos(entries) -> dict:
    """Return type and shape of each tensor of a signature."""
    types = serving_messages.TYPES
    return {
        name: (
            types[info.dtype][0] if info.dtype in types else str(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in entries.items()
    }
