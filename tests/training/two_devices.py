"""A step of training on two devices; run by test_devices.py."""

import sys

import keras
import numpy as np
import tensorflow as tf

import nonlocal_tf as nl
from tests import harness
from tests.models.tiny import shallow
from training.loop.fused_batch_norm import use_fused_batch_norm

CLIPS = 4


def compiled(path, **options):
    """Build a compiled network with the weights of a file."""
    model = shallow("i3d", **options)
    nl.load_weights(model, path)
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return model


def step(model):
    """Train one step; return the weights."""
    x = harness.normal((CLIPS, *model.input_shape[1:]))
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(CLIPS)))
    model.fit(data.batch(CLIPS, drop_remainder=True), verbose=0)
    return [np.asarray(weight) for weight in model.weights]


def main(case, folder):
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    path = f"{folder}/weights.pkl"
    source = shallow("i3d")
    harness.randomise(source, 0.1)
    nl.save_weights(source, path, "caffe2")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    synchronized = case == "synchronized"
    with strategy.scope():
        model = compiled(path, bn_synchronized=synchronized)
        if not synchronized:
            assert use_fused_batch_norm(model) > 0
    before = [np.asarray(weight) for weight in model.weights]
    after = step(model)
    for old, new, weight in zip(before, after, model.weights, strict=True):
        assert np.isfinite(new).all(), weight.path
        # Batch normalization removes a bias before it.
        if not weight.path.endswith(("/bias", "seed_generator_state")):
            assert (new != old).any(), weight.path
    if synchronized:
        # Two devices equal one device with all clips.
        for got, expected, weight in zip(
            after, step(compiled(path)), model.weights, strict=True
        ):
            bound = 1e-4 * np.abs(expected).max() + 1e-6
            np.testing.assert_allclose(
                got, expected, rtol=0, atol=bound, err_msg=weight.path
            )
    print("as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
