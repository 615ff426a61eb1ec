"""Configuration files of a TensorFlow Serving deployment, as text.

Ports, paths and flags are defined here once. The formats follow the server's
sources and protocol buffers: wrapper messages take `{ value: ... }`, the last
allowed batch size is the largest, metrics are served on the REST port.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable

SERVER = "tensorflow/serving:2.20.0"
IMAGE = "registry.example.com/nonlocal-serving:1"
NAME = "nonlocal-serving"
GRPC_PORT, REST_PORT = 8500, 8501
METRICS = "/monitoring/prometheus/metrics"
BATCHES = (1, 2, 4, 8)
NOT_RUN = "Checked for syntax; not run."


@dataclasses.dataclass(frozen=True)
class Deployment:
    """Models and folders of a deployment.

    Attributes:
        models: by name, the directory of versions relative to `context`.
        context: build context, the folder of models and files.
        folder: of the files, relative to `context`.
        batching: whether the server batches requests.
        command: that generated the files.
    """

    models: dict[str, str]
    context: str
    folder: str
    batching: bool
    command: str

    @property
    def path(self) -> str:
        """The folder of the files, for command lines."""
        prefix = "" if self.context == "." else f"{self.context}/"
        return f"{prefix}{self.folder}"


def flags(deployment: Deployment) -> list[str]:
    """Return the command-line flags of the server."""
    batching = [
        "--enable_batching=true",
        "--batching_parameters_file=/config/batching_parameters.txt",
    ]
    return [
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT}",
        "--rest_api_timeout_in_ms=60000",
        "--model_config_file=/config/models.config",
        "--model_config_file_poll_wait_seconds=60",
        "--monitoring_config_file=/config/monitoring.config",
        "--enable_grpc_healthcheck_service=true",
        *(batching if deployment.batching else []),
    ]


def models_config(deployment: Deployment) -> str:
    """Format models.config; the newest version of each model is served."""
    return "model_config_list {\n" + "".join(
        f"""  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""
        for name in deployment.models
    ) + "}\n"  # fmt: skip


def batching_parameters(deployment: Deployment) -> str:
    """Format batching_parameters.txt: batch sizes and timeouts."""
    state = "Used" if deployment.batching else "Not used"
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in BATCHES)
    return f"""\
# {state} by the other files here. Batched requests must have the same number of
# frames, height and width: the server refuses others. Padding is off, since it
# would add black frames to videos.
max_batch_size {{ value: {BATCHES[-1]} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 64 }}
num_batch_threads {{ value: 2 }}
{sizes}pad_variable_length_inputs: false
"""


def monitoring_config(deployment: Deployment) -> str:
    """Format monitoring.config: Prometheus metrics on the REST port."""
    return f"""\
prometheus_config {{
  enable: true
  path: "{METRICS}"
}}
"""


def dockerfile(deployment: Deployment) -> str:
    """Format a Dockerfile with server, models and configuration."""
    path, context = map(shlex.quote, (deployment.path, deployment.context))
    copies = "".join(
        f"COPY {source}/ /models/{name}/\n"
        for name, source in deployment.models.items()
    )
    words = ["tensorflow_model_server", *flags(deployment)]
    entry = ", \\\n    ".join(json.dumps(word) for word in words)
    folder = deployment.folder
    return f"""\
# An image that serves {", ".join(deployment.models)}.
# {NOT_RUN}
#
#   docker build -f {path}/Dockerfile -t {IMAGE} {context}
#
# For NVIDIA GPUs: -t {IMAGE}-gpu --build-arg SERVER={SERVER}-gpu
ARG SERVER={SERVER}
FROM ${{SERVER}}
# All versions that are there; the server loads the newest.
{copies}COPY {folder}/models.config {folder}/batching_parameters.txt \\
    {folder}/monitoring.config /config/
EXPOSE {GRPC_PORT} {REST_PORT}
ENTRYPOINT [{entry}]
"""


def compose(deployment: Deployment) -> str:
    """Format compose.yaml for one machine; it serves new exports too."""
    up = "../" * (deployment.folder.count("/") + 1)
    volumes = "".join(
        f"    - {up}{source}:/models/{name}:ro\n"
        for name, source in deployment.models.items()
    )
    options = "".join(f"    - {flag}\n" for flag in flags(deployment))
    command = f"docker compose -f {shlex.quote(deployment.path)}/compose.yaml"
    return f"""\
# The server on this machine, with the models as they lie on its disk.
# {NOT_RUN}
#
#   {command} up serving
#   {command} --profile gpu up serving-gpu   # one of the two
x-serving: &serving
  image: {SERVER}
  entrypoint: [tensorflow_model_server]
  command:
{options}  ports: # this machine alone; without the address: whoever reaches it
    - "127.0.0.1:{GRPC_PORT}:{GRPC_PORT}"
    - "127.0.0.1:{REST_PORT}:{REST_PORT}"
  volumes:
    - .:/config:ro
{volumes}  restart: unless-stopped
  healthcheck: # ports open when all models are loaded; the image has no curl
    test: [CMD, bash, -c, "exec 3<>/dev/tcp/127.0.0.1/{REST_PORT}"]
    interval: 10s
    timeout: 5s
    start_period: 2m
services:
  serving:
    <<: *serving
  serving-gpu:
    <<: *serving
    image: {SERVER}-gpu
    profiles: [gpu]
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: 1
              capabilities: [gpu]
"""


