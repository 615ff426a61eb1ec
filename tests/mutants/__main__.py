"""Put one fault after the other into a copy of the code and run its tests.

    python -m tests.mutants           # all of tests/mutants/faults.toml
    python -m tests.mutants o1 t11    # some, by their ids
    python -m tests.mutants --jobs 2  # two at a time

Exits with 1 if tests see fewer than 95 % of the faults, or fail without one.
"""

import argparse
import collections
import concurrent.futures
import pathlib
import queue
import subprocess
import sys
import tempfile
import time

from tests.mutants import faults
from tests.mutants.faults import Fault

ROOT = pathlib.Path(__file__).parent.parent.parent
LEAST_SHARE = 0.95
# A test that hangs has seen the fault.
TIMEOUT_S = 900
CAUGHT, MISSED, ERROR = "caught", "missed", "error"
# pytest's exit status where tests ran and some failed.
TESTS_FAILED = 1


def main() -> int:
    """Command line of `python -m tests.mutants`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    options = parser.parse_args()
    chosen = [
        f for f in faults.read() if f.id in options.ids or not options.ids
    ]
    unknown = set(options.ids) - {fault.id for fault in chosen}
    if unknown:
        parser.error(f"no faults of these ids: {', '.join(sorted(unknown))}")
    outcomes = _try_all(chosen, options.jobs)
    return _summary(chosen, outcomes)


def _try_all(chosen: list[Fault], jobs: int) -> dict[str, str]:
    """Return the outcome of each fault by its id; print each when known."""
    with tempfile.TemporaryDirectory() as scratch:
        copies: queue.Queue[pathlib.Path] = queue.Queue()
        for number in range(jobs):
            copy = pathlib.Path(scratch) / str(number)
            _copy_tree(copy)
            copies.put(copy)

        def run(fault: Fault) -> tuple[str, str, float]:
            copy = copies.get()
            start = time.monotonic()
            try:
                outcome, test = _try(fault, copy)
            finally:
                copies.put(copy)
            return outcome, test, time.monotonic() - start

        outcomes = {}
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for fault, result in zip(
                chosen, pool.map(run, chosen), strict=True
            ):
                outcome, test, seconds = result
                outcomes[fault.id] = outcome
                print(
                    f"{fault.id:6} {outcome:6} {seconds:4.0f} s  {fault.what}  "
                    f"{test}",
                    flush=True,
                )
    return outcomes


def _copy_tree(copy: pathlib.Path) -> None:
    """Copy the files that Git knows, as they are now."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        source = ROOT / name
        if source.is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def _try(fault: Fault, copy: pathlib.Path) -> tuple[str, str]:
    """Return the outcome of a fault, and the test that failed."""
    path = copy / fault.file
    source = path.read_text("utf-8")
    path.write_text(fault.apply(source), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header"]
    try:
        process = subprocess.run(
            [*command, "-p", "no:cacheprovider", *fault.tests],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return CAUGHT, "by hanging"
    finally:
        path.write_text(source, "utf-8")
    lines = process.stdout.splitlines()
    failed = [ln for ln in lines if ln.startswith(("FAILED", "ERROR"))]
    test = failed[0].partition(" - ")[0] if failed else ""
    if process.returncode == 0:
        return MISSED, ""
    if process.returncode == TESTS_FAILED:
        return CAUGHT, test
    return ERROR, (lines or process.stderr.splitlines() or [""])[-1]


def _summary(chosen: list[Fault], outcomes: dict[str, str]) -> int:
    real = [fault for fault in chosen if not fault.is_control]
    counts = collections.Counter(outcomes[fault.id] for fault in real)
    share = counts[CAUGHT] / len(real) if real else 1.0
    print(
        f"\n{counts[CAUGHT]} of {len(real)} faults are seen ({share:.1%}); "
        f"missed {counts[MISSED]}, errors {counts[ERROR]}"
    )
    controls = [fault.id for fault in chosen if fault.is_control]
    failed_controls = [name for name in controls if outcomes[name] != MISSED]
    if failed_controls:
        print(f"Tests fail without a fault: {', '.join(failed_controls)}")
    return int(share < LEAST_SHARE or bool(failed_controls))


if __name__ == "__main__":
    sys.exit(main())
