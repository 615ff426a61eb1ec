"""The files in training/launch, tested without a cluster."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import tensorflow as tf

from training import train
from training.recipes import get_recipe, overrides

yaml = pytest.importorskip("yaml")

LAUNCH = pathlib.Path(train.__file__).parent / "launch"
ROOT = LAUNCH.parent.parent
JOB, TFJOB, SLURM = "kubernetes-job.yaml", "kubeflow-tfjob.yaml", "slurm.sh"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
RUN = "/shared/runs/k400_i3d_nl5_r50_32x2"
# Fake of nonlocal-tf that records its arguments and exits as configured.
COMMAND = """#!/bin/bash
echo "$TF_CONFIG" >> "$NOTES"
echo "$*" >> "$NOTES.command"
[ -n "${MAKES_RESULT:-}" ] && mkdir -p "$RUN" && touch "$RUN/result.json"
exit "${EXIT_CODE:-0}"
"""
SCONTROL = """#!/bin/bash
[ "$1" = show ] && printf 'alpha\\nbeta\\ngamma\\n'
[ "$1" = requeue ] && echo "requeue $2" >> "$NOTES.slurm"
exit 0
"""
# Fake of srun: processes run one after the other.
SRUN = """#!/bin/bash
worst=0
while [[ "$1" == --* ]]; do shift; done
for number in 0 1 2; do
  SLURM_NODEID=$number "$@"
  code=$?
  [ "$code" -gt "$worst" ] && worst=$code
done
exit "$worst"
"""


def documents(name):
    text = (LAUNCH / name).read_text("utf-8")
    return {d["kind"]: d for d in yaml.safe_load_all(text)}


def pod(name):
    """Return the pod template of a manifest."""
    if name == JOB:
        return documents(JOB)["Job"]["spec"]["template"]["spec"]
    replicas = documents(TFJOB)["TFJob"]["spec"]["tfReplicaSpecs"]
    return replicas["Worker"]["template"]["spec"]


def script(name):
    """Return the bash script that each machine runs."""
    if name == SLURM:
        return (LAUNCH / SLURM).read_text("utf-8")
    (container,) = pod(name)["containers"]
    bash, option, text = container["command"]
    assert (bash, option) == ("bash", "-c")
    return text


def stand_in(folder, programs):
    """Write fake programs; return an environment that prefers them."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "NOTES": str(folder / "notes"),
        "SEEN_AFTER_SECONDS": "1",
    }


def clusters(environment):
    """Yield TF_CONFIG of each process, parsed by TensorFlow."""
    for line in pathlib.Path(environment["NOTES"]).read_text().splitlines():
        json.loads(line)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TF_CONFIG", line)
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            cluster = resolver.cluster_spec().as_dict()
            yield cluster, resolver.task_type, resolver.task_id


@pytest.mark.parametrize("name", [JOB, TFJOB, SLURM])
def test_the_train_command_is_valid(name):
    text = script(name).replace("\\\n", " ").replace("$RUN", RUN)
    (command,) = re.findall(r"nonlocal-tf train (.*)", text)
    words = shlex.split(command.removesuffix(" &"))
    options = train.parser().parse_args(words)
    assert options.workdir == RUN and options.recipe in RUN
    changed = overrides.override(get_recipe(options.recipe), options.set)
    assert changed.data.root == "/shared/kinetics400"
    assert changed.model.weights


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(path):
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", path], check=True)


def test_each_file_notes_that_it_is_untested_on_a_cluster():
    for path in LAUNCH.iterdir():
        if path.name == "README.md":
            continue
        text = " ".join(path.read_text("utf-8").replace("#", "").split())
        assert re.search(r"[Cc]hecked for syntax.*not (run|built)", text), path


