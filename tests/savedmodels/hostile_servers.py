"""Loopback servers with invalid and hostile responses."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

SIGNATURE = {
    "serve_frames": {
        "inputs": {"frames_bytes": ("DT_STRING", (-1, -1))},
        "outputs": {
            "top_k_classes": ("DT_STRING", (-1, 2)),
            "top_k_scores": ("DT_FLOAT", (-1, 2)),
        },
    },
    "serving_default": {
        "inputs": {"clips": ("DT_UINT8", (-1, -1, -1, -1, 3))},
        "outputs": {
            "class_name": ("DT_STRING", (-1,)),
            "probabilities": ("DT_FLOAT", (-1, 3)),
        },
    },
}
GOOD = {
    "serve_frames": {
        "top_k_classes": [["jump", "sit"]],
        "top_k_scores": [[0.75, 0.25]],
    },
    "serving_default": {
        "class_name": ["jump"],
        "probabilities": [[0.5, 0.25, 0.25]],
    },
}


def metadata(signatures: dict = SIGNATURE) -> dict:
    """Make the metadata response of REST for some signatures."""
    described = {
        name: {
            side: {tensor: _info(*info) for tensor, info in tensors.items()}
            for side, tensors in sides.items()
        }
        for name, sides in signatures.items()
    }
    return {"metadata": {"signature_def": {"signature_def": described}}}


def _info(dtype: str, shape: tuple[int, ...]) -> dict:
    dims = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dims}}


def http(content: bytes, status: str = "200 OK") -> bytes:
    """Format an HTTP response."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """Run a TCP server that passes each connection to `answer`.

    Args:
        answer: function of the connection and the head of the request, called
            after the body is read; its OSErrors are ignored.

    Yields:
        The address.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # it is closed
                threading.Thread(target=serve, args=(connection,)).start()

        def serve(connection):
            with contextlib.suppress(OSError), connection:
                connection.settimeout(20)
                answer(connection, _head_of(connection))

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def _head_of(connection: socket.socket) -> bytes:
    """Read a request; return its head."""
    with connection.makefile("rb") as file:
        lines = []
        while (line := file.readline()) not in (b"\r\n", b""):
            lines.append(line)
        head = b"".join(lines)
        for line in lines:
            if line.lower().startswith(b"content-length:"):
                file.read(int(line.split(b":")[1]))
    return head


def answering(outputs: object, signatures: dict = SIGNATURE):
    """Make an `answer` with these outputs and signatures."""

    def answer(connection: socket.socket, head: bytes) -> None:
        content = metadata(signatures)
        if head.startswith(b"POST"):
            content = {"outputs": outputs}
        connection.sendall(http(json.dumps(content).encode()))

    return answer


def grpc_metadata(signatures=SIGNATURE):
    """Serialize a GetModelMetadataResponse."""
    import serving_messages

    numbers = {name: n for n, (name, _, _) in serving_messages.TYPES.items()}
    definitions = serving_messages.message("SignatureDefMap")
    for name, sides in signatures.items():
        for side, tensors in sides.items():
            infos = getattr(definitions.signature_def[name], side)
            for tensor, (dtype, shape) in tensors.items():
                infos[tensor].dtype = numbers[dtype]
                for size in shape:
                    infos[tensor].tensor_shape.dim.add(size=size)
    answer = serving_messages.message("GetModelMetadataResponse")
    content = definitions.SerializeToString()
    answer.metadata["signature_def"].value = content
    return answer.SerializeToString()


def grpc_outputs(**arrays):
    """Serialize a PredictResponse."""
    import serving_messages

    answer = serving_messages.message("PredictResponse")
    for name, array in arrays.items():
        tensor = serving_messages.to_tensor(array)
        answer.outputs[name].CopyFrom(tensor)
    return answer.SerializeToString()
