"""Fixtures and settings for all tests."""

import gc
import os
import random

import pytest

# As the commands set it, for equal numbers.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Imports leave nothing to collect: a third of the time of collecting tests.
gc.disable()

# Scripts that made the data, with packages that the tests do not need.
collect_ignore_glob = ["data/*"]


def pytest_collection_finish():
    """Collect garbage of tests alone, not of what is imported."""
    gc.freeze()
    gc.set_threshold(7000)  # graphs of TensorFlow are many small objects
    gc.enable()


@pytest.fixture(autouse=True)
def seeded():
    """Seed what Keras draws seeds from: no test has weights of its order.

    `keras.utils.set_random_seed` would also make TensorFlow build its kernels
    again, a tenth of the time of all tests.
    """
    random.seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    """Seed the fixtures of modules and sessions, which come before `seeded`."""
    if fixturedef.scope != "function":
        random.seed(0)
    return (yield)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Keep the index cache of videos in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
