"""Fixtures of the page's tests."""

import tempfile

import pytest


@pytest.fixture
def temporary_folder(tmp_path, monkeypatch):
    """Folder of temporary files during one test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path