def readme(deployment: Deployment) -> str:
    """Format README.md: files, command, and limits of the tests."""
    name = next(iter(deployment.models))
    batching = (
        "used: all clients must send clips of one size"
        if deployment.batching
        else "not used; `--batching` turns it on, for clients that all send "
        "clips of one size"
    )
    path, context = map(shlex.quote, (deployment.path, deployment.context))
    return f"""\
# Serving {", ".join(deployment.models)}

Made by

    {deployment.command}

which overwrites them unless one was edited. They configure TensorFlow Serving,
which listens on {GRPC_PORT} (gRPC) and {REST_PORT} (REST).

| file | what it is |
|---|---|
| `models.config` | the models' names and places |
| `batching_parameters.txt` | how requests are put together ({batching}) |
| `monitoring.config` | metrics for Prometheus: `http://HOST:{REST_PORT}{METRICS}` |
| `Dockerfile` | an image with server, models and configuration |
| `compose.yaml` | one machine, with the models from its disk; profile `gpu` |
| `kubernetes.yaml` | that image on a cluster: a Service, a Deployment, and one for GPUs with 0 replicas |

**None of it was run**: neither on `tensorflow_model_server`, whose binary is in no
package registry, nor on Docker or a cluster. Tests parse the files by the server's
message definitions, and hold ports, paths, names and flags of all of them equal. A
server in the tests reads `models.config` and answers over gRPC and REST as the
documents say; it is not TensorFlow Serving.

    docker build -f {path}/Dockerfile -t {IMAGE} {context}
    kubectl apply -f {path}/kubernetes.yaml

or `docker compose -f {path}/compose.yaml up serving`. Then

    curl http://localhost:{REST_PORT}/v1/models/{name}/metadata
    python savedmodels/clients/video_client.py VIDEO --model {name}
"""  # noqa: E501


def kubernetes(deployment: Deployment) -> str:
    """Format kubernetes.yaml: a Service, and Deployments for CPUs and GPUs."""
    return (
        _service(deployment)
        + _deployment(deployment, NAME, IMAGE, replicas=1, gpu="")
        + _deployment(
            deployment,
            f"{NAME}-gpu",
            f"{IMAGE}-gpu",
            replicas=0,
            gpu="\n              nvidia.com/gpu: 1",
        )
    )


def _service(deployment: Deployment) -> str:
    return f"""\
# Serves {", ".join(deployment.models)} from the image of the Dockerfile beside this file.
# {NOT_RUN}
#
#   kubectl apply -f {shlex.quote(deployment.path)}/kubernetes.yaml
#   kubectl scale deployment {NAME}-gpu --replicas=1   # and the other to 0
apiVersion: v1
kind: Service
metadata:
  name: {NAME}
spec:
  selector:
    app: {NAME}
  ports:
    - name: grpc
      port: {GRPC_PORT}
    - name: rest
      port: {REST_PORT}
"""  # noqa: E501


def _deployment(
    deployment: Deployment, name: str, image: str, replicas: int, gpu: str
) -> str:
    first = next(iter(deployment.models))
    return f"""\
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: {NAME}
      variant: {name}
  template:
    metadata:
      labels:
        app: {NAME}
        variant: {name}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "{REST_PORT}"
        prometheus.io/path: {METRICS}
    spec:
      containers:
        - name: serving
          image: {image} # yours
          ports:
            - name: grpc
              containerPort: {GRPC_PORT}
            - name: rest
              containerPort: {REST_PORT}
          resources:
            requests:
              cpu: "2"
              memory: 2Gi
            limits:
              memory: 4Gi{gpu}
          # Ports open when all models are loaded and warm: any of them will do.
          startupProbe:
            httpGet:
              path: /v1/models/{first}
              port: rest
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            grpc:
              port: {GRPC_PORT}
              service: PredictionService # the name that the server gives it
            periodSeconds: 10
          livenessProbe: # a long request must not look like death
            tcpSocket:
              port: grpc
            periodSeconds: 20
            failureThreshold: 6
          securityContext:
            allowPrivilegeEscalation: false
"""


FILES: dict[str, Callable[[Deployment], str]] = {
    "README.md": readme,
    "models.config": models_config,
    "batching_parameters.txt": batching_parameters,
    "monitoring.config": monitoring_config,
    "Dockerfile": dockerfile,
    "compose.yaml": compose,
    "kubernetes.yaml": kubernetes,
}
