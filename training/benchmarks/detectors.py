"""Our Mask R-CNN beside torchvision's: a whole detection, and ROIAlign.

    python -m training.benchmarks.detectors --torch-python OTHER/bin/python

`OTHER` is an environment with torch and torchvision, whose compiled operators
are what is compared with. Each process has one core. Both networks are a
ResNet-50 with the same made-up weights, look at the same picture of 512 x 320
and find the same number of objects; a detection is from its pixels to boxes and
pasted masks. A ratio is the median over the rounds of (time of torchvision) /
(time of ours) in the same round: above 1 ours is faster. Times are of the
process's CPU.
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
# The first is the base of the ratios, and makes the weights.
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
    """Lets the processes take turns.

    Args:
        torch_python: of the environment with torchvision.
        rounds: how often each case runs.
    """
    pythons = {"torch": torch_python, "tf": sys.executable}
    workers = {
        name: Worker(name, 1, "cpu", pythons[name], SCRIPT)
        for name in ENVIRONMENTS
    }
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            {"env": env, "pass": of, "path": f"{folder}/detector.pth"}
            for of in PASSES
            for env in ENVIRONMENTS
        ]
        found = interleave(
            workers, cases, rounds, "cpu_s", lambda c: f"{c['pass']} {c['env']}"
        )
    for worker in workers.values():
        worker.close()
    for case in found:
        del case["path"]
    return {
        "machine": machine(),
        "versions": [
            *(worker.version for worker in workers.values()),
            *(case["by"] for case in found if "by" in case),
        ],
        "rounds": rounds,
        "cases": found,
    }


def render(result: dict) -> str:
    """The figures as a table in Markdown."""
    rows = [("", "torchvision, ms", "ours, ms", "x")]
    for of in PASSES:
        both = [case for case in result["cases"] if case["pass"] == of]
        if any("error" in case for case in both):
            continue
        theirs, ours = (f"{1e3 * min(case['seconds']):.0f}" for case in both)
        rows.append((of, theirs, ours, f"{both[1]['ratio']:.2f}"))
    about = "; ".join([result["machine"], *result["versions"]])
    return f"{tables.markdown(rows)}\n\n{about}. {result['rounds']} rounds."


if __name__ == "__main__":
    main()
