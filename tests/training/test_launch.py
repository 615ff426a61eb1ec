"""The files in training/launch, as far as that goes without a cluster."""

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
# Stands in for nonlocal-tf: records its arguments, exits as it is told.
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
# One process after the other instead of all at once.
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
    """The template of a manifest's pods."""
    if name == JOB:
        return documents(JOB)["Job"]["spec"]["template"]["spec"]
    replicas = documents(TFJOB)["TFJob"]["spec"]["tfReplicaSpecs"]
    return replicas["Worker"]["template"]["spec"]


def script(name):
    """What is run on each machine, as bash."""
    if name == SLURM:
        return (LAUNCH / SLURM).read_text("utf-8")
    (container,) = pod(name)["containers"]
    bash, option, text = container["command"]
    assert (bash, option) == ("bash", "-c")
    return text


def stand_in(folder, programs):
    """An environment in which these programs are found first."""
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
    """The TF_CONFIG of each process that ran, as TensorFlow reads it."""
    for line in pathlib.Path(environment["NOTES"]).read_text().splitlines():
        json.loads(line)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TF_CONFIG", line)
            found = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            cluster = found.cluster_spec().as_dict()
            yield cluster, found.task_type, found.task_id


@pytest.mark.parametrize("name", [JOB, TFJOB, SLURM])
def test_the_command_is_one_that_training_takes(name):
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


def test_each_file_says_that_it_was_not_run():
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


def test_the_job_starts_all_workers_and_again_what_was_taken_back():
    spec = documents(JOB)["Job"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    rules = spec["podFailurePolicy"]["rules"]
    assert {rule["action"] for rule in rules} == {"Ignore"}
    assert rules[1]["onExitCodes"]["values"] == [75]
    # What a failure policy asks of its Job.
    assert pod(JOB)["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"


def test_the_tfjob_has_the_names_that_its_operator_looks_for():
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


def test_each_pod_of_the_job_has_its_place_in_the_cluster(tmp_path):
    job = documents(JOB)["Job"]
    (container,) = pod(JOB)["containers"]
    env = {e["name"]: e["value"] for e in container["env"]}
    workers = job["spec"]["completions"]
    assert int(env["WORKERS"]) == workers
    given = stand_in(tmp_path / "bin", {"nonlocal-tf": COMMAND})
    given |= env | {"RUN": str(tmp_path / "run"), "MAKES_RESULT": "1"}
    for index in range(workers):
        given["JOB_COMPLETION_INDEX"] = str(index)
        subprocess.run(container["command"], env=given, cwd=ROOT, check=True)
    names = [f"nonlocal-{n}.nonlocal:2222" for n in range(workers)]
    expected = [({"worker": names}, "worker", n) for n in range(workers)]
    assert list(clusters(given)) == expected


def run_slurm(tmp_path, **environment):
    programs = {"nonlocal-tf": COMMAND, "scontrol": SCONTROL, "srun": SRUN}
    given = stand_in(tmp_path / "bin", programs)
    given |= {
        "RUN": str(tmp_path / "run"),
        "SLURM_JOB_ID": "1230042",
        "SLURM_JOB_NODELIST": "made-up",
        **environment,
    }
    done = subprocess.run(["bash", LAUNCH / SLURM], env=given, check=False)
    requeued = pathlib.Path(given["NOTES"] + ".slurm")
    asked = requeued.read_text() if requeued.exists() else ""
    return given, done.returncode, asked


def test_each_process_of_slurm_has_its_place_in_the_cluster(tmp_path):
    given, code, asked = run_slurm(tmp_path, MAKES_RESULT="1")
    assert code == 0 and not asked
    names = ["alpha:20042", "beta:20042", "gamma:20042"]
    expected = [({"worker": names}, "worker", n) for n in range(3)]
    assert list(clusters(given)) == expected
    commands = pathlib.Path(given["NOTES"] + ".command").read_text()
    assert commands.count("train --recipe k400_") == 3


@pytest.mark.parametrize(
    ("code", "restarts", "again"),
    [("0", "99", True), ("1", "19", True), ("1", "20", False)],
)
def test_slurm_starts_again_what_is_not_done(tmp_path, code, restarts, again):
    _, ended, asked = run_slurm(
        tmp_path, EXIT_CODE=code, SLURM_RESTART_COUNT=restarts
    )
    assert ended == int(code)
    assert asked == ("requeue 1230042\n" if again else "")


def test_slurm_warns_the_processes_and_not_the_script_alone():
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
    given = {"PATH": os.environ["PATH"], "SEEN_AFTER_SECONDS": "1"}
    ended = subprocess.run([*command, "bash", "-c", f"exit {code}"], env=given)
    assert ended.returncode == expected


@pytest.mark.parametrize(("saved", "expected"), [(0, 75), (3, 3)])
def test_a_worker_passes_sigterm_on_and_waits(tmp_path, saved, expected):
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
    known = (ROOT / "setup.cfg").read_text("utf-8")
    for extra in extras.split(","):
        assert re.search(rf"^{extra} =$", known, re.MULTILINE), extra
