"""Warm-up requests, read by TensorFlow Serving's own messages."""

import numpy as np
import pytest
import tensorflow as tf

from training.exporting import warmup

logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")

REQUESTS = {
    "serving_default": {
        "clips": np.arange(2 * 3 * 5 * 7 * 3, dtype="uint8").reshape(
            2, 3, 5, 7, 3
        )
    },
    "attention": {
        "block": np.array(["", "a" * 300], dtype=object),
        "query": np.array([[1, 2, 3], [4, 5, 6]], "int32"),
    },
}


def test_requests_are_read_by_the_servers_messages(tmp_path):
    path = tmp_path / warmup.REQUESTS
    warmup.write(path, REQUESTS)
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    for record, (name, inputs) in zip(records, REQUESTS.items(), strict=True):
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.signature_name == name
        assert request.model_spec.name == ""
        assert sorted(request.inputs) == sorted(inputs)
        for key, value in inputs.items():
            got = tf.make_ndarray(request.inputs[key])
            expected = value.astype("S") if value.dtype == object else value
            np.testing.assert_array_equal(got, expected)


def test_every_signature_has_a_warm_up_request(tiny):
    path = tiny[1] / "assets.extra" / warmup.REQUESTS
    model = tf.saved_model.load(str(tiny[1]))
    warmed = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        tensors = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        model.signatures[name](
            **{k: tf.constant(v) for k, v in tensors.items()}
        )
        warmed.add(name)
    assert warmed == set(model.signatures)
