"""Files of training.serve_config, parsed with their definitions."""

import json
import pathlib
import re
import subprocess

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from training import serve_config
from training.exporting import server_configs
from training.io import cli, outputs

yaml = pytest.importorskip("yaml")

DEFAULT = pathlib.Path("savedmodels", "serving")
FIELD = descriptor_pb2.FieldDescriptorProto
INT64_VALUE = ".google.protobuf.Int64Value"
# Number and type of each field, as tensorflow/serving defines them in
# servables/tensorflow/session_bundle_config.proto, config/monitoring_config
# .proto: the API's package has neither.
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, INT64_VALUE),
        "batch_timeout_micros": (2, INT64_VALUE),
        "max_enqueued_batches": (3, INT64_VALUE),
        "num_batch_threads": (4, INT64_VALUE),
        "thread_pool_name": (5, ".google.protobuf.StringValue"),
        "allowed_batch_sizes": (6, "repeated"),
        "pad_variable_length_inputs": (7, FIELD.TYPE_BOOL),
    },
    "PrometheusConfig": {
        "enable": (1, FIELD.TYPE_BOOL),
        "path": (2, FIELD.TYPE_STRING),
    },
    "MonitoringConfig": {
        "prometheus_config": (1, ".tensorflow.serving.PrometheusConfig")
    },
}


