"""Run a model on TensorFlow Serving, over gRPC or REST.

    client = connect("localhost:8500", "digits_nl")
    client.signatures()["serving_default"].inputs  # names, types, shapes
    client.predict("serving_default", clips=clips)["probabilities"]

Clients take and return NumPy arrays; strings are object arrays of bytes. Errors
are a ClientError of one line. Requests are retried only while the server is
unavailable (UNAVAILABLE, 503), with growing waits within the timeout.
Connections are not encrypted, and proxies are not used.

Servers are not trusted: a request has one timeout, a response a maximum size,
and outputs must have the types, shapes and batch size of the signature and be
finite.
"""

import serving_grpc
import serving_rest
from serving_base import MAX_MB, Client, ClientError, check_address

__all__ = ["Client", "ClientError", "connect"]


def connect(
    address: str,
    model: str,
    rest: bool = False,
    timeout_s: float = 30.0,
    max_mb: float = MAX_MB,
) -> Client:
    """Create a client of one model without sending anything.

    Args:
        address: host and port; TensorFlow Serving uses 8500 for gRPC and 8501
            for REST.
        model: its name on the server.
        rest: whether to use REST instead of gRPC.
        timeout_s: seconds for a request, including retries.
        max_mb: maximum size of a request and, if above 64, of a response, in
            megabytes.

    Raises:
        ClientError: the address is invalid, or a package is missing.
    """
    check_address(address)
    if rest:
        return serving_rest.RestClient(address, model, timeout_s, max_mb)
    return serving_grpc.GrpcClient(address, model, timeout_s, max_mb)
