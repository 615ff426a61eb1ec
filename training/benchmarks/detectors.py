"""Compare our Mask R-CNN with torchvision's: detection and RoIAlign.

    python -m training.benchmarks.detectors --torch-python OTHER/bin/python

`OTHER` is an environment with torch and torchvision with compiled operators.
Each process has one core. Both networks are a ResNet-50 with the same random
weights, on the same image of 512 x 320, with the same number of detections; a
detection is from pixels to boxes and pasted masks. A ratio is the median over
the rounds of (time of torchvision) / (time of ours) in the same round: above 1
ours is faster. Times are CPU times.
"""

import os
import pathlib
import sys
import tempfile

from ..io import tables
from . import command
from .turns import Worker, interleave, machine

SCRIPT = pathlib.Path(__file__).with_name("detection_worker.py")
PASSES = ("detect", "roi_align", "roi_align with gradient")
# The first is the base of the ratios, and creates the weights.
ENVIRONMENTS = ("torch", "tf")


def main() -> None:
    """Command line of `python -m training.benchmarks.detectors`."""
    parser = command.parser(__doc__)
    parser.add_argument(
        "--torch-python",
        type=os.path.expanduser,
        default=sys.executable,
    )
    parser.add_argument("--rounds", type=int, default=7)
    command.run(
        parser.parse_args(),
        lambda options: measure(options.torch_python, options.rounds),
        render,
    )


def measure(torch_python: str, rounds: int) -> dict:
    """Time the cases in interleaved processes.

    Args:
        torch_python: interpreter of the environment with torchvision.
        rounds: number of runs of each case.
    """
    pythons = {"torch": torch_python, "tf": sys.executable}
    workers = {
        name: Worker(name, 1, "cpu", pythons[name], SCRIPT)
        for name in ENVIRONMENTS
    }
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            {"env": env, "pass": task, "path": f"{folder}/detector.pth"}
            for task in PASSES
            for env in ENVIRONMENTS
        ]
        cases_run = interleave(
            workers, cases, rounds, "cpu_s", lambda c: f"{c['pass']} {c['env']}"
        )
    for worker in workers.values():
        worker.close()
    for case in cases_run:
        del case["path"]
    return {
        "machine": machine(),
        "versions": [
            *(worker.version for worker in workers.values()),
            *(case["by"] for case in cases_run if "by" in case),
        ],
        "rounds": rounds,
        "cases": cases_run,
    }


def render(result: dict) -> str:
    """Format a result as Markdown."""
    rows = [("", "torchvision, ms", "ours, ms", "x")]
    for task in PASSES:
        pair = [case for case in result["cases"] if case["pass"] == task]
        if any("error" in case for case in pair):
            continue
        theirs, ours = (f"{1e3 * min(case['seconds']):.0f}" for case in pair)
        rows.append((task, theirs, ours, f"{pair[1]['ratio']:.2f}"))
    about = "; ".join([result["machine"], *result["versions"]])
    return f"{tables.markdown(rows)}\n\n{about}. {result['rounds']} rounds."


if __name__ == "__main__":
    main()
