"""Mutations of good annotations are errors, or can be used."""

import json

import pytest

from tests.training.coco import fuzz_annotations as fuzz

pytest.importorskip("pycocotools")

# Of cases that were wrong once: ids of more than 32 bits.
SEEDS = (247,)
CASES, MORE_MB = 1_500, 600


@pytest.fixture
def folder(tmp_path):
    fuzz.setup(tmp_path)
    return tmp_path


def test_annotations_that_are_not_changed_have_no_fault(folder):
    assert fuzz.use(json.dumps(fuzz.GOOD).encode(), folder) == ""


@pytest.mark.parametrize("seed", SEEDS)
def test_cases_that_were_wrong_stay_right(folder, seed):
    fuzz.use(fuzz.mutated(seed), folder)


@pytest.mark.slow
def test_mutations_are_errors_or_can_be_used(folder):
    fuzz.use(json.dumps(fuzz.GOOD).encode(), folder)
    before_mb = fuzz.memory_mb()
    errors = sum(
        bool(fuzz.use(fuzz.mutated(seed), folder)) for seed in range(CASES)
    )
    assert CASES / 20 < errors < CASES / 2
    assert fuzz.memory_mb() - before_mb < MORE_MB
