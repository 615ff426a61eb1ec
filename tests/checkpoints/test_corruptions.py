"""Randomly damaged files: one CheckpointError each."""

import random

import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.read import read_checkpoint
from nonlocal_tf.detection.detector_checkpoints import read_detector
from tests.checkpoints import corruptions

CASES = 300
# Loading these builds a network.
CASES_OF_MODELS = 20


def load(path):
    """Read a file with all readers; return the errors."""
    readers = [nl.from_checkpoint] if path.suffix == ".keras" else []
    errors = []
    for reader in (read_checkpoint, read_detector, *readers):
        try:
            reader(path)
        except CheckpointError as error:
            errors.append(error)
    return errors


@pytest.fixture(scope="module")
def valid_files():
    return corruptions.valid_files()


NAMES = (
    *(f"protocol{protocol}.pkl" for protocol in range(6)),
    *("archive.pth", "averaged.pth", "legacy.pth", "weights.safetensors"),
    *("keras3.weights.h5", "keras2.h5", "compressed.weights.h5"),
    "model.keras",
)


@pytest.mark.parametrize("name", NAMES)
def test_valid_files_are_read(valid_files, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(valid_files[name])
    assert load(path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_raise_at_most_one_error(valid_files, name, tmp_path):
    path = tmp_path / name
    cases = CASES_OF_MODELS if name.endswith(".keras") else CASES
    for seed in range(cases):
        rng = random.Random(f"{name} {seed}")
        path.write_bytes(corruptions.mutated(name, valid_files[name], rng))
        for error in load(path):
            assert name in str(error), seed
            assert len(str(error)) < 2000, seed
