"""The signatures of a SavedModel, as functions of tensors.

Invalid requests raise an `InvalidArgumentError` that says what was expected,
on servers too.
"""

import warnings
from collections.abc import Callable

import keras
import tensorflow as tf

from ..data import frame_sampling, transforms
from ..evaluation.classifier import Classifier
from ..io import image_bytes
from . import image_headers, served_attention
from .inference_model import InferenceModel, ViewAveraging

TOP = 5
# Maximum aspect ratio of full frames: resizing the short side of a line of
# pixels would fill any memory.
MAX_ASPECT_RATIO = 8
NOT_FINITE = (
    "The outputs are not finite: the training of the model diverged, or its "
    "weights are damaged. Serve another model."
)

# A function of tensors, and its input specs.
Signature = tuple[Callable, list[tf.TensorSpec]]


def make_signatures(
    served: InferenceModel, name_of: Callable
) -> dict[str, Signature]:
    """Make the signatures of a model by name, as functions to be traced.

    Args:
        served: the model.
        name_of: function from class indices to names.

    Returns:
        `serving_default`; `features`, unless the network is one layer; for
        clips `serve_frames`; `serve_views`, if evaluation averages over
        windows of views; with non-local blocks `attention`. A warning names
        each block that it leaves out, and the reason.
    """
    functions = {"serving_default": _classify(served, name_of)}
    if served.features is not None:
        functions["features"] = _features(served, served.features)
    if served.averaging is not None:
        functions["serve_frames"] = _serve_frames(
            served, served.averaging, name_of
        )
        if served.averaging.has_windows:
            functions["serve_views"] = _serve_views(served, served.averaging)
    if served.blocks:
        functions["attention"] = _attention(served)
    for name, reason in served_attention.left_out(served.network).items():
        warnings.warn(
            f"The signature `attention` is without block {name!r}. {reason}",
            stacklevel=2,
        )
    return functions


def _classify(served: InferenceModel, name_of) -> Signature:
    classifier = served.classifier

    def classify(pixels):
        outputs = classifier.outputs(_checked(pixels))
        outputs = _finite(outputs, pixels, served)
        probabilities = classifier.scores(outputs)
        logits = {"logits": outputs} if classifier.from_logits else {}
        return {
            "probabilities": probabilities,
            **logits,
            "class_name": name_of(tf.argmax(probabilities, axis=-1)),
        }

    return classify, [_pixels(served, classifier)]


def _features(served: InferenceModel, network: keras.Model) -> Signature:
    def features(pixels):
        x = network(served.prepare(_checked(pixels)), training=False)
        return {"features": _finite(tf.cast(x, tf.float32), pixels, served)}

    return features, [_pixels(served, served.classifier)]


def _serve_views(served: InferenceModel, averaging: ViewAveraging) -> Signature:
    classifier = averaging.classifier

    def serve_views(pixels):
        outputs = classifier.outputs(_checked(pixels))
        outputs = _finite(outputs, pixels, served)
        return {"probabilities": classifier.scores(outputs)}

    return serve_views, [_pixels(served, classifier)]


def _attention(served: InferenceModel) -> Signature:
    axes = len(served.info.element_shape) - 1

    def attention(pixels, block, query):
        with tf.control_dependencies(_query_checks(pixels, block, query)):
            clips = served.prepare(_checked(pixels))
            # Else later operations could fail first, with other messages.
            block, query = tf.identity(block), tf.identity(query)
        outputs = served_attention.attention(served.blocks, clips, block, query)
        weights = _finite(outputs["weights"], pixels, served)
        return {**outputs, "weights": weights}

    return attention, [
        _pixels(served, served.classifier),
        tf.TensorSpec((None,), tf.string, "block"),
        tf.TensorSpec((None, axes), tf.int32, "query"),
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
            tf.reduce_all((query >= 0) & (query < sizes[1:-1])),
            [
                "Expected each query to be (frame, y, x), of images (y, x), "
                "in pixels within clips of size",
                sizes[1:-1],
                "Received:",
                query,
            ],
        ),
    ]


