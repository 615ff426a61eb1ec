"""Commands run side by side: a queue that shares the cores among them."""

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
    """A command, and when it can start.

    Attributes:
        name: that it is called by.
        command: with its arguments.
        log: file for what it prints.
        weight: how long it takes beside others, in any unit.
        after: name of a job that has to end well before.
        prepare: called right before the start.
        outcome: called at its end; what is said of it.
    """

    name: str
    command: tuple[str, ...]
    log: pathlib.Path
    weight: float
    outcome: Callable[[], str]
    after: str | None = None
    prepare: Callable[[], None] | None = None


@dataclasses.dataclass
class _Running:
    job: Job
    process: subprocess.Popen
    started: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def run(jobs: Sequence[Job], at_once: int) -> list[str]:
    """Runs all jobs; those that fail do not keep others from running.

    A line is printed at the end of each, with the last lines of its output
    where it failed. Ctrl-C, or SIGTERM, stops those that are running.

    Args:
        jobs: in the order to start them.
        at_once: how many run at a time; they share the cores.

    Returns:
        The names of those that failed or could not start.
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
    """How many threads each of some commands gets of this machine's cores."""
    return max((os.cpu_count() or 1) // at_once, 1)


class _Queue:
    def __init__(self, jobs: Sequence[Job], at_once: int):
        self.waiting = list(jobs)
        self.running: list[_Running] = []
        self.failed: list[str] = []
        self.at_once = at_once
        self.total = len(jobs)
        # Of those that ended well.
        self.done: set[str] = set()
        self.seconds = self.weight = 0.0

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting or self.running)

    def start_what_can(self) -> None:
        """Starts jobs while there is room and one whose turn has come."""
        for job in list(self.waiting):
            if job.after in self.failed:
                self.waiting.remove(job)
                self._fail(job, f"not started, because {job.after} failed")
            elif len(self.running) < self.at_once and self._may_start(job):
                self.waiting.remove(job)
                self._start(job)

    def collect(self) -> None:
        """Takes note of the jobs that have ended."""
        for running in list(self.running):
            code = running.process.poll()
            if code is None:
                continue
            self.running.remove(running)
            if code:
                end = _end_of(running.job.log)
                self._fail(running.job, f"exit code {code}\n{end}")
                continue
            self.done.add(running.job.name)
            self.seconds += running.seconds
            self.weight += running.job.weight
            minutes = f"{running.seconds / 60:.1f} min"
            self._say(running.job, f"{running.job.outcome()}, {minutes}")

    def stop(self) -> None:
        """Ends what is running, by force where asking does not help."""
        for running in self.running:
            running.process.terminate()
        for running in self.running:
            try:
                running.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()

    def _may_start(self, job: Job) -> bool:
        names = {other.name for other in self.waiting}
        names |= {running.job.name for running in self.running}
        return job.after not in names

    def _start(self, job: Job) -> None:
        try:
            _check_log(job)
            if job.prepare is not None:
                job.prepare()
        except (UserError, OSError) as error:
            self._fail(job, str(error))
            return
        threads = str(threads_each(self.at_once))
        job.log.unlink(missing_ok=True)  # it may be a hard link
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
                # Ctrl-C is for this process, which ends them in order.
                start_new_session=True,
            )
        self.running.append(_Running(job, process, time.monotonic()))

    def _fail(self, job: Job, why: str) -> None:
        self.failed.append(job.name)
        self._say(job, f"FAILED: {why}")

    def _say(self, job: Job, what: str) -> None:
        ended = len(self.done) + len(self.failed)
        left = f"; {self._time_left()}" if self.is_busy else ""
        print(f"[{ended}/{self.total}] {job.name}: {what}{left}", flush=True)

    def _time_left(self) -> str:
        if not self.weight:
            return "time left unknown"
        jobs = [*self.waiting, *(running.job for running in self.running)]
        whole = self.seconds / self.weight * sum(job.weight for job in jobs)
        spent = sum(running.seconds for running in self.running)
        minutes = max(whole - spent, 0.0) / self.at_once / 60
        return f"about {minutes:.0f} min left"


def _title(job: Job) -> str:
    """The first line of a job's log, which tells it from files of others."""
    return f"# log of {job.name}, by training.reproduce.ablations"


def _check_log(job: Job) -> None:
    """Raise a UserError if the log would replace a file of the user's."""
    if not os.path.lexists(job.log):
        return
    atomic_files.check_regular(job.log)
    with open(job.log, "rb") as log:
        first = log.readline().decode("utf-8", "replace").rstrip("\n")
    if first != _title(job):
        raise UserError(f"{job.log} exists, and is no log of {job.name}")


def _end_of(log: pathlib.Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-LINES_SHOWN:])


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Notes SIGINT and SIGTERM in a list instead of letting them act.

    At once, they could come between the start of a job and the note of it,
    and it would run on alone.
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
