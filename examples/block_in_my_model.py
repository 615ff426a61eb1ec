"""Add a non-local block to a Keras model, and see what it is for.

Each image has two coloured patches far from each other; its class is whether
their colours are the same. Convolutions see one patch at a time, a non-local
block relates all positions. Takes a quarter of a minute on a CPU:

    python block_in_my_model.py
"""

import keras
import numpy as np
from keras import layers

import nonlocal_tf as nl


def make_images(count, seed):
    """Return images (count, 24, 24, 4), a channel a colour, and classes."""
    draw = np.random.default_rng(seed)
    images = draw.normal(0, 0.05, (count, 24, 24, 4)).astype("float32")
    colours = draw.integers(0, 4, (count, 2))
    same = draw.random(count) < 0.5
    other = (colours[:, 0] + draw.integers(1, 4, count)) % 4
    colours[:, 1] = np.where(same, colours[:, 0], other)
    for image, (left, right) in zip(images, colours, strict=True):
        y = draw.integers(0, 20, 2)
        image[y[0] : y[0] + 4, 1:5, left] += 1
        image[y[1] : y[1] + 4, 19:23, right] += 1
    return images, same.astype("int32")


def my_model():
    """Return a small convolutional network, as one may have it already."""
    images = keras.Input((24, 24, 4))
    x = layers.Conv2D(32, 4, strides=2, activation="relu", name="conv1")(images)
    x = layers.Conv2D(32, 3, activation="relu", name="conv2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(2)(x))


def accuracy(model):
    """Train a model, and return the accuracy on new images."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
    model.fit(*make_images(2000, seed=0), batch_size=50, epochs=8, verbose=0)
    return model.evaluate(*make_images(1000, seed=1), verbose=0)[1]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    plain = my_model()
    # In a model's definition it is one line after a layer:
    # x = nl.NonLocalBlock(pairwise="dot_product")(x)
    with_block = nl.insert_blocks(plain, after="conv2", pairwise="dot_product")
    images, _ = make_images(2, seed=2)
    np.testing.assert_allclose(plain(images), with_block(images), atol=1e-6)
    print(f"without a block: {accuracy(plain):.1%}")
    print(f"with one block:  {accuracy(with_block):.1%}")
