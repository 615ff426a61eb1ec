"""The client that speaks gRPC; `serving_client` says how it is used."""

import numpy as np
import serving_messages
from serving_base import (
    Client,
    ClientError,
    Signature,
    Unavailable,
    answer_bytes,
    check_outputs,
    check_size,
    no_answer,
    no_model,
    retry,
    short,
    too_large,
)

SERVICE = "/tensorflow.serving.PredictionService"
OPTIONS = (
    # 4 MB are a clip of 27 frames: how much is sent is checked before.
    ("grpc.max_send_message_length", -1),
    # Else a small answer could become one of any size. Nobody asked for it.
    ("grpc.per_message_decompression", 0),
    ("grpc.enable_retries", 0),  # ours count against one timeout
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

# What gRPC says of an answer that is too large, and not of a request.
RECEIVED = "Received message larger than max"


class GrpcClient(Client):
    """Asks a model over gRPC; made by `serving_client.connect`."""

    def __init__(
        self, address: str, model: str, timeout_s: float, max_mb: float
    ):
        try:
            import grpc
        except ImportError as error:
            raise ClientError(
                "gRPC needs the package grpcio: pip install grpcio protobuf. "
                "Or ask by REST (--rest, port 8501)."
            ) from error
        super().__init__(address, model, timeout_s, max_mb)
        self._grpc = grpc
        largest = ("grpc.max_receive_message_length", answer_bytes(max_mb))
        options = (*OPTIONS, largest)
        self._channel = grpc.insecure_channel(address, options=options)

    def signatures(self) -> dict[str, Signature]:
        request = serving_messages.message("GetModelMetadataRequest")
        request.model_spec.name = self.model
        request.metadata_field.append("signature_def")
        answer = self._ask("GetModelMetadata", request)
        found = self._parsed(
            "SignatureDefMap", answer.metadata["signature_def"].value
        )
        self._signatures = {
            name: Signature(_infos(each.inputs), _infos(each.outputs))
            for name, each in found.signature_def.items()
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
            raise self._odd(str(error)) from error
        expected = None
        if signature in self._signatures:
            expected = self._signatures[signature].outputs
        check_outputs(self.address, outputs, expected)
        return outputs

    def close(self) -> None:
        self._channel.close()

    def _ask(self, method: str, request):
        call = self._channel.unary_unary(
            f"{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
        )

        def once(left_s: float):
            try:
                return call(request, timeout=left_s)
            except self._grpc.RpcError as error:
                raise self._explained(error) from error

        content = retry(once, self.address, self.timeout_s)
        return self._parsed(f"{method}Response", content)

    def _parsed(self, name: str, content: bytes):
        """The message that a server sent.

        Raises:
            ClientError: it is no such message.
        """
        try:
            return serving_messages.parse(name, content)
        except ValueError as error:
            raise self._odd(str(error)) from error

    def _odd(self, reason: str) -> ClientError:
        return ClientError(f"{self.address} answered oddly: {short(reason)}")

    def _explained(self, error) -> Exception:
        """What a status of gRPC means here."""
        codes = self._grpc.StatusCode
        code, said = error.code(), short(error.details() or "")
        if code == codes.UNAVAILABLE:
            return Unavailable(said)
        if code == codes.DEADLINE_EXCEEDED:
            return no_answer(self.address, self.timeout_s)
        if code == codes.NOT_FOUND:
            return no_model(self.address, self.model, said)
        if code == codes.RESOURCE_EXHAUSTED and RECEIVED in said:
            return too_large(self.address, self.max_mb)
        if code == codes.UNIMPLEMENTED:
            return ClientError(
                f"What answers at {self.address} is not TensorFlow Serving: "
                f"{said}"
            )
        return ClientError(f"{self.address} says {code.name}: {said}")


def _infos(entries) -> dict:
    """Type and shape of each tensor of a signature."""
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
