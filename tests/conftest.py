"""Fixtures and settings for all tests."""

import os

import pytest

# As the commands set it, for equal numbers.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Scripts that made the data, with packages that the tests do not need.
collect_ignore_glob = ["data/*"]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Keep the index cache of videos in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
