"""Runs that are stopped, killed or damaged, and resumed."""

import contextlib
import csv
import io
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.training import video_run
from training import train
from training.io import cli
from training.loop import checkpointing
from training.runs import run_model
from training.runs.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parent.parent.parent
SHORT = (
    "--recipe=digits_nl",
    "--set=steps=6",
    "--set=epoch_steps=2",
    "--set=batch=8",
    "--set=optimizer.warmup_steps=1",
    "--verbose=0",
)
ALONE = (*SHORT, "--set=image_stage=None")
# Does not end before it is stopped.
LONGER = (*ALONE, "--set=steps=36", "--set=epoch_steps=12")
TWO = ("--devices=2",)
STAGED = (
    *SHORT,
    "--set=image_stage.steps=4",
    "--set=image_stage.epoch_steps=2",
    "--set=image_stage.batch=8",
)


def weights(workdir):
    model, *_ = run_model.load_trained(RunFolder(workdir))
    return [
        *model.get_weights(),
        *(np.array(v) for v in model.optimizer.variables),
    ]


def start(workdir, arguments):
    command = [sys.executable, "-m", "training.train", *arguments]
    return subprocess.Popen(
        [*command, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run_to_end(workdir, arguments):
    process = start(workdir, arguments)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def wait_for(path, process, seconds=120):
    for _ in range(10 * seconds):
        if path.exists():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    raise AssertionError(f"{path} did not appear")


EPOCH = "checkpoints/epoch_0001"
STOPS = {  # for more kills see test_kills.py
    "kill in the image stage": (signal.SIGKILL, STAGED, f"image_stage/{EPOCH}"),
    "Ctrl-C": (signal.SIGINT, LONGER, EPOCH),
    "SIGTERM on two devices": (signal.SIGTERM, (*LONGER, *TWO), EPOCH),
}
EXIT_CODES = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 0}


# In CI, runs are preempted: test_exact_resume.py, tasks/test_capabilities.py.
@pytest.mark.full
@pytest.mark.parametrize(
    ("how", "arguments", "after"), STOPS.values(), ids=STOPS.keys()
)
def test_a_stopped_run_resumes_to_the_same_result(
    how, arguments, after, tmp_path
):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    # Several devices are configured in processes of their own.
    run_to_end(straight, arguments)
    with start(stopped, arguments) as process:
        wait_for(stopped / after, process)
        process.send_signal(how)
        process.communicate(timeout=60)
    assert process.returncode == EXIT_CODES[how]
    assert RunFolder(stopped).read_result() is None
    run_to_end(stopped, arguments)
    for a, b in zip(weights(straight), weights(stopped), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = [
        {row["epoch"]: float(row["loss"]) for row in csv.DictReader(lines)}
        for lines in (
            (folder / "metrics.csv").read_text().splitlines()
            for folder in (straight, stopped)
        )
    ]
    # Two devices restart from halves of their sums: rounding.
    rounding = 1e-6 if set(TWO) <= set(arguments) else 0
    assert rows[1] == pytest.approx(rows[0], rel=rounding, abs=0)


FINE_TUNED = (
    *video_run.OPTIONS,
    "--set=steps=48",
    "--set=epoch_steps=8",
    "--set=model.gradient_checkpointing=true",
    "--set=optimizer.name=adamw",
    "--set=optimizer.weight_decay=0.05",
    "--set=optimizer.layer_decay=0.75",
    "--set=sampling.balanced=true",
    "--set=training.class_weights=balanced",
    "--set=training.mixup=0.8",
    "--set=training.cutmix=1",
    "--set=training.keep=best",
    "--set=training.patience=3",
)


@pytest.mark.full
def test_a_killed_fine_tuning_equals_an_uninterrupted_one(tmp_path):
    videos = video_run.write_videos(tmp_path / "videos")
    (videos / video_run.CLASSES[0] / "clip 4 ü.mkv").unlink()
    arguments = (*FINE_TUNED, f"--set=data.root={videos}")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run_to_end(straight, arguments)
    with start(killed, arguments) as process:
        wait_for(killed / EPOCH, process)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert RunFolder(killed).read_result() is None
    run_to_end(killed, arguments)
    for a, b in zip(weights(straight), weights(killed), strict=True):
        np.testing.assert_array_equal(a, b)
    expected, result = (RunFolder(f).read_result() for f in (straight, killed))
    assert result["epoch"] == expected["epoch"]
    histories = [
        [
            {k: v for k, v in row.items() if not k.endswith("seconds")}
            for row in checkpointing.latest(RunFolder(f).checkpoints).history
        ]
        for f in (straight, killed)
    ]
    assert histories[0] == histories[1]


@pytest.mark.full
def test_the_seed_determines_the_result(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train.main([*ALONE, f"--workdir={tmp_path / name}", f"--seed={seed}"])
    a, b, c = (weights(tmp_path / name) for name in "abc")
    for first, second in zip(a, b, strict=True):
        np.testing.assert_array_equal(first, second)
    assert any((x != y).any() for x, y in zip(a, c, strict=True))


def test_a_corrupt_checkpoint_is_named_and_skipped(tiny, tmp_path, capsys):
    run = shutil.copytree(tiny[0], tmp_path / "run")
    before = weights(run)
    (run / "result.json").unlink()
    path = run / "checkpoints" / "epoch_0002" / checkpointing.VARIABLES
    path.write_bytes(path.read_bytes()[:-1])
    train.main([f"--workdir={run}", "--verbose=0"])
    printed = capsys.readouterr().out
    assert (
        "passing over" in printed and "epoch_0002, which is damaged" in printed
    )
    assert "after 2 of 4 steps" in printed
    for old, new in zip(before, weights(run), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("room", [0.0, 0.01, 0.5, 0.9999])
def test_a_full_disk_is_a_one_line_error_without_data_loss(
    tiny, room, tmp_path, capfd
):
    """Simulate a full disk with a limit on the size of files.

    `room` is the part of a checkpoint that fits.
    """
    run = RunFolder(tmp_path / "run")
    shutil.copytree(tiny[0], run.path)
    model, *_ = run_model.load_trained(run)
    last = checkpointing.latest(run.checkpoints)
    size = (last.path / checkpointing.VARIABLES).stat().st_size

    def save(arguments):
        checkpointing.save(
            model, run.checkpoints, [*last.history, last.history[-1]]
        )

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room * size), hard))
    try:
        # Captured output goes to a file, which has the limit too.
        with (
            capfd.disabled(),
            contextlib.redirect_stderr(io.StringIO()) as stderr,
        ):
            code = cli.run(save)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    assert "No space left" in stderr.getvalue()
    assert stderr.getvalue().count("\n") == 1
    assert checkpointing.latest(run.checkpoints) == last
    names = sorted(path.name for path in run.checkpoints.iterdir())
    assert names == ["epoch_0001", "epoch_0002"]


def test_the_last_row_of_metrics_survives_a_kill_before_it(tiny, tmp_path):
    run = shutil.copytree(tiny[0], tmp_path / "run")
    whole = (run / "metrics.csv").read_text()
    # As if killed between the last checkpoint and its row.
    (run / "result.json").unlink()
    (run / "metrics.csv").unlink()
    train.main([f"--workdir={run}", "--verbose=0"])
    assert (run / "metrics.csv").read_text() == whole


@pytest.mark.full
def test_a_deterministic_run_trains(tmp_path):
    """Train in a process of its own, since determinism is process-wide."""
    options = ["--recipe=digits_image", "--set=training.deterministic=True"]
    options += ["--set=steps=2", "--set=epoch_steps=2", "--verbose=0"]
    command = [sys.executable, "-m", "tests.training.quick_train", *options]
    subprocess.run(
        [*command, f"--workdir={tmp_path / 'run'}"], cwd=ROOT, check=True
    )
    assert RunFolder(tmp_path / "run").read_result() is not None
