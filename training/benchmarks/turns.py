"""Cases that take turns in processes of their own, for every benchmark."""

import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import typing
from collections.abc import Iterable, Iterator

from ..io import tables
from ..io.versions import cpu_name

WORKER = pathlib.Path(__file__).with_name("worker.py")


class Worker:
    """A process of `worker.py`, or of a script that is built on it.

    Args:
        environment: "tf", "jax" or "torch".
        cores: that it has.
        device: "cpu" or "gpu".
        python: that runs it. Default: this one.
        script: that is run.
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
    environments: Iterable[str], cores: int, device: str = "cpu"
) -> Iterator[dict[str, Worker]]:
    """Start a worker for each environment that is installed, and end them.

    Args:
        environments: as of `Worker`.
        cores: as of `Worker`.
        device: as of `Worker`.
    """
    workers = {}
    with contextlib.ExitStack() as stack:
        for name in environments:
            worker = Worker(name, cores, device)
            stack.callback(worker.close)
            if worker.version is None:
                tell(f"{name}: not installed, or no such device; not run")
            else:
                workers[name] = worker
        yield workers


def interleave(workers, cases, rounds, clock, name=None) -> list[dict]:
    """The cases with their times, and ratios to the first of their pass.

    Args:
        workers: a `Worker` an environment; cases of others are left out.
        cases: what to prepare and run, dictionaries with `env` and `pass`.
        rounds: how often each runs, all taking turns.
        clock: "cpu_s" or "wall_s".
        name: a function of a case to what it is called on the screen.
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
    """How many times as fast as the base: the median over the rounds."""
    pairs = zip(base["seconds"], case["seconds"], strict=True)
    return statistics.median(slow / fast for slow, fast in pairs)


def bar_lines(title: str, bars: Iterable[tuple[str, float, bool]]) -> list[str]:
    """Lines of the section of bars, none without bars.

    Args:
        title: of the section.
        bars: what is measured, the figure, and whether the bar is reached.
    """
    rows = [
        (what, f"{value:.3g}", "yes" if reached else "**no**")
        for what, value, reached in bars
    ]
    if not rows:
        return []
    head = ("bar", "measured", "reached")
    return ["", f"### {title}", "", tables.markdown([head, *rows])]


def name_of(case) -> str:
    """What a case is called on the screen."""
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
    return f"{cpu_name()}, {platform.system()} {platform.machine()}"


def tell(line: str) -> None:
    """Says how far it is, beside what is printed in the end."""
    print(line, file=sys.stderr, flush=True)
