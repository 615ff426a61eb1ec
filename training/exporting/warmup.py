"""Write warm-up requests for TensorFlow Serving.

A file of TFRecords, each a `PredictionLog` of tensorflow_serving/apis. Its
three nested protocol buffers are serialized here, so that only a test needs the
package with their classes.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

REQUESTS = "tf_serving_warmup_requests"

# Numbers of fields. PredictionLog, PredictLog, PredictRequest:
PREDICT_LOG = 6
REQUEST = 1
MODEL_SPEC, INPUTS = 1, 2
SIGNATURE_NAME = 3  # in ModelSpec
KEY, VALUE = 1, 2  # of an entry of a map


def write(
    path: pathlib.Path, requests: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Write one record per request.

    Args:
        path: `assets.extra/tf_serving_warmup_requests` of a version.
        requests: inputs by name, by signature, without a model name.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(prediction_log(signature, inputs))


def prediction_log(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Serialize a `PredictionLog` of one `PredictRequest`."""
    spec = _field(SIGNATURE_NAME, signature.encode())
    request = _field(MODEL_SPEC, spec)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        entry = _field(KEY, name.encode()) + _field(VALUE, tensor)
        request += _field(INPUTS, entry)
    return _field(PREDICT_LOG, _field(REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field: key, length, content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode an integer as a varint, seven bits per byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