def test_the_service_names_the_pods_of_the_job():
    service, job = documents(JOB)["Service"], documents(JOB)["Job"]
    assert (service["apiVersion"], job["apiVersion"]) == ("v1", "batch/v1")
    name = job["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert pod(JOB)["subdomain"] == service["metadata"]["name"]
    ports = [
        port["containerPort"] for port in pod(JOB)["containers"][0]["ports"]
    ]
    assert ports == [port["port"] for port in service["spec"]["ports"]]


def test_the_job_starts_all_workers_and_restarts_preempted_ones():
    spec = documents(JOB)["Job"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    rules = spec["podFailurePolicy"]["rules"]
    assert {rule["action"] for rule in rules} == {"Ignore"}
    assert rules[1]["onExitCodes"]["values"] == [75]
    # Required by a pod failure policy.
    assert pod(JOB)["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"


def test_the_tfjob_has_the_names_that_its_operator_expects():
    job = documents(TFJOB)["TFJob"]
    assert job["apiVersion"] == "kubeflow.org/v1"
    workers = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert workers["replicas"] > 1 and workers["restartPolicy"] == "OnFailure"
    (container,) = pod(TFJOB)["containers"]
    assert container["name"] == "tensorflow"
    assert [port["name"] for port in container["ports"]] == ["tfjob-port"]


@pytest.mark.parametrize("name", [JOB, TFJOB])
def test_pods_share_a_volume_with_the_run(name):
    (container,) = pod(name)["containers"]
    env = {e["name"]: e["value"] for e in container["env"]}
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert env["RUN"].startswith("/shared/")
    assert "persistentVolumeClaim" in volumes[mounts["/shared"]]
    assert pod(name)["terminationGracePeriodSeconds"] >= 60


def test_each_pod_of_the_job_has_its_task_index(tmp_path):
    job = documents(JOB)["Job"]
    (container,) = pod(JOB)["containers"]
    env = {e["name"]: e["value"] for e in container["env"]}
    workers = job["spec"]["completions"]
    assert int(env["WORKERS"]) == workers
    environment = stand_in(tmp_path / "bin", {"nonlocal-tf": COMMAND})
    environment |= env | {"RUN": str(tmp_path / "run"), "MAKES_RESULT": "1"}
    for index in range(workers):
        environment["JOB_COMPLETION_INDEX"] = str(index)
        subprocess.run(
            container["command"], env=environment, cwd=ROOT, check=True
        )
    names = [f"nonlocal-{n}.nonlocal:2222" for n in range(workers)]
    expected = [({"worker": names}, "worker", n) for n in range(workers)]
    assert list(clusters(environment)) == expected


def run_slurm(tmp_path, **environment):
    programs = {"nonlocal-tf": COMMAND, "scontrol": SCONTROL, "srun": SRUN}
    variables = stand_in(tmp_path / "bin", programs)
    variables |= {
        "RUN": str(tmp_path / "run"),
        "SLURM_JOB_ID": "1230042",
        "SLURM_JOB_NODELIST": "made-up",
        **environment,
    }
    process = subprocess.run(
        ["bash", LAUNCH / SLURM], env=variables, check=False
    )
    requeued = pathlib.Path(variables["NOTES"] + ".slurm")
    requests = requeued.read_text() if requeued.exists() else ""
    return variables, process.returncode, requests


def test_each_process_of_slurm_has_its_task_index(tmp_path):
    environment, code, requests = run_slurm(tmp_path, MAKES_RESULT="1")
    assert code == 0 and not requests
    names = ["alpha:20042", "beta:20042", "gamma:20042"]
    expected = [({"worker": names}, "worker", n) for n in range(3)]
    assert list(clusters(environment)) == expected
    commands = pathlib.Path(environment["NOTES"] + ".command").read_text()
    assert commands.count("train --recipe k400_") == 3


@pytest.mark.parametrize(
    ("code", "restarts", "again"),
    [("0", "99", True), ("1", "19", True), ("1", "20", False)],
)
def test_slurm_requeues_unfinished_runs(tmp_path, code, restarts, again):
    _, ended, requests = run_slurm(
        tmp_path, EXIT_CODE=code, SLURM_RESTART_COUNT=restarts
    )
    assert ended == int(code)
    assert requests == ("requeue 1230042\n" if again else "")


def test_slurm_signals_the_processes_not_only_the_script():
    lines = re.findall(r"#SBATCH --signal=(.*)", script(SLURM))
    assert len(lines) == 1 and re.fullmatch(r"TERM@\d+", lines[0])


@pytest.mark.parametrize(
    ("code", "result", "expected"),
    [(0, True, 0), (0, False, 75), (1, True, 1), (2, False, 2)],
)
def test_a_worker_succeeds_when_the_run_is_done(
    tmp_path, code, result, expected
):
    if result:
        (tmp_path / "result.json").touch()
    command = ["bash", LAUNCH / "worker.sh", tmp_path]
    environment = {"PATH": os.environ["PATH"], "SEEN_AFTER_SECONDS": "1"}
    ended = subprocess.run(
        [*command, "bash", "-c", f"exit {code}"], env=environment
    )
    assert ended.returncode == expected


@pytest.mark.parametrize(("saved", "expected"), [(0, 75), (3, 3)])
def test_a_worker_forwards_sigterm_and_waits(tmp_path, saved, expected):
    stopping = (
        f"trap 'sleep 0.3; touch {tmp_path}/saved; exit {saved}' TERM; "
        f"touch {tmp_path}/ready; while :; do sleep 0.05; done"
    )
    process = subprocess.Popen(
        ["bash", LAUNCH / "worker.sh", tmp_path, "bash", "-c", stopping],
        env={"PATH": os.environ["PATH"], "SEEN_AFTER_SECONDS": "1"},
    )
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)  # to the shell alone
    assert process.wait(timeout=30) == expected
    assert (tmp_path / "saved").exists()


def test_the_image_has_what_the_commands_need():
    text = (LAUNCH / "Dockerfile").read_text("utf-8")
    for sources in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    (extras,) = re.findall(r"'\.\[(.*)\]'", text)
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    for extra in extras.split(","):
        assert re.search(rf"^{extra} =$", setup, re.MULTILINE), extra
