"""The signatures of a SavedModel, as functions of tensors.

What is wrong with a request is an `InvalidArgumentError` that says what was
expected, on a server too.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from nonlocal_tf import preprocess
from nonlocal_tf.attention import block_attention

from ..data import sampling as samples
from ..data import transforms
from ..io import image_bytes
from . import block_weights, image_sizes
from .served_model import ServedModel, ServedViews

TOP = 5
# Sides of a frame that is looked at whole, as a ratio. Else a few bytes, a line
# of pixels, fill any memory.
LONGEST = 8
NOT_FINITE = (
    "The outputs are not finite: the training of the model diverged, or its "
    "weights are damaged. Serve another model."
)

# A function of tensors, and what it takes.
Signature = tuple[Callable, list[tf.TensorSpec]]


def all_of(served: ServedModel, name_of: Callable) -> dict[str, Signature]:
    """The signatures that a model has, by name, as functions to be traced.

    Args:
        served: the model.
        name_of: from indices of classes to their names.

    Returns:
        `serving_default`, `features`, and for clips `serve_frames`; with
        non-local blocks `attention` too.
    """
    made: dict[str, Signature] = {
        "serving_default": _classify(served, name_of),
        "features": _features(served),
    }
    if served.of_videos is not None:
        made["serve_frames"] = _serve_frames(served, served.of_videos, name_of)
        if block_attention.nonlocal_blocks(served.network):
            made["attention"] = _attention(served)
    return made


def _classify(served: ServedModel, name_of) -> Signature:
    def classify(pixels):
        logits = served.network(_checked(pixels), training=False)
        logits = _finite(logits, pixels, served)
        probabilities = served.scores(logits)
        return {
            "probabilities": probabilities,
            "logits": logits,
            "class_name": name_of(tf.argmax(probabilities, axis=-1)),
        }

    return classify, [_pixels(served)]


def _features(served: ServedModel) -> Signature:
    last = served.network.get_layer("logits").input
    network = keras.Model(served.network.input, last)

    def features(pixels):
        x = network(_checked(pixels), training=False)
        return {"features": _finite(tf.cast(x, tf.float32), pixels, served)}

    return features, [_pixels(served)]


def _attention(served: ServedModel) -> Signature:
    looks = block_weights.of_blocks(served.network)

    def attention(pixels, block, query):
        with tf.control_dependencies(_query_checks(pixels, block, query)):
            clips = _checked(pixels)
            # Else what is made of them may fail first, in other words.
            block, query = tf.identity(block), tf.identity(query)
        answer = block_weights.look(looks, clips, block, query)
        return {**answer, "weights": _finite(answer["weights"], pixels, served)}

    return attention, [
        _pixels(served),
        tf.TensorSpec((None,), tf.string, "block"),
        tf.TensorSpec((None, 3), tf.int32, "query"),
    ]


def _query_checks(pixels, block, query):
    sizes = tf.shape(pixels)
    return [
        tf.debugging.assert_equal(
            tf.stack([tf.shape(block)[0], tf.shape(query)[0]]),
            tf.repeat(sizes[0], 2),
            "Expected a block and a query for each clip.",
        ),
        tf.debugging.Assert(
            tf.reduce_all((query >= 0) & (query < sizes[1:4])),
            [
                "Expected each query to be frame, y, x in pixels inside of "
                "clips of size",
                sizes[1:4],
                "Received:",
                query,
            ],
        ),
    ]


def _serve_frames(served: ServedModel, seen: ServedViews, name_of) -> Signature:
    top = min(TOP, len(served.classes))

    def serve_frames(frames_bytes):
        probabilities = tf.map_fn(
            lambda frames: _score_video(served, seen, frames),
            frames_bytes,
            fn_output_signature=tf.TensorSpec(
                (len(served.classes),), tf.float32
            ),
        )
        is_finite = tf.reduce_all(tf.math.is_finite(probabilities))
        right = tf.debugging.Assert(is_finite, [NOT_FINITE])
        with tf.control_dependencies([right]):
            probabilities = tf.identity(probabilities)
        scores, best = tf.math.top_k(probabilities, top)
        return {
            "probabilities": probabilities,
            "top_k_classes": name_of(tf.cast(best, tf.int64)),
            "top_k_scores": scores,
        }

    spec = tf.TensorSpec((None, None), tf.string, "frames_bytes")
    return serve_frames, [spec]


def _score_video(served: ServedModel, seen: ServedViews, frames):
    """Scores `(classes,)` of a video, `(n,)` encoded frames."""
    sampling, views = seen.sampling, seen.views
    count = tf.size(frames, tf.int64)
    enough = tf.debugging.assert_positive(
        count, "Expected at least one frame a video."
    )
    with tf.control_dependencies([enough]):
        clips = samples.clips(
            count, tf.constant(sampling.fps or 0, tf.float64), sampling, views
        )
    # A frame that several clips share is decoded once, and kept cropped.
    needed, places = tf.unique(tf.reshape(clips, (-1,)))
    side = views.crop_px if views.crops else None
    crops = tf.map_fn(
        lambda number: _crops(frames[number], views),
        needed,
        fn_output_signature=tf.TensorSpec((None, side, side, 3), tf.uint8),
    )
    places = tf.reshape(places, (views.clips, sampling.frames))

    def score(clip):  # all crops of a clip at a time: views are large
        pixels = tf.transpose(tf.gather(crops, clip), (1, 0, 2, 3, 4))
        normal = preprocess.normalize(pixels)
        scores = served.scores(seen.network(normal, training=False))
        # Of networks that are fully convolutional, of each position.
        places = list(range(1, len(scores.shape) - 1))
        return tf.reduce_mean(scores, axis=places)

    each = tf.map_fn(
        score,
        places,
        fn_output_signature=tf.TensorSpec(
            (None, len(served.classes)), tf.float32
        ),
        parallel_iterations=1,
    )
    pool = tf.reduce_max if views.pool == "max" else tf.reduce_mean
    return pool(each, axis=(0, 1))


def _crops(encoded, views):
    """Decodes a frame and cuts its views out, `(crops, height, width, 3)`."""
    encoded = image_sizes.bounded(encoded, image_sizes.FRAME_PIXELS)
    frame = image_bytes.decode(encoded)
    height, width = tf.unstack(tf.shape(frame)[:2])
    if views.crops:
        windows = transforms.crop_windows(
            height, width, views.short_side_px, views.crop_px, views.crops
        )
        size = tf.constant([views.crop_px] * 2)
    else:
        frame = _not_long(frame)
        window, size = transforms.whole_window(
            height, width, views.short_side_px
        )
        windows = window[None]
    return transforms.resample(frame[None], windows, size)[:, 0]


def _not_long(frame):
    """A frame, unless it is a line, which would be scaled to any width."""
    sizes = tf.shape(frame)[:2]
    right = tf.debugging.Assert(
        tf.reduce_max(sizes) <= LONGEST * tf.reduce_min(sizes),
        [
            f"Expected frames whose long side is at most {LONGEST} times the "
            "short one. Received sizes:",
            sizes,
        ],
    )
    with tf.control_dependencies([right]):
        return tf.identity(frame)


def _pixels(served: ServedModel) -> tf.TensorSpec:
    given = served.network.inputs[0]
    return tf.TensorSpec(given.shape, tf.uint8, given.name)


def _checked(pixels):
    """Normalised pixels, if there are any and they are RGB."""
    sizes = tf.shape(pixels)
    right = tf.debugging.Assert(
        tf.reduce_all(sizes > 0) & (sizes[-1] == 3),
        ["Expected RGB pixels, of which no size is 0. Received sizes:", sizes],
    )
    with tf.control_dependencies([right]):
        return preprocess.normalize(pixels)


def _finite(x, pixels, served: ServedModel):
    """x, unless a number of it is not finite.

    Too few pixels are one reason; of pixels as many as were trained on, the
    weights are.
    """
    finite = tf.reduce_all(tf.math.is_finite(x))
    sizes = tf.shape(pixels)
    is_small = tf.reduce_any(sizes[1:] < served.dataset.element_shape)
    checks = [
        tf.debugging.Assert(
            finite | ~is_small,
            [
                "The outputs are not finite. Expected a clip or image that is "
                "larger than what the network scales it down by. Received "
                "sizes:",
                sizes,
            ],
        ),
        tf.debugging.Assert(finite | is_small, [NOT_FINITE]),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(x)
