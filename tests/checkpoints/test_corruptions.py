"""Files that were damaged at random: one error each, in little memory."""

import random

import pytest

import nonlocal_tf as nl
from nonlocal_tf.checkpoints import CheckpointError
from nonlocal_tf.checkpoints.read import read_checkpoint
from nonlocal_tf.detection.detector_checkpoints import read_detector
from tests.checkpoints import corruptions

CASES = 300
# Loading one builds a network.
CASES_OF_MODELS = 20


def load(path):
    """Reads a file as whoever may be given it; returns the errors."""
    readers = [nl.from_checkpoint] if path.suffix == ".keras" else []
    errors = []
    for reader in (read_checkpoint, read_detector, *readers):
        try:
            reader(path)
        except CheckpointError as error:
            errors.append(error)
    return errors


@pytest.fixture(scope="module")
def good_files():
    return corruptions.good_files()


NAMES = (
    *(f"protocol{protocol}.pkl" for protocol in range(6)),
    *("archive.pth", "averaged.pth", "legacy.pth"),
    *("keras3.weights.h5", "keras2.h5", "compressed.weights.h5"),
    "model.keras",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_good_file_is_read(good_files, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(good_files[name])
    assert load(path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_read_or_is_one_error(good_files, name, tmp_path):
    path = tmp_path / name
    cases = CASES_OF_MODELS if name.endswith(".keras") else CASES
    for seed in range(cases):
        rng = random.Random(f"{name} {seed}")
        path.write_bytes(corruptions.mutated(name, good_files[name], rng))
        for error in load(path):
            assert name in str(error), seed
            assert len(str(error)) < 2000, seed
