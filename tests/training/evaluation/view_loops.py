"""Multi-view scoring, written out as loops: the reference for tests."""

import numpy as np

from nonlocal_tf import create_model
from tests.training.data import films
from training.runs import run_model


def halves_up(value):
    return int(np.floor(value + 0.5))


def scaled_slowly(frames, short):
    """Resize bilinearly, a pixel of all frames at a time, to uint8 values."""
    _, height, width, _ = frames.shape
    by = short / min(height, width)
    tall, wide = halves_up(height * by), halves_up(width * by)
    out = np.zeros((len(frames), tall, wide, 3))
    for i in range(tall):
        y = min(max((i + 0.5) * height / tall - 0.5, 0), height - 1)
        y0, y1 = int(y), min(int(y) + 1, height - 1)
        for j in range(wide):
            x = min(max((j + 0.5) * width / wide - 0.5, 0), width - 1)
            x0, x1 = int(x), min(int(x) + 1, width - 1)
            top = frames[:, y0, x0] * (1 - x % 1) + frames[:, y0, x1] * (x % 1)
            low = frames[:, y1, x0] * (1 - x % 1) + frames[:, y1, x1] * (x % 1)
            out[:, i, j] = top * (1 - y % 1) + low * (y % 1)
    return np.floor(out + 0.5)


def views_slowly(path, sampling, short, crop, starts=None):
    """Make the authors' 10 x 3 views of a video, `(30, t, crop, crop, 3)`."""
    frames = films.decode_all(path).astype("float64")
    n = len(frames)
    if starts is None:
        starts = [int(float(n) / 10 * j) % n for j in range(10)]
    scaled = scaled_slowly(frames, short)
    tall, wide = scaled.shape[1:3]
    views = []
    for start in starts:
        clip = np.stack(
            [
                scaled[(start + k * sampling.frame_stride) % n]
                for k in range(sampling.frames)
            ]
        )
        for p in range(3):
            y = (tall - crop) // 2 * (p if tall > wide else 1)
            x = (wide - crop) // 2 * (p if wide >= tall else 1)
            views.append(clip[:, y : y + crop, x : x + crop])
    return (np.stack(views) - 114.75) / 57.375


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def features_of(run, side):
    """Build the trained network up to res5 at another size; its classifier."""
    trained, recipe, dataset = run_model.load_trained(run)
    body = create_model(
        recipe.model.name,
        num_classes=0,
        clip_shape=(recipe.sampling.frames, side, side, 3),
        sampling="8x8",
        width=4,
        head="none",
    )
    for layer in body.layers:
        layer.set_weights(trained.get_layer(layer.name).get_weights())
    return body, trained.get_layer("logits").get_weights()


def scores_slowly(maps, kernel, bias, window):
    """Average the softmax over all positions of a window."""
    _, t, h, w, _ = maps.shape
    scores = [
        softmax(
            maps[:, i : i + window[0], y : y + window[1], x : x + window[2]]
            .astype("float64")
            .mean((1, 2, 3))
            @ kernel
            + bias
        )
        for i in range(t - window[0] + 1)
        for y in range(h - window[1] + 1)
        for x in range(w - window[2] + 1)
    ]
    return np.mean(scores, axis=0)
