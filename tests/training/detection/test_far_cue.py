"""The comparison with and without a block: what is run, kept and said."""

import dataclasses
import json

import pytest

from training.detection import composites, far_cue

pytest.importorskip("pycocotools")
pytest.importorskip("sklearn")

NUMBERS = {"box_AP50": 0.5, "mask_AP50": 0.25}


@pytest.fixture
def small(monkeypatch):
    for name, photo in (("TRAINED_ON", "china"), ("TESTED_ON", "flower")):
        made = composites.Composites(photo, 2, seed=1)
        monkeypatch.setattr(far_cue, name, made)


def test_each_seed_is_run_with_and_without_the_block(
    small, monkeypatch, tmp_path, capsys
):
    runs = []

    def run(train, test, block, seed):
        runs.append((block, seed))
        return {"train": NUMBERS, "test": NUMBERS, "seconds": 2.0}

    monkeypatch.setattr(far_cue, "run", run)
    far_cue.main([str(tmp_path)])
    assert runs == [(b, seed) for seed in (0, 1, 2) for b in (None, {})]
    kept = json.loads((tmp_path / "results.json").read_text())
    assert len(kept) == 6
    far_cue.main([str(tmp_path)])
    assert len(runs) == 6  # nothing anew
    assert "with block, seed 2 train: box AP50 0.500" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_gives_numbers_of_both_sets(small, monkeypatch, tmp_path):
    monkeypatch.setattr(far_cue, "STEPS", 1)
    few = dataclasses.replace(far_cue.DETECTOR, proposals=7)
    monkeypatch.setattr(far_cue, "DETECTOR", few)
    train, test = (
        far_cue._made(made, tmp_path / made.photo)
        for made in (far_cue.TRAINED_ON, far_cue.TESTED_ON)
    )
    result = far_cue.run(train, test, {}, 0)
    for part in ("train", "test"):
        assert 0 <= result[part]["box_AP50"] <= 1
