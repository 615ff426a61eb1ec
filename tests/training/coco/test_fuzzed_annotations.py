"""Mutated annotation files are errors, or can be used."""

import json

import pytest

from tests.training.coco import fuzz_annotations as fuzz

pytest.importorskip("pycocotools")

# Failures of before: ids of more than 32 bits.
SEEDS = (247,)
CASES, MORE_MB = 1_500, 600


@pytest.fixture
def folder(tmp_path):
    fuzz.setup(tmp_path)
    return tmp_path


def test_the_original_annotations_are_valid(folder):
    assert fuzz.use(json.dumps(fuzz.VALID).encode(), folder) == ""


@pytest.mark.parametrize("seed", SEEDS)
def test_failures_of_before_stay_fixed(folder, seed):
    fuzz.use(fuzz.mutated(seed), folder)


@pytest.mark.full
def test_mutated_files_are_errors_or_can_be_used(folder):
    fuzz.use(json.dumps(fuzz.VALID).encode(), folder)
    before_mb = fuzz.memory_mb()
    errors = sum(
        bool(fuzz.use(fuzz.mutated(seed), folder)) for seed in range(CASES)
    )
    assert CASES / 20 < errors < CASES / 2
    assert fuzz.memory_mb() - before_mb < MORE_MB