def _serve_frames(
    served: InferenceModel, averaging: ViewAveraging, name_of
) -> Signature:
    top = min(TOP, len(served.classes))

    def serve_frames(frames_bytes):
        probabilities = tf.map_fn(
            lambda frames: _score_video(served, averaging, frames),
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


def _score_video(served: InferenceModel, averaging: ViewAveraging, frames):
    """Score a video of `(n,)` encoded frames, float32 `(classes,)`."""
    sampling, views = averaging.sampling, averaging.views
    count = tf.size(frames, tf.int64)
    enough = tf.debugging.assert_positive(
        count, "Expected at least one frame per video."
    )
    with tf.control_dependencies([enough]):
        clips = frame_sampling.clips(
            count, tf.constant(sampling.fps or 0, tf.float64), sampling, views
        )
    # Frames shared by several clips are decoded and cropped once.
    needed, places = tf.unique(tf.reshape(clips, (-1,)))
    side = views.crop_px if views.crops else None
    crops = tf.map_fn(
        lambda number: _crops(frames[number], views),
        needed,
        fn_output_signature=tf.TensorSpec((None, side, side, 3), tf.uint8),
    )
    places = tf.reshape(places, (views.clips, sampling.frames))

    def score(clip):  # all crops of one clip at a time, to bound memory
        pixels = tf.transpose(tf.gather(crops, clip), (1, 0, 2, 3, 4))
        outputs = averaging.classifier.outputs(pixels)
        return averaging.classifier.scores(outputs)

    view_scores = tf.map_fn(
        score,
        places,
        fn_output_signature=tf.TensorSpec(
            (None, len(served.classes)), tf.float32
        ),
        parallel_iterations=1,
    )
    pool = tf.reduce_max if views.pool == "max" else tf.reduce_mean
    return pool(view_scores, axis=(0, 1))


def _crops(encoded, views):
    """Decode a frame and crop its views, `(crops, height, width, 3)`."""
    encoded = image_headers.bounded(encoded, image_headers.FRAME_PIXELS)
    frame = image_bytes.decode(encoded)
    height, width = tf.unstack(tf.shape(frame)[:2])
    if views.crops:
        windows = transforms.crop_windows(
            height, width, views.short_side_px, views.crop_px, views.crops
        )
        size = tf.constant([views.crop_px] * 2)
    else:
        frame = _check_aspect_ratio(frame)
        window, size = transforms.whole_window(
            height, width, views.short_side_px
        )
        windows = window[None]
    return transforms.resample(frame[None], windows, size)[:, 0]


def _check_aspect_ratio(frame):
    """Return a frame, unless its aspect ratio is too large."""
    sizes = tf.shape(frame)[:2]
    right = tf.debugging.Assert(
        tf.reduce_max(sizes) <= MAX_ASPECT_RATIO * tf.reduce_min(sizes),
        [
            "Expected frames whose long side is at most "
            f"{MAX_ASPECT_RATIO} times the short side. Received sizes:",
            sizes,
        ],
    )
    with tf.control_dependencies([right]):
        return tf.identity(frame)


def _pixels(served: InferenceModel, classifier: Classifier) -> tf.TensorSpec:
    shape = classifier.model.inputs[0].shape
    return tf.TensorSpec(shape, tf.uint8, served.input_name)


def _checked(pixels):
    """Return pixels, or raise unless they are RGB and not empty."""
    sizes = tf.shape(pixels)
    right = tf.debugging.Assert(
        tf.reduce_all(sizes > 0) & (sizes[-1] == 3),
        ["Expected RGB pixels with no size of 0. Received sizes:", sizes],
    )
    with tf.control_dependencies([right]):
        return tf.identity(pixels)


def _finite(x, pixels, served: InferenceModel):
    """Return x, or raise if it is not finite.

    The error blames inputs smaller than the training size, else the weights.
    """
    finite = tf.reduce_all(tf.math.is_finite(x))
    sizes = tf.shape(pixels)
    is_small = tf.reduce_any(sizes[1:] < served.info.element_shape)
    checks = [
        tf.debugging.Assert(
            finite | ~is_small,
            [
                "The outputs are not finite. Expected a clip or image larger "
                "than the total stride of the network. Received sizes:",
                sizes,
            ],
        ),
        tf.debugging.Assert(finite | is_small, [NOT_FINITE]),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(x)
