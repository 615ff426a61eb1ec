"""Versions of the software, and the machine that this process runs on."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping, Sequence

PACKAGES = (
    "nonlocal-tf",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-io",
    "keras",
    "numpy",
)


def run_on(runs: Sequence[Mapping]) -> str:
    """Return a sentence with the machines and the commits of runs.

    Args:
        runs: what `versions` returned in each.
    """
    machines = sorted({run["machine"] for run in runs})
    commits = sorted({run["commit"][:10] for run in runs})
    return f"Run on {', '.join(machines)}; commit {', '.join(commits)}."


def versions() -> dict:
    """Return time, commit, packages and machine of this process."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "started": now.isoformat("T", "seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": machine(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }


def machine() -> str:
    """Return the number of cores, the processor and its architecture."""
    return f"{os.cpu_count()} x {cpu_name()}, {platform.machine()}"


def cpu_name() -> str:
    """Return the model name of the processor."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":")[1] for line in lines if "model name" in line]
    return names[0].strip() if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of this checkout, plus "+changes" if it is dirty."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
