"""Fixtures and settings for all tests."""

import os

import pytest

# As the commands set it, for numbers that are theirs.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Scripts that made the numbers, with packages that the tests do without.
collect_ignore_glob = ["data/*"]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Indices of videos are kept in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
