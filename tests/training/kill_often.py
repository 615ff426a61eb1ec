"""Kill a run repeatedly; it must end equal to an uninterrupted one.

    python -m tests.training.kill_often FOLDER --kills 20 --devices 2

trains once uninterrupted and once killed with SIGKILL at random moments: while
it starts, trains, saves, validates. In between, its newest checkpoint is
truncated, and it is started with a simulated full disk. Weights, their EMA, the
states of the optimizer and of the random generators must be bit-identical.
`--case "one label"` does so with all settings of fine-tuning.
"""

import argparse
import pathlib
import random
import resource
import subprocess
import sys
import time

import numpy as np

from tests.training import fine_tuning_runs
from training.loop import checkpointing
from training.runs.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parent.parent.parent
DIGITS = (
    "--recipe=digits_nl",
    "--set=image_stage=None",
    "--set=batch=8",
    "--set=model.dropout=0.5",
    "--set=optimizer.name=sgd",
    "--set=optimizer.base_lr=0.02",
    "--set=optimizer.warmup_steps=7",
    "--set=optimizer.weight_decay=1e-4",
    "--set=training.ema_decay=0.9",
    "--set=training.precise_bn_batches=2",
    "--set=training.label_smoothing=0.1",
)
CASES = "digits", *fine_tuning_runs.SETTINGS
EPOCH_STEPS = 16  # short, so that kills hit the ends of epochs too
SOON_S = 4.0
PATIENCE_S = 600
DISK_FULL = 100_000  # limit of a file's bytes, smaller than a checkpoint


class Run:
    """A run of the train command that can be killed.

    Args:
        workdir: run folder.
        options: of the command.
    """

    def __init__(self, workdir, options):
        self.workdir = pathlib.Path(workdir)
        self._command = [sys.executable, "-m", "training.train", *options]
        self._command += ["--checkpoint-minutes=0.01", "--verbose=0"]
        self._command += [f"--workdir={workdir}"]

    def start(self, file_limit=None):
        def limit():
            if file_limit is not None:
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))

        return subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=limit,
        )

    def finish(self, **options):
        """Run to the end; return the exit code and the output."""
        process = self.start(**options)
        output, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    def kill(self, draw):
        """Start and kill the run: at once, or soon after a checkpoint.

        Returns:
            True if it was killed before it ended.
        """
        before = self.saved()
        process = self.start()
        waits_for_progress = draw.random() < 0.7
        deadline = time.monotonic() + PATIENCE_S
        while waits_for_progress and self.saved() == before:
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.01)
        time.sleep(draw.random() * (SOON_S if waits_for_progress else 12.0))
        ended = process.poll() is not None
        process.kill()
        output, _ = process.communicate()
        if ended and process.returncode:
            raise SystemExit(f"It ended with {process.returncode}:\n{output}")
        return not ended

    def saved(self):
        return sorted(p.name for p in self.workdir.glob("checkpoints/epoch*"))

    def cut_newest(self):
        """Truncate the newest complete checkpoint, if there is one."""
        checkpoint = checkpointing.latest(RunFolder(self.workdir).checkpoints)
        if checkpoint is not None:
            path = checkpoint.path / checkpointing.VARIABLES
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            print(f"cut off {checkpoint.path.name}")

    def state(self):
        checkpoint = checkpointing.latest(RunFolder(self.workdir).checkpoints)
        kinds = ("variable", "average")
        return [checkpointing.read_arrays(checkpoint, kind) for kind in kinds]

    def tested(self):
        """Return the epoch that was tested, and its accuracy."""
        result = RunFolder(self.workdir).read_result()
        return result["epoch"], result["accuracy"]


def options_of(case, folder):
    """Return the options of the command for a case; write its videos."""
    if case == "digits":
        return list(DIGITS)
    settings = fine_tuning_runs.settings(case, folder)
    # It counts epochs without a better one, but ends after all steps.
    settings.append("training.patience=1000")
    return ["--recipe=finetune", *(f"--set={s}" for s in settings)]


def compare(folder, kills, devices, steps=384, seed=0, case="digits"):
    """Train twice, once with kills, and compare.

    Args:
        folder: an empty directory.
        kills: number of kills of the second run.
        devices: number of devices.
        steps: of the run; enough that it does not end before the last kill.
        seed: of the random moments.
        case: one of `CASES`.

    Returns:
        The number of kills.

    Raises:
        SystemExit: the two runs differ.
    """
    folder = pathlib.Path(folder)
    options = options_of(case, folder / "videos")
    options += [f"--set=steps={steps}", f"--set=epoch_steps={EPOCH_STEPS}"]
    options += [f"--devices={devices}"] if devices > 1 else []
    straight = Run(folder / "straight", options)
    code, output = straight.finish()
    _expect(code == 0, output)
    draw = random.Random(seed)
    killed = Run(folder / "killed", options)
    count = 0
    while count < kills:
        _expect(killed.kill(draw), f"It ended before kill {count + 1}.")
        count += 1
        print(f"kill {count}: {killed.saved()}", flush=True)
        if count % 7 == 3:
            killed.cut_newest()
        if count == 10:  # no checkpoint remains to resume from
            killed.cut_newest()
            killed.cut_newest()
        if count % 7 == 5:
            code, output = killed.finish(file_limit=DISK_FULL)
            _expect(code == 2 and "No space left" in output, output)
            print("refused a full disk")
    code, output = killed.finish()
    _expect(code == 0, output)
    states = straight.state(), killed.state()
    _expect(bool(states[0][0]), "nothing was saved")  # an average, if any
    for expected, arrays in zip(*states, strict=True):
        for a, b in zip(expected, arrays, strict=True):
            _expect(np.array_equal(a, b), "the weights differ")
    _expect(straight.tested() == killed.tested(), "the tests differ")
    return count


def _expect(holds, message):
    if not holds:
        raise SystemExit(message)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--steps", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", choices=CASES, default="digits")
    options = parser.parse_args()
    count = compare(**vars(options))
    print(f"equal to the bit after {count} kills, {options.devices} devices")


if __name__ == "__main__":
    main()
