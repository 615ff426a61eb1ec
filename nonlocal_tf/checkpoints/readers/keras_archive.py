"""Models in `.keras` files, which Keras itself builds and loads.

Keras trusts such a file more than we do: the file says how large its layers
and its own parts are, and older versions follow what refers to other files. So
all of it is checked, and counted, before Keras opens it.
"""

import contextlib
import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError, damaged
from nonlocal_tf.checkpoints.read import check_numbers, opened
from nonlocal_tf.checkpoints.readers import hdf5, zip_archives
from nonlocal_tf.checkpoints.size_limits import JSON_TIMES, Budget

# Since then loading opens no other files through HDF5's external storage,
# links and virtual datasets; 3.12 is still mended, 3.13 and 3.14 were not.
MENDED, MENDED_312 = (3, 15, 1), (3, 12, 4)
DESCRIPTIONS = ("config.json", "metadata.json")
# Bytes of weights that a file of so many bytes may have.
TIMES, LEAST = 2, 2**22
# One at a time, as a load replaces a method of all layers.
LOADING = threading.RLock()
TOO_LARGE = (
    "The layers of the file are far larger than its weights: it is not opened, "
    "as it may be made to fill memory."
)


def load(path: str | os.PathLike) -> keras.Model:
    """Loads a model, of a file that is checked first.

    Raises:
        CheckpointError: the file is damaged, refers to other files, unpacks to
            too much or has numbers that are not finite; or this version of
            Keras must not open it.
        OSError: it cannot be opened.
    """
    with opened(path) as file:
        check_keras(keras.__version__)
        size = os.fstat(file.fileno()).st_size
        _check_archive(file, Budget(size))
        with damaged("The model"), LOADING, _counted_weights(size):
            model = keras.models.load_model(path)
        for variable in model.weights:
            if keras.backend.is_float_dtype(variable.dtype):
                array = keras.ops.convert_to_numpy(variable)
                check_numbers({variable.path: array.astype("float32")})
        return model


def check_keras(version: str) -> None:
    """Raises a CheckpointError for a Keras whose loading discloses files.

    Args:
        version: of Keras.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers >= MENDED or MENDED_312 <= numbers < (3, 13):
        return
    raise CheckpointError(
        "Expected Keras 3.12.4, or 3.15.1 and newer, to load a .keras file: "
        "others may be made to open any file that you can read. Received: "
        f"Keras {version}. Upgrade it with: pip install -U keras"
    )


def _check_archive(file: BinaryIO, budget: Budget) -> None:
    with zip_archives.opened(file, budget) as archive:
        for entry in archive.infolist():
            zip_archives.check_compression(entry)
            is_text = entry.filename in DESCRIPTIONS
            times = JSON_TIMES if is_text else 1
            budget.take(times * entry.file_size)
        weights = hdf5.in_keras_archive(file, Budget(file.seek(0, 2)))
    if weights is not None:
        hdf5.check(weights, budget)


@contextlib.contextmanager
def _counted_weights(size: int) -> Iterator[None]:
    """Counts the weights of layers before Keras makes them.

    A file says in a few letters that a layer has thousands of millions.

    Args:
        size: of the file, which has all weights.
    """
    add_weight = keras.layers.Layer.add_weight
    bytes_left = TIMES * size + LEAST

    def counted(
        layer: keras.Layer,
        *arguments: Any,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> keras.Variable:
        nonlocal bytes_left
        kind = keras.backend.standardize_dtype(dtype or layer.variable_dtype)
        bits = re.search(r"\d+$", kind)
        bytes_left -= math.prod(shape or ()) * int(bits[0] if bits else 8) // 8
        if bytes_left < 0:
            raise CheckpointError(TOO_LARGE)
        return add_weight(
            layer, *arguments, shape=shape, dtype=dtype, **options
        )

    keras.layers.Layer.add_weight = counted
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add_weight
