"""Asks a model on TensorFlow Serving, over gRPC or REST.

    client = connect("localhost:8500", "digits_nl")
    client.signatures()["serving_default"].inputs  # names, types, shapes
    client.predict("serving_default", clips=clips)["probabilities"]

Clients of both protocols take and return NumPy arrays; strings are object
arrays of bytes. Errors are a ClientError of one line. A server that is not
there (UNAVAILABLE, 503) is asked again, with longer and longer waits within
the timeout, and nothing else is: asking twice would not help, or take twice
the time. Connections are not encrypted, and proxies are not used.

Servers are not trusted: all of a question shares one timeout, an answer has a
largest size, and what it holds has the types and shapes that the model's
signature says and no number that is not finite.
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
    """A client of one model; nothing is sent yet.

    Args:
        address: host and port; of TensorFlow Serving, 8500 is gRPC, 8501 REST.
        model: its name on the server.
        rest: whether to speak REST.
        timeout_s: seconds for a question, with all its tries.
        max_mb: the largest request that is sent, and, if it is more than 64,
            the largest answer that is read, in megabytes.

    Raises:
        ClientError: that is no address, or a package is missing.
    """
    check_address(address)
    if rest:
        return serving_rest.RestClient(address, model, timeout_s, max_mb)
    return serving_grpc.GrpcClient(address, model, timeout_s, max_mb)
