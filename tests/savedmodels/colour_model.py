"""A small SavedModel with the signatures of an export.

Its scores are the shares of red, green and blue in all pixels.
"""

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

CLASSES = ["red", "green", "blue"]
SIZE = (5, 7)  # height, width


def shares(pixels: np.ndarray) -> np.ndarray:
    """Compute the expected scores, float64 `(3,)` of `(..., 3)` pixels."""
    sums = pixels.reshape(-1, 3).astype(np.float64).sum(0) + 1
    return sums / sums.sum()


class Shares(tf.Module):
    """Module whose scores are the shares of the colours."""

    def __init__(self):
        super().__init__()
        self.one = tf.Variable(1.0)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, *SIZE, 3), tf.uint8, "clips")
        ]
    )
    def clips(self, clips):
        """The signature serving_default."""
        some = tf.debugging.assert_positive(
            tf.shape(clips), "Expected pixels: no size may be 0."
        )
        with tf.control_dependencies([some]):
            shares = self._shares(tf.cast(clips, tf.float32))
        best = tf.argmax(shares, axis=-1)
        return {
            "probabilities": shares,
            "logits": tf.math.log(shares),
            "class_name": tf.gather(CLASSES, best),
        }

    @tf.function(
        input_signature=[tf.TensorSpec((None, None), tf.string, "frames_bytes")]
    )
    def frames(self, frames_bytes):
        """The signature serve_frames."""
        some = tf.debugging.assert_positive(
            tf.shape(frames_bytes), "Expected at least one frame a video."
        )
        with tf.control_dependencies([some]):
            shares = tf.map_fn(
                self._video,
                frames_bytes,
                fn_output_signature=tf.TensorSpec((3,), tf.float32),
            )
        scores, places = tf.math.top_k(shares, 3)
        return {
            "probabilities": shares,
            "top_k_classes": tf.gather(CLASSES, places),
            "top_k_scores": scores,
        }

    def _video(self, files):
        def decode(file):
            image = tf.io.decode_image(file, 3, expand_animations=False)
            return tf.image.resize(
                tf.ensure_shape(image, (None, None, 3)), SIZE
            )

        spec = tf.TensorSpec((*SIZE, 3), tf.float32)
        frames = tf.map_fn(decode, files, fn_output_signature=spec)
        return self._shares(frames[None])[0]

    def _shares(self, pixels):
        sums = tf.reduce_sum(pixels, (1, 2, 3)) + self.one
        return sums / tf.reduce_sum(sums, axis=-1, keepdims=True)


def write(path: pathlib.Path, warm_up: bool = True) -> pathlib.Path:
    """Writes it as a version."""
    module = Shares()
    signatures = {
        "serving_default": module.clips,
        "serve_frames": module.frames,
    }
    tf.saved_model.save(module, str(path), signatures)
    if warm_up:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = path.parent.name
        clips = np.zeros((1, 2, *SIZE, 3), np.uint8)
        request.inputs["clips"].CopyFrom(tf.make_tensor_proto(clips))
        extra = path / "assets.extra"
        extra.mkdir()
        file = str(extra / "tf_serving_warmup_requests")
        with tf.io.TFRecordWriter(file) as writer:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return path
