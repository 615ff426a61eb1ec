"""Comparison of detectors with and without a non-local block."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from nonlocal_tf.detection import MaskRCNN
from training.reproduce import composites, far_cue

pytest.importorskip("pycocotools")
pytest.importorskip("sklearn")

NUMBERS = {"box_AP50": 0.5, "mask_AP50": 0.25, "keypoint_AP50": 0.125}


@pytest.fixture
def small(monkeypatch):
    for name, photo in (("TRAINED_ON", "china"), ("TESTED_ON", "flower")):
        config = composites.Composites(photo, 2, seed=1)
        monkeypatch.setattr(far_cue, name, config)


@pytest.mark.parametrize(
    ("task", "scored"),
    [("class", "mask AP50 0.250"), ("keypoint", "keypoint AP50 0.125")],
)
def test_each_seed_is_run_with_and_without_the_block(
    small, monkeypatch, tmp_path, capsys, task, scored
):
    runs = []

    def run(comparison, train, test, block, seed, backbone):
        assert backbone.read_text() == f"backbone {seed}"
        runs.append((block, seed))
        return {"train": NUMBERS, "test": NUMBERS, "seconds": 2.0}

    def pretrain(path, seed):
        path.write_text(f"backbone {seed}")
        return 1.0

    monkeypatch.setattr(far_cue, "run", run)
    monkeypatch.setattr(far_cue, "pretrain", pretrain)
    arguments = [str(tmp_path), "--task", task]
    far_cue.main(arguments)
    assert runs == [(b, seed) for seed in (0, 1, 2) for b in (False, True)]
    results = tmp_path / far_cue.COMPARISONS[task].results
    kept = json.loads(results.read_text())
    assert [(row["block"], row["seed"]) for row in kept] == runs
    far_cue.main(arguments)
    assert len(runs) == 6  # finished runs are skipped
    printed = capsys.readouterr().out
    assert "with a block, seed 2: train: box AP50 0.500" in printed
    assert f"train: {scored}" in printed


def test_only_a_block_lets_gradients_reach_the_cue():
    """The receptive field of a box includes the cue only with a block."""
    image = np.random.default_rng(0).normal(size=(1, 96, 320, 3))
    image = tf.constant(image, tf.float32)
    disc = np.float32([[[270, 30, 310, 70]]])
    for block, is_seen in ((None, False), ({}, True)):
        config = dataclasses.replace(far_cue.DETECTOR, nonlocal_block=block)
        keras.utils.set_random_seed(0)
        model = MaskRCNN(config)
        for variable in model.pyramid.weights:
            if variable.path.endswith("nonlocal/affine/gamma"):
                variable.assign(tf.ones_like(variable))
        with tf.GradientTape() as tape:
            tape.watch(image)
            logits, _ = model.apply_head(
                model.box_head, model.pyramid(image), disc
            )
            value = tf.reduce_sum(logits[0, 0] * [1.0, -2.0, 3.0, 0.5])
        gradient = tape.gradient(value, image).numpy()
        cue = gradient[0, :, : composites.CUE_END_PX]
        assert np.abs(gradient).max() > 0
        assert (np.abs(cue).max() > 0) == is_seen


@pytest.mark.full
@pytest.mark.parametrize("task", far_cue.COMPARISONS)
def test_a_run_evaluates_both_data_sets(small, monkeypatch, tmp_path, task):
    monkeypatch.setattr(far_cue, "STEPS", 1)
    monkeypatch.setattr(far_cue, "CROPS", 64)
    comparison = far_cue.COMPARISONS[task]
    few = dataclasses.replace(comparison.detector, post_nms_top_n=7)
    comparison = dataclasses.replace(comparison, detector=few)
    train, test = (
        far_cue.make_annotations(
            dataclasses.replace(images, task=task), tmp_path / images.photo
        )
        for images in (far_cue.TRAINED_ON, far_cue.TESTED_ON)
    )
    backbone = tmp_path / "backbone.keras"
    assert 0 <= far_cue.pretrain(backbone, 0) <= 1
    result = far_cue.run(comparison, train, test, True, 0, backbone)
    for part in ("train", "test"):
        for kind in comparison.metrics:
            assert 0 <= result[part][f"{kind}_AP50"] <= 1
