"""Kills exports again and again; what a server would load must stay whole.

    python -m tests.training.kill_exports RUN --kills 20

exports a run over and over into one directory and is killed with signal 9 at
random moments: while it computes, writes, renames. After each kill, every
version with a number must load and answer as the first did, and in between the
disk is full.
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
# Versions by turns in two dtypes: the same weights are exported once.
EXPORTER = """
import itertools, sys
from training import export
from training.run_folder import RunFolder
from training.tasks import video_export
run, out = sys.argv[1:]
for dtype in itertools.cycle(("bfloat16", "float32")):
    print("exporting", flush=True)
    print(video_export.export_run(RunFolder(run), out, dtype), flush=True)
"""
LONGEST_S = 5.0
DISK_FULL = 200_000  # bytes a file may have, less than the weights have
NEAR = 0.02  # how far probabilities of weights in bfloat16 may be off


def kill_often(run, out, kills, seed=0):
    """Exports, kills and checks; raises SystemExit if a version is not whole.

    Args:
        run: folder of a trained run.
        out: directory of versions, empty.
        kills: how often.
        seed: of the moments.

    Returns:
        The versions that were finished.
    """
    draw = random.Random(seed)
    out = pathlib.Path(out)
    answered = None
    for kill in range(1, kills + 1):
        with start(run, out) as exporter:
            exporter.stdout.readline()  # it has loaded TensorFlow
            if kill == 1:
                exporter.stdout.readline()  # the first version is there
            time.sleep(draw.random() * LONGEST_S)
            exporter.kill()
        answered = check(out, answered)
        numbers = [version.name for version in versions(out)]
        print(f"kill {kill}: whole versions {numbers}", flush=True)
        if kill % 5 == 2:
            with start(run, out, DISK_FULL) as exporter:
                _, said = exporter.communicate(timeout=600)
            expect(exporter.returncode != 0, "It took a full disk.")
            expect("large" in said or "space" in said, said)
            check(out, answered)
            expect(numbers == [v.name for v in versions(out)], "It is there.")
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
    """Loads every directory with a number, as a server would."""
    numbered = [path for path in out.iterdir() if path.name.isdecimal()]
    expect(sorted(numbered) == sorted(versions(out)), f"half of {numbered}")
    expect(len(numbered) > 0, "nothing is there")
    for version in versions(out)[-2:]:
        model = SavedModel(version)
        clips = np.full((1, 8, 32, 32, 3), 99, "uint8")
        got = model.probabilities(clips)
        expect(
            answered is None or np.abs(got - answered).max() < NEAR,
            f"{version} answers otherwise",
        )
        answered = got if answered is None else answered
        card = (version / "README.md").read_text("utf-8")
        expect(card.endswith("\n"), f"{version} has half a card")
    return answered


def expect(holds, said):
    if not holds:
        raise SystemExit(said)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = kill_often(
            options.run, f"{folder}/models", options.kills, options.seed
        )
        print(f"{len(made)} whole versions after {options.kills} kills")


if __name__ == "__main__":
    main()