@pytest.fixture(scope="module")
def definitions():
    """Message types of the server that are in no package, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            message_field = message.field.add(
                name=field, number=number, label=1
            )
            if kind == "repeated":
                message_field.label, message_field.type = (
                    FIELD.LABEL_REPEATED,
                    FIELD.TYPE_INT64,
                )
            elif isinstance(kind, str):
                message_field.type, message_field.type_name = (
                    FIELD.TYPE_MESSAGE,
                    kind,
                )
            else:
                message_field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"tensorflow.serving.{name}")
    )()


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Create directories of versions below an empty current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*paths):
        for path in paths:
            version = tmp_path / path / "3"
            version.mkdir(parents=True)
            (version / "saved_model.pb").touch()
        return [f"--model={path}" for path in paths]

    return make


def write(models, *options, names=("savedmodels/digits_nl",)):
    """Run the command; return its files by name."""
    serve_config.main([*models(*names), *options])
    folder = DEFAULT
    for option in options:
        if option.startswith("--out="):
            folder = pathlib.Path(option[len("--out=") :])
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def dockerfile_flags(text):
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])", text, re.M | re.S)
    return json.loads(entry.replace("\\\n", ""))


def test_the_default_folder_is_not_in_git():
    root = pathlib.Path(serve_config.__file__).parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a clone")
    git = ["git", "-C", str(root)]
    folder = serve_config.OUT
    tracked = subprocess.run(
        [*git, "ls-files", folder], check=True, capture_output=True
    )
    assert tracked.stdout == b""
    for name in (*server_configs.FILES, outputs.LIST):
        subprocess.run(
            [*git, "check-ignore", "--quiet", f"{folder}/{name}"], check=True
        )


def test_its_own_files_are_replaced(models, capsys):
    before = write(models)
    after = write(lambda *names: [f"--model={n}" for n in names], "--batching")
    assert after["Dockerfile"] != before["Dockerfile"]
    assert set(after) == {*server_configs.FILES, outputs.LIST}
    printed = capsys.readouterr().out
    for name in server_configs.FILES:
        assert printed.count(f"Written: {DEFAULT / name}\n") == 2


@pytest.mark.parametrize("name", server_configs.FILES)
def test_a_file_of_the_user_is_kept(models, capsys, name):
    arguments = models("savedmodels/digits_nl")
    DEFAULT.mkdir()
    (DEFAULT / name).write_text("mine")
    assert cli.run(serve_config.main, arguments) == 2
    error = capsys.readouterr().err
    assert str(DEFAULT / name) in error and "--out DIR" in error
    assert [path.name for path in DEFAULT.iterdir()] == [name]
    assert (DEFAULT / name).read_text() == "mine"


@pytest.mark.parametrize("name", server_configs.FILES)
def test_a_file_that_the_user_changed_is_kept(models, capsys, name):
    files = write(models)
    changed = files[name] + "# mine\n"
    (DEFAULT / name).write_text(changed)
    arguments = ["--model=savedmodels/digits_nl", "--batching"]
    assert cli.run(serve_config.main, arguments) == 2
    assert str(DEFAULT / name) in capsys.readouterr().err
    kept = {path.name: path.read_text() for path in DEFAULT.iterdir()}
    assert kept == {**files, name: changed}


def test_the_card_of_a_model_is_kept(models, capsys):
    arguments = models("sm/digits_nl")
    card = pathlib.Path("sm/digits_nl/README.md")
    card.write_text("card")
    arguments.append("--out=sm/digits_nl")
    assert cli.run(serve_config.main, arguments) == 2
    assert card.read_text() == "card"


def test_models_config_is_the_servers_message(models):
    names = ("savedmodels/a.b-1", "savedmodels/deep/c_2")
    text = write(models, names=names)["models.config"]
    parsed = text_format.Parse(
        text, model_server_config_pb2.ModelServerConfig()
    )
    listed = parsed.model_config_list.config
    assert [(c.name, c.base_path, c.model_platform) for c in listed] == [
        ("a.b-1", "/models/a.b-1", "tensorflow"),
        ("c_2", "/models/c_2", "tensorflow"),
    ]
    assert listed[1].model_version_policy.latest.num_versions == 1


def test_batching_and_monitoring_are_the_servers_messages(models, definitions):
    files = write(models)
    batching = text_format.Parse(
        files["batching_parameters.txt"], definitions("BatchingParameters")
    )
    assert batching.allowed_batch_sizes == sorted(batching.allowed_batch_sizes)
    assert batching.allowed_batch_sizes[-1] == batching.max_batch_size.value
    assert not batching.pad_variable_length_inputs
    monitoring = text_format.Parse(
        files["monitoring.config"], definitions("MonitoringConfig")
    )
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == server_configs.METRICS


def test_a_bare_number_is_no_wrapper(definitions):
    with pytest.raises(text_format.ParseError):
        text_format.Parse(
            "max_batch_size: 8", definitions("BatchingParameters")
        )


@pytest.mark.parametrize("options", [(), ("--batching",)])
def test_image_and_compose_start_the_server_with_the_same_flags(
    models, options
):
    files = write(models, *options)
    compose = yaml.safe_load(files["compose.yaml"])["services"]
    command, *flags = dockerfile_flags(files["Dockerfile"])
    for service in compose.values():
        assert service["entrypoint"] == [command]
        assert service["command"] == flags
    options_set = dict(flag.split("=") for flag in flags)
    batched = options_set.get("--enable_batching") == "true"
    assert (
        batched
        == ("--batching_parameters_file" in options_set)
        == bool(options)
    )
    read = [
        value for value in options_set.values() if value.startswith("/config/")
    ]
    copied = files["Dockerfile"].replace("\\\n", "").split("COPY serving/")[1]
    for path in read:
        assert path.removeprefix("/config/") in files
        assert path.removeprefix("/config/") in copied


def test_ports_agree_in_all_files(models):
    files = write(models)
    flags = dict(
        f.split("=") for f in dockerfile_flags(files["Dockerfile"])[1:]
    )
    grpc, rest = int(flags["--port"]), int(flags["--rest_api_port"])
    assert f"EXPOSE {grpc} {rest}\n" in files["Dockerfile"]
    for service in yaml.safe_load(files["compose.yaml"])["services"].values():
        expected = [f"127.0.0.1:{port}:{port}" for port in (grpc, rest)]
        assert service["ports"] == expected
        assert f"/127.0.0.1/{rest}" in service["healthcheck"]["test"][-1]
    service, *deployments = yaml.safe_load_all(files["kubernetes.yaml"])
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert ports == {"grpc": grpc, "rest": rest}
    for deployment in deployments:
        pod = deployment["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        listed = {p["name"]: p["containerPort"] for p in container["ports"]}
        assert listed == ports
        assert container["readinessProbe"]["grpc"]["port"] == grpc
        scraped = pod["metadata"]["annotations"]["prometheus.io/port"]
        assert scraped == str(rest)


def test_model_paths_agree_in_all_files(models):
    names = ("savedmodels/a", "savedmodels/deep/b")
    files = write(models, names=names)
    for name, source in {"a": "a", "b": "deep/b"}.items():
        assert f'base_path: "/models/{name}"' in files["models.config"]
        assert f"COPY {source}/ /models/{name}/\n" in files["Dockerfile"]
        compose = yaml.safe_load(files["compose.yaml"])["services"]["serving"]
        volume = f"../{source}:/models/{name}:ro"
        assert volume in compose["volumes"]
        assert (DEFAULT / f"../{source}").is_dir()


def test_the_service_selects_both_deployments_with_distinct_labels(models):
    service, *deployments = yaml.safe_load_all(write(models)["kubernetes.yaml"])
    assert [d["kind"] for d in deployments] == ["Deployment"] * 2
    variants = []
    for deployment in deployments:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        variants.append(labels["variant"])
    assert len(set(variants)) == 2
    assert [d["spec"]["replicas"] for d in deployments] == [1, 0]


def test_pods_have_probes_and_resources_and_one_variant_a_gpu(models):
    documents = yaml.safe_load_all(write(models)["kubernetes.yaml"])
    pods = [
        d["spec"]["template"]["spec"]["containers"][0]
        for d in documents
        if d["kind"] == "Deployment"
    ]
    for pod in pods:
        startup = pod["startupProbe"]["httpGet"]
        assert startup == {"path": "/v1/models/digits_nl", "port": "rest"}
        service = pod["readinessProbe"]["grpc"]["service"]
        assert service == "PredictionService"
        assert pod["livenessProbe"]["tcpSocket"] == {"port": "grpc"}
        assert pod["resources"]["requests"] == {"cpu": "2", "memory": "2Gi"}
    plain, gpu = (pod["resources"]["limits"] for pod in pods)
    assert gpu == {**plain, "nvidia.com/gpu": 1}
    assert pods[1]["image"] == f"{pods[0]['image']}-gpu"


def test_metrics_paths_agree(models):
    files = write(models)
    for document in list(yaml.safe_load_all(files["kubernetes.yaml"]))[1:]:
        notes = document["spec"]["template"]["metadata"]["annotations"]
        assert f'"{notes["prometheus.io/path"]}"' in files["monitoring.config"]


def test_other_folders_than_the_default(models):
    files = write(models, "--out=my out/x/serving", names=("my out/m/a",))
    assert "COPY m/a/ /models/a/\n" in files["Dockerfile"]
    assert "../../m/a:/models/a:ro" in files["compose.yaml"]
    assert "-f 'my out/x/serving'/Dockerfile" in files["Dockerfile"]
    assert "--model 'my out/m/a' --out 'my out/x/serving'" in files["README.md"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["sm/x y"], "Received: 'x y'; rename the directory"),
        (["sm/a:b"], "Received: 'a:b'; rename the directory"),
        (["sm/über"], "Received: 'über'; rename the directory"),
        (["sm/.x"], "Received: '.x'; rename the directory"),
        (["sm/a", "sm/more/a"], "Two models are called 'a'"),
        (["sm/b", "sm/odd $x/c"], "Received: 'odd $x/c' below"),
    ],
)
def test_invalid_model_names_are_rejected(models, capsys, names, message):
    arguments = [*models(*names), "--out=sm/serving"]
    assert cli.run(serve_config.main, arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not pathlib.Path("sm/serving").exists()


def test_invalid_model_directories_are_rejected(models, capsys, tmp_path):
    models("sm/a")
    (tmp_path / "sm" / "empty" / "1").mkdir(parents=True)
    for path, message in {
        "sm/empty": "sm/empty has no versions",
        "sm/nowhere": "sm/nowhere has no versions",
        "sm/a/3": "is one version. The server takes the directory",
    }.items():
        assert cli.run(serve_config.main, [f"--model={path}"]) == 2
        assert message in capsys.readouterr().err


def test_without_arguments_it_lists_the_models(models, capsys):
    models("savedmodels/a")
    serve_config.main([])
    printed = capsys.readouterr().out
    assert "savedmodels/a" in printed and serve_config.EXAMPLE in printed


BREAKS = ("a\nRUN touch x", "a\rb", "a\x85b", "a\u2028b", "a\x1b[2Jb")


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.parametrize("option", ["--out", "--model"])
def test_a_line_break_in_a_folder_name_is_rejected(
    models, capsys, name, option
):
    (model,) = models(f"{name}/digits_nl")
    arguments = [model, f"--out={name}/serving"]
    if option == "--model":
        arguments[1] = "--out=serving"
    assert cli.run(serve_config.main, arguments) == 2
    error = capsys.readouterr().err
    assert "line breaks and control characters" in error
    assert "rename" in error
    assert not list(pathlib.Path.cwd().rglob("Dockerfile"))


def test_a_folder_name_with_a_leading_dash_is_no_option(models):
    models("-v/digits_nl")
    serve_config.main(["--model=-v/digits_nl", "--out=-v/serving"])
    text = pathlib.Path("-v/serving/Dockerfile").read_text()
    assert "docker build -f ./-v/serving/Dockerfile" in text
    assert "COPY digits_nl/" in text


def test_a_name_that_docker_parses_as_a_flag_is_rejected(models, capsys):
    arguments = [*models("--link/digits_nl"), "--out=serving"]
    assert cli.run(serve_config.main, arguments) == 2
    assert "--link" in capsys.readouterr().err
