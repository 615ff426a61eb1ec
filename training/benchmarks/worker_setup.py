"""Seed and CPU affinity of the workers of benchmarks."""

import os

SEED = 20180618


def bind(cores: int, device: str) -> None:
    """Restrict this process to some cores, before a framework starts."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if device == "cpu":
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
