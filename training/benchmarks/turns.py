"""Interleave the cases of a benchmark in worker processes."""

import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping

from ..io import tables
from ..io.versions import cpu_name

WORKER = pathlib.Path(__file__).with_name("worker.py")


class Worker:
    """Process of `worker.py`, or of a script based on it.

    Args:
        environment: "tf", "jax" or "torch".
        cores: number of cores.
        device: "cpu" or "gpu".
        python: interpreter. Default: this one.
        script: to run.
    """

    def __init__(
        self,
        environment: str,
        cores: int,
        device: str,
        python: str = sys.executable,
        script: pathlib.Path = WORKER,
    ):
        self.process = subprocess.Popen(
            [python, script, environment, str(cores), device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        self.version = self._answer()

    def ask(self, do: str, **request):
        request = {"do": do, **request}
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"error": "the worker died"}
        answer = self._answer()
        return {"error": "the worker died"} if answer is None else answer

    def _answer(self):
        line = typing.cast(typing.TextIO, self.process.stdout).readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def installed_workers(
    environments: Iterable[str],
    cores: int,
    device: str = "cpu",
    pythons: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Worker]]:
    """Start a worker for each installed environment; stop them afterwards.

    Args:
        environments: as of `Worker`.
        cores: as of `Worker`.
        device: as of `Worker`.
        pythons: interpreters of environments that have their own.
    """
    workers = {}
    with contextlib.ExitStack() as stack:
        for name in environments:
            python = (pythons or {}).get(name, sys.executable)
            worker = Worker(name, cores, device, python)
            stack.callback(worker.close)
            if worker.version is None:
                tell(f"{name}: not installed, or no such device; not run")
            else:
                workers[name] = worker
        yield workers


def interleave(workers, cases, rounds, clock, name=None) -> list[dict]:
    """Time cases in interleaved rounds; add ratios to the first of each pass.

    Args:
        workers: a `Worker` per environment; cases of others are skipped.
        cases: dictionaries with `env` and `pass`.
        rounds: number of runs of each case.
        clock: "cpu_s" or "wall_s".
        name: function of a case to its name for the terminal.
    """
    name = name or name_of
    running: list[dict] = []
    for case in cases:
        if case["env"] not in workers:
            continue
        request = {"key": str(len(running)), "case": case}
        case.update(workers[case["env"]].ask("prepare", **request))
        running.append(case)
        if "error" in case:
            tell(f"{name(case)}: {case['error']}")
    for case in running:
        case["seconds"] = []
    for _ in range(rounds):
        for key, case in enumerate(running):
            if "error" not in case:
                answer = workers[case["env"]].ask("run", key=str(key))
                case["seconds"].append(answer[clock])
    for worker in workers.values():
        worker.ask("forget")
    for case in running:
        if "error" in case:
            continue
        base = next(
            c
            for c in running
            if all(c.get(k) == case.get(k) for k in ("pass", "dtype"))
            and "error" not in c
        )
        case["base"] = f"{base['env']} {base['method']}" if "n" in base else ""
        case["ratio"] = ratio(base, case)
        milliseconds = 1e3 * min(case["seconds"])
        tell(f"{name(case)}: {milliseconds:.1f} ms, x {case['ratio']:.2f}")
    return running


def ratio(base, case) -> float:
    """Compute the speed-up over the base, as the median over rounds."""
    pairs = zip(base["seconds"], case["seconds"], strict=True)
    return statistics.median(slow / fast for slow, fast in pairs)


def bar_lines(title: str, bars: Iterable[tuple[str, float, bool]]) -> list[str]:
    """Format the section of target values; empty without any.

    Args:
        title: of the section.
        bars: description, measured value, and whether the target is reached.
    """
    rows = [
        (what, f"{value:.3g}", "yes" if reached else "**no**")
        for what, value, reached in bars
    ]
    if not rows:
        return []
    head = ("target", "measured", "reached")
    return ["", f"### {title}", "", tables.markdown([head, *rows])]


def name_of(case) -> str:
    """Return the name of a case for the terminal."""
    if "layer" in case:
        return " ".join(
            str(case[k])
            for k in ("layer", "shape", "pairwise", "subsample", "pass")
        )
    keys = ("function", "n", "m", "d", "pass", "env", "method")
    xla = " XLA" if case["xla"] else ""
    return " ".join(str(case[k]) for k in keys) + xla


def machine() -> str:
    """Return the processor and the operating system."""
    info = pathlib.Path("/proc/cpuinfo")
    flags = info.read_text("utf-8") if info.exists() else ""
    vectors = " with AVX-512" * ("avx512f" in flags)
    return f"{cpu_name()}{vectors}, {platform.system()} {platform.machine()}"


def tell(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
