"""Direction of motion, which C2D sees with blocks that know positions.

The clips of the two classes are each other's in reversed order, so a network
that ignores the order of frames is at chance, whatever it learns.
"""

import time

import keras
import numpy as np
import pytest

import nonlocal_tf as nl
from tests.layers.blocks import tensorflow_only

pytestmark = tensorflow_only
CLIP = (6, 16, 16, 1)
SQUARE, SPEED = 4, 2  # pixels; pixels per frame


def moving_squares(count, seed):
    """Draw clips of a bright square that moves right (1) or left (0).

    Args:
        count: number of clips.
        seed: seed of all random numbers.

    Returns:
        Clips, `(count, time, height, width, 1)`, and labels, `(count,)`.
    """
    rng = np.random.default_rng(seed)
    frames, side = CLIP[:2]
    labels = rng.integers(0, 2, count)
    top = rng.integers(0, side - SQUARE + 1, (count, 1))
    travel = SPEED * (frames - 1)
    start = rng.integers(0, side - SQUARE - travel + 1, (count, 1))
    left = start + SPEED * np.arange(frames)  # (count, time)
    pixels = np.arange(side)
    rows = (pixels >= top) & (pixels < top + SQUARE)  # (count, height)
    left = left[..., None]
    columns = (pixels >= left) & (pixels < left + SQUARE)
    clips = rows[:, None, :, None] & columns[:, :, None, :]
    clips = np.where(labels[:, None, None, None], clips, clips[:, ::-1])
    noise = 0.1 * rng.standard_normal((count, *CLIP))
    return (clips[..., None] + noise).astype("float32"), labels


def trained(position, seed, steps=150, batch=16):
    """Train `c2d_nl1_small` on moving squares."""
    keras.utils.set_random_seed(seed)
    model = nl.create_model(
        "c2d_nl1_small",
        num_classes=2,
        clip_shape=CLIP,
        position=position,
        nonlocal_block={"gamma_init": 1.0},
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    clips, labels = moving_squares(steps * batch, seed)
    model.fit(clips, labels, batch_size=batch, shuffle=False, verbose=0)
    return model


def accuracy(model, seed):
    """Return the share of right answers on clips and on their reversals."""
    clips, labels = moving_squares(128, 1000 + seed)
    clips = np.concatenate([clips, clips[:, ::-1]])
    logits = model.predict(clips, batch_size=64, verbose=0)
    return float((logits.argmax(-1) == np.r_[labels, 1 - labels]).mean())


def test_the_classes_are_each_others_reversals():
    clips, labels = moving_squares(7, 0)
    column = (clips[:, 0, ..., 0] > 0.5).argmax(-1).max(-1)
    last = (clips[:, -1, ..., 0] > 0.5).argmax(-1).max(-1)
    assert set(labels) == {0, 1}
    np.testing.assert_array_equal(last - column, np.where(labels, 10, -10))


@pytest.mark.slow
def test_c2d_sees_the_direction_of_motion_with_positions_alone():
    # Chance is exact but for ties, whose logits differ by rounding.
    assert abs(accuracy(trained(None, 0, steps=50), 0) - 0.5) < 0.05
    assert accuracy(trained("sine", 0), 0) >= 0.95


def main():
    """Print accuracies and seconds of three seeds."""
    for position in (None, "sine", "learned"):
        for seed in range(3):
            start, cpu = time.perf_counter(), time.process_time()
            share = accuracy(trained(position, seed), seed)
            seconds = time.perf_counter() - start
            print(
                f"position={position!r} seed={seed}: {100 * share:.1f} %, "
                f"{seconds:.1f} s ({time.process_time() - cpu:.1f} s of CPU)",
                flush=True,
            )


if __name__ == "__main__":
    main()
