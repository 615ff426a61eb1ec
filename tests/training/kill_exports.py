"""Kill exports repeatedly; complete versions must stay loadable.

    python -m tests.training.kill_exports RUN --kills 20

exports a run repeatedly into one directory and kills the process with SIGKILL
at random moments: while it computes, writes, renames. After each kill, every
numbered version must load and give the outputs of the first one. Some exports
run with a simulated full disk.
"""

import argparse
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from training.exporting.saved_model import SavedModel, versions

ROOT = pathlib.Path(__file__).parent.parent.parent
# Alternate dtypes, since the same weights and dtype are exported only once.
EXPORTER = """
import itertools, sys
from training import export
from training.runs.run_folder import RunFolder
from training.tasks import video_export
run, out = sys.argv[1:]
for dtype in itertools.cycle(("bfloat16", "float32")):
    print("exporting", flush=True)
    print(video_export.export_run(RunFolder(run), out, dtype), flush=True)
"""
LONGEST_S = 5.0
DISK_FULL = 200_000  # limit of a file's bytes, smaller than the weights
NEAR = 0.02  # tolerance of probabilities with bfloat16 weights


def kill_often(run, out, kills, seed=0):
    """Export, kill and check.

    Args:
        run: folder of a trained run.
        out: directory of versions, empty.
        kills: number of kills.
        seed: of the random moments.

    Returns:
        The finished versions.

    Raises:
        SystemExit: a version is damaged.
    """
    draw = random.Random(seed)
    out = pathlib.Path(out)
    answered = None
    for kill in range(1, kills + 1):
        with start(run, out) as exporter:
            exporter.stdout.readline()  # TensorFlow is loaded
            if kill == 1:
                exporter.stdout.readline()  # the first version is finished
            time.sleep(draw.random() * LONGEST_S)
            exporter.kill()
        answered = check(out, answered)
        numbers = [version.name for version in versions(out)]
        print(f"kill {kill}: whole versions {numbers}", flush=True)
        if kill % 5 == 2:
            with start(run, out, DISK_FULL) as exporter:
                _, output = exporter.communicate(timeout=600)
            expect(
                exporter.returncode != 0, "The export succeeded on a full disk."
            )
            expect("large" in output or "space" in output, output)
            check(out, answered)
            expect(
                numbers == [v.name for v in versions(out)],
                "The refused version is listed.",
            )
            print("refused a full disk")
    return versions(out)


def start(run, out, file_limit=None):
    def limit():
        if file_limit is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))

    return subprocess.Popen(
        [sys.executable, "-c", EXPORTER, str(run), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if file_limit else subprocess.DEVNULL,
        text=True,
        preexec_fn=limit,
    )


def check(out, answered):
    """Load every numbered directory, as a server would."""
    numbered = [path for path in out.iterdir() if path.name.isdecimal()]
    expect(sorted(numbered) == sorted(versions(out)), f"incomplete: {numbered}")
    expect(len(numbered) > 0, "no version was exported")
    for version in versions(out)[-2:]:
        model = SavedModel(version)
        clips = np.full((1, 8, 32, 32, 3), 99, "uint8")
        got = model.probabilities(clips)
        expect(
            answered is None or np.abs(got - answered).max() < NEAR,
            f"{version} has other outputs",
        )
        answered = got if answered is None else answered
        card = (version / "README.md").read_text("utf-8")
        expect(card.endswith("\n"), f"{version} has an incomplete model card")
    return answered


def expect(holds, message):
    if not holds:
        raise SystemExit(message)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        finished = kill_often(
            options.run, f"{folder}/models", options.kills, options.seed
        )
        print(f"{len(finished)} whole versions after {options.kills} kills")


if __name__ == "__main__":
    main()
