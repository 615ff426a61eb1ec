"""Scores of videos without videos, and Charades' mAP as a loop."""

import math

import numpy as np

from training.evaluation.video_scores import VideoScores


def make_scores(scores, labels, ok=None, pool="mean"):
    """Make scores without videos or a network."""
    videos, _, classes = scores.shape
    ok = np.ones(videos, bool) if ok is None else ok
    return VideoScores(
        scores=np.asarray(scores, "float32"),
        labels=labels,
        ok=ok,
        paths=np.array([f"ä {i}.mp4" for i in range(videos)]),
        reasons=np.where(ok, "", "the file is empty"),
        classes=np.array([f"class {c}" for c in range(classes)]),
        split="test",
        views="2 clips",
        pool=pool,
        reading_seconds=1.0,
        computing_seconds=3.0,
        versions={},
    )


def charades_map(scores, labels):
    """Compute Charades' mAP from its definition, a video at a time.

    Videos without an action have -inf in every class. Precisions are averaged
    over the ranks of a class's videos, and then over classes.
    """
    precisions = []
    for c in range(labels.shape[1]):
        ranked = sorted(
            range(len(labels)),
            key=lambda v: scores[v, c] if labels[v].sum() else -math.inf,
            reverse=True,
        )
        ranks = [rank for rank, v in enumerate(ranked, 1) if labels[v, c] == 1]
        precisions_at = [count / rank for count, rank in enumerate(ranks, 1)]
        precisions.append(sum(precisions_at) / len(precisions_at))
    return sum(precisions) / len(precisions)


def charades_like(videos, classes, unlabelled, seed):
    """Draw distinct scores and labels with the label count of Charades."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((videos, classes)) < 6.8 / classes).astype(np.uint8)
    labels[labels.sum(1) == 0, 3] = 1
    labels[rng.permutation(videos)[:unlabelled]] = 0
    noisy = rng.normal(size=labels.shape) + 1.65 * labels
    ranks = noisy.argsort(axis=0).argsort(axis=0)  # no two are equal
    return ((ranks + 0.5) / videos).astype(np.float32), labels
