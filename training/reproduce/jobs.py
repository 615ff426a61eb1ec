"""Run commands in parallel: a job queue that shares the cores."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from ..io import atomic_files
from ..io.user_error import UserError

POLL_SECONDS = 0.2
STOP_SECONDS = 30
LINES_SHOWN = 15


@dataclasses.dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        name: of the job.
        command: with its arguments.
        log: file of its output.
        weight: expected duration relative to other jobs.
        outcome: called at the end; describes the result.
    """

    name: str
    command: tuple[str, ...]
    log: pathlib.Path
    weight: float
    outcome: Callable[[], str]


@dataclasses.dataclass
class _Running:
    job: Job
    process: subprocess.Popen
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def run(jobs: Sequence[Job], at_once: int) -> list[str]:
    """Run all jobs; failures do not stop the others.

    Prints a line at the end of each job, with the last lines of its output
    after a failure. Ctrl-C or SIGTERM stops running jobs.

    Args:
        jobs: in the order of their start.
        at_once: number of parallel jobs, which share the cores.

    Returns:
        The names of the jobs that failed or could not start.
    """
    queue = _Queue(jobs, at_once)
    with _stop_signals() as came:
        try:
            while queue.is_busy:
                queue.collect()
                queue.start_what_can()
                time.sleep(POLL_SECONDS)
                if came:
                    raise KeyboardInterrupt
        finally:
            queue.stop()
    return queue.failed


def threads_each(at_once: int) -> int:
    """Return the number of threads of each of some parallel jobs."""
    return max((os.cpu_count() or 1) // at_once, 1)


class _Queue:
    def __init__(self, jobs: Sequence[Job], at_once: int):
        self.waiting = list(jobs)
        self.running: list[_Running] = []
        self.failed: list[str] = []
        self.at_once = at_once
        self.total = len(jobs)
        self.done: set[str] = set()  # succeeded
        self.seconds = self.weight = 0.0

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting or self.running)

    def start_what_can(self) -> None:
        """Start jobs while slots are free."""
        while self.waiting and len(self.running) < self.at_once:
            self._start(self.waiting.pop(0))

    def collect(self) -> None:
        """Process the jobs that have ended."""
        for running in list(self.running):
            code = running.process.poll()
            if code is None:
                continue
            self.running.remove(running)
            if code:
                last_lines = _end_of(running.job.log)
                self._fail(running.job, f"exit code {code}\n{last_lines}")
                continue
            self.done.add(running.job.name)
            self.seconds += running.seconds
            self.weight += running.job.weight
            minutes = f"{running.seconds / 60:.1f} min"
            self._say(running.job, f"{running.job.outcome()}, {minutes}")

    def stop(self) -> None:
        """Terminate running jobs; kill them after a timeout."""
        for running in self.running:
            running.process.terminate()
        for running in self.running:
            try:
                running.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()

    def _start(self, job: Job) -> None:
        try:
            _check_log(job)
        except (UserError, OSError) as error:
            self._fail(job, str(error))
            return
        threads = str(threads_each(self.at_once))
        job.log.unlink(missing_ok=True)  # may be a hard link
        with open(job.log, "x") as log:
            print(_title(job), file=log, flush=True)
            process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "TF_NUM_INTRAOP_THREADS": threads,
                    "TF_NUM_INTEROP_THREADS": threads,
                },
                # Ctrl-C is for this process, which terminates the jobs.
                start_new_session=True,
            )
        self.running.append(_Running(job, process, time.monotonic()))

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(job.name)
        self._say(job, f"FAILED: {why}")

    def _say(self, job: Job, what: str) -> None:
        ended = len(self.done) + len(self.failed)
        time_left = f"; {self._time_left()}" if self.is_busy else ""
        print(
            f"[{ended}/{self.total}] {job.name}: {what}{time_left}", flush=True
        )

    def _time_left(self) -> str:
        if not self.weight:
            return "time left unknown"
        jobs = [*self.waiting, *(running.job for running in self.running)]
        whole = self.seconds / self.weight * sum(job.weight for job in jobs)
        spent = sum(running.seconds for running in self.running)
        minutes = max(whole - spent, 0.0) / self.at_once / 60
        return f"about {minutes:.0f} min left"


def _title(job: Job) -> str:
    """Return the first line of a job's log, which identifies it."""
    return f"# log of {job.name}, by nonlocal-tf ablations"


def _check_log(job: Job) -> None:
    """Raise a UserError if the log would replace a file of the user's."""
    if not os.path.lexists(job.log):
        return
    atomic_files.check_regular(job.log)
    with open(job.log, "rb") as log:
        first = log.readline().decode("utf-8", "replace").rstrip("\n")
    if first != _title(job):
        raise UserError(f"{job.log} exists and is not a log of {job.name}")


def _end_of(log: pathlib.Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-LINES_SHOWN:])


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Record SIGINT and SIGTERM in a list instead of raising.

    An exception between the start of a job and its registration would orphan
    it.
    """
    came: list[int] = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda n, _: came.append(n))
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
