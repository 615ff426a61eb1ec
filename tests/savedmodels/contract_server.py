"""A test double of tensorflow_model_server.

    python -m tests.savedmodels.contract_server \
        --config savedmodels/serving/models.config --models savedmodels

TensorFlow Serving's server is a binary that is in no package registry. This
server answers the same messages, of tensorflow-serving-api, with
tf.saved_model.load: Predict, GetModelMetadata and GetModelStatus on gRPC and
REST, with the checks and status codes of the original.

Tests with it cover models.config, the choice of the newest version, warm-up
requests, types and shapes of signatures in a process without this project, and
the clients' protocol. They do not cover batching, version policies, reloading,
memory, latency, or the loader and executor in C++: they are no test on
TensorFlow Serving.
"""

import argparse
import concurrent.futures
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence

from tests.savedmodels import extra
from training.io import cli
from training.io.user_error import UserError

with extra.required(__name__):
    import grpc
    from google.protobuf import text_format
    from tensorflow_serving.apis import (
        model_service_pb2_grpc,
        prediction_service_pb2_grpc,
    )

    from tests.savedmodels import contract_rest
    from tests.savedmodels.contract_models import Models, StatusError

THREADS = 4
# Longer ones do not fit into gRPC's trailing metadata.
LONGEST_MESSAGE = 1024


class ContractServer:
    """gRPC and REST server; a context manager.

    Args:
        config: a models.config.
        root: the folder that is /models in it.
        port: of gRPC; 0 is a free one.
        rest_port: of REST; 0 is a free one.

    Attributes:
        models: what is served.
        grpc_address, rest_address: where, as HOST:PORT.
    """

    def __init__(
        self,
        config: str | pathlib.Path,
        root: str | pathlib.Path,
        port: int = 0,
        rest_port: int = 0,
    ):
        self.models = Models(pathlib.Path(config), pathlib.Path(root))
        self._grpc = grpc.server(
            concurrent.futures.ThreadPoolExecutor(THREADS),
            options=[
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.so_reuseport", 0),  # a port in use is an error
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _Predictions(self.models), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _Statuses(self.models), self._grpc
        )
        port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self._grpc.start()
        self._rest = contract_rest.RestServer(self.models, rest_port)
        self.grpc_address = f"127.0.0.1:{port}"
        self.rest_address = f"127.0.0.1:{self._rest.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Stop both servers."""
        self._grpc.stop(grace=None).wait()
        self._rest.shutdown()
        self._rest.server_close()


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    def Predict(self, request, context):
        """Run a signature."""
        return _answer(self._models.predict, request, context)

    def GetModelMetadata(self, request, context):
        """Return the signatures."""
        return _answer(self._models.metadata, request, context)


class _Statuses(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models):
        self._models = models

    def GetModelStatus(self, request, context):
        """Return the status of a model."""
        return _answer(self._models.status, request, context)


def _answer(method, request, context):
    try:
        return method(request)
    except StatusError as error:
        context.abort(error.code, error.message[:LONGEST_MESSAGE])


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--models", required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--rest-port", type=int, default=8501)
    options, _ = cli.parse(parser, arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        contract = ContractServer(
            options.config, options.models, options.port, options.rest_port
        )
    except (text_format.ParseError, RuntimeError) as error:  # a port in use
        raise UserError(str(error)) from error
    with contract as server:
        print(f"gRPC: {server.grpc_address}\nREST: {server.rest_address}")
        names = ", ".join(server.models.by_name)
        print(f"Ready: {names}. Ctrl-C ends it.", flush=True)
        ended.wait()


if __name__ == "__main__":
    sys.exit(cli.run(main))
