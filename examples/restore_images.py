"""Restore noisy images with a non-local block at full resolution.

Each image, 512 x 512, has stripes of its own direction and width, below noise
stronger than they are. A convolution has to filter all images alike. In a block
each of the 262,144 positions attends to all: with the dot product, it amplifies
the patches that this image repeats. The matrix of affinities would take 275 GB;
the block does not build it. Takes half a minute on two CPU cores (Linux):

    python restore_images.py
"""

import resource

import keras
import numpy as np
from keras import layers

import nonlocal_tf as nl

SIZE = 512  # pixels
NOISE = 1.5  # standard deviation; that of the stripes is 1


def make_images(count, seed):
    """Return noisy and clean images, (count, 512, 512, 1) each."""
    draw = np.random.default_rng(seed)
    clean = np.zeros((count, SIZE, SIZE, 1), "float32")
    y, x = np.mgrid[:SIZE, :SIZE].astype("float32")
    for image in clean:
        angle, phase = draw.uniform(0, 2 * np.pi, 2)
        frequency = 2 * np.pi / draw.uniform(3, 6)  # stripes of 3 to 6 pixels
        along = np.cos(angle) * x + np.sin(angle) * y
        image[..., 0] = np.sqrt(2) * np.sin(frequency * along + phase)
    noise = draw.standard_normal(clean.shape, "float32")
    return clean + NOISE * noise, clean


def my_model(block):
    """Return a small convolutional network, with or without a block."""
    x = images = keras.Input((None, None, 1))
    x = layers.Conv2D(25, 5, padding="same", kernel_initializer="orthogonal")(x)
    if block:
        x = nl.NonLocalBlock(
            pairwise="dot_product",  # O(n) time and memory for n positions
            bottleneck=25,
            gamma_init=1,  # act from the first step
            tie_theta_phi_init=True,  # at first, attend to similar patches
            kernel_initializer="orthogonal",
        )(x)
    x = layers.Conv2D(25, 1, activation="relu")(x)
    x = layers.Conv2D(1, 1, kernel_initializer="zeros")(x)
    return keras.Model(images, x)


def ratio_db(error):
    """Return the signal-to-noise ratio of a mean squared error, in dB."""
    return -10 * np.log10(error)  # the signal has variance 1


def trained_ratio(block, seed):
    """Train a network, and return its signal-to-noise ratio on new images."""
    keras.utils.set_random_seed(seed)
    model = my_model(block)
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit(*make_images(72, seed), batch_size=1, verbose=0)
    new = make_images(8, seed + 1000)
    return ratio_db(model.evaluate(*new, batch_size=1, verbose=0))


if __name__ == "__main__":
    print(f"noisy images:    {ratio_db(NOISE**2):.1f} dB")
    print(f"without a block: {trained_ratio(block=False, seed=0):.1f} dB")
    print(f"with one block:  {trained_ratio(block=True, seed=0):.1f} dB")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    print(f"peak memory:     {memory * 1024 / 1e9:.2f} GB")
