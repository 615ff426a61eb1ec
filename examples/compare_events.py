"""Compare two far events of padded time series, with a mask.

Series have 20 to 40 readings of one of four kinds, and two flagged ones, far
from each other; the class is whether these two are of the same kind. Series are
padded with zeros to 40 readings. Keras' mask tells the non-local block which
readings count. Takes a quarter of a minute on a CPU:

    python compare_events.py
"""

import keras
import numpy as np
from keras import layers

import nonlocal_tf as nl


def make_series(count, seed):
    """Return series (count, 40, 5), padded with zeros, and classes."""
    draw = np.random.default_rng(seed)
    series = np.zeros((count, 40, 5), "float32")
    same = draw.integers(0, 2, count)
    for readings, is_same in zip(series, same, strict=True):
        length = draw.integers(20, 41)
        kinds = draw.integers(0, 4, length)
        early, late = draw.integers(0, 5), length - draw.integers(1, 6)
        change = 0 if is_same else draw.integers(1, 4)
        kinds[late] = (kinds[early] + change) % 4
        readings[:length] = draw.normal(0, 0.1, (length, 5))
        readings[np.arange(length), kinds] += 1  # a channel a kind
        readings[[early, late], 4] += 1  # the flag
    return series, same


def my_model(block):
    """Return a small network without recurrence, with or without a block."""
    x = series = keras.Input((None, 5))
    x = layers.Masking()(x)  # zeros are padding
    x = layers.Dense(32, activation="relu")(x)
    if block:
        x = nl.NonLocalBlock(gamma_init=1)(x)  # takes the mask, passes it on
    x = layers.Dense(32, activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)  # over readings that count
    return keras.Model(series, layers.Dense(1, activation="sigmoid")(x))


def trained_model(block):
    """Train a network, and print its accuracy on new series."""
    keras.utils.set_random_seed(0)
    model = my_model(block)
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
    model.fit(*make_series(2000, seed=0), batch_size=50, epochs=12, verbose=0)
    accuracy = model.evaluate(*make_series(1000, seed=1), verbose=0)[1]
    name = "with one block: " if block else "without a block:"
    print(f"{name} {accuracy:.1%}")
    return model


if __name__ == "__main__":
    trained_model(block=False)
    model = trained_model(block=True)
    series, _ = make_series(100, seed=2)
    longer = np.pad(series, ((0, 0), (0, 60), (0, 0)))
    change = model.predict(series, verbose=0) - model.predict(longer, verbose=0)
    print(f"60 more zeros change predictions by {np.abs(change).max():.0e}")
