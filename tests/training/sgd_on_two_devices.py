"""SGD on two devices; run by test_optimizers.py."""

import keras
import numpy as np
import tensorflow as tf

from training.loop import optimizers

STEPS, SHAPES = 7, {"kernel": (2, 3), "gamma": (5,)}


def path(strategy, shares):
    """Train; return the weights. Each device adds its share of gradients."""
    random = np.random.default_rng(0)
    with strategy.scope():
        optimizer = optimizers.SGD(0.1, momentum=0.9, l2=0.02)
        weights = [
            keras.Variable(random.normal(size=shape), name=name)
            for name, shape in SHAPES.items()
        ]
        optimizer.build(weights)

    @tf.function
    def step(gradients):
        def apply():
            context = tf.distribute.get_replica_context()
            share = tf.constant(shares)[context.replica_id_in_sync_group]
            optimizer.apply([share * g for g in gradients], weights)

        strategy.run(apply)

    for _ in range(STEPS):
        step([random.normal(size=s).astype("float32") for s in SHAPES.values()])
    return [np.array(weight) for weight in weights]


def main():
    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpus[0], [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    two_devices = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert two_devices.num_replicas_in_sync == 2
    one_device = tf.distribute.MirroredStrategy(["CPU:0"])
    # Shares of 1/4 and 3/4 add up to the gradient, up to one rounding per step.
    for a, b in zip(
        path(two_devices, [0.25, 0.75]), path(one_device, [1.0]), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    print("as expected")


if __name__ == "__main__":
    main()
