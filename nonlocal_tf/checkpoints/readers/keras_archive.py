"""Models in `.keras` files, checked before Keras loads them.

Keras trusts such files: they declare the sizes of layers and of their own
parts, and older versions of Keras follow references to other files.
"""

import contextlib
import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import keras

from nonlocal_tf.checkpoints.errors import CheckpointError, as_checkpoint_error
from nonlocal_tf.checkpoints.read import check_finite, open_checkpoint
from nonlocal_tf.checkpoints.readers import hdf5, zip_archives
from nonlocal_tf.checkpoints.size_limits import JSON_FACTOR, MemoryBudget

# First versions that open no other files through HDF5's external storage,
# links and virtual datasets. 3.12 has a fix, 3.13 and 3.14 have none.
FIXED, FIXED_312 = (3, 15, 1), (3, 12, 4)
JSON_FILES = ("config.json", "metadata.json")
# Maximum bytes of variables: FACTOR * file size + MIN_BYTES.
FACTOR, MIN_BYTES = 2, 2**22
# Loading replaces a method of all layers, so one at a time.
LOCK = threading.RLock()
TOO_LARGE = (
    "The layers of the file are far larger than its weights. It is not loaded: "
    "this may be a denial of service."
)


def load(path: str | os.PathLike) -> keras.Model:
    """Check a `.keras` file and load its model.

    Raises:
        CheckpointError: the file is damaged, refers to other files, unpacks to
            too much or has weights that are not finite; or this version of
            Keras is unsafe.
        OSError: the file cannot be opened.
    """
    with open_checkpoint(path) as file:
        check_keras(keras.__version__)
        size = os.fstat(file.fileno()).st_size
        _check_archive(file, MemoryBudget(size))
        with as_checkpoint_error("The model"), LOCK, limited_variables(size):
            model = keras.models.load_model(path)
        for variable in model.weights:
            if keras.backend.is_float_dtype(variable.dtype):
                array = keras.ops.convert_to_numpy(variable)
                check_finite({variable.path: array.astype("float32")})
        return model


def check_keras(version: str) -> None:
    """Raise a CheckpointError for a version of Keras that leaks other files.

    Args:
        version: version of Keras.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    if numbers >= FIXED or FIXED_312 <= numbers < (3, 13):
        return
    raise CheckpointError(
        "Expected Keras 3.12.4, or 3.15.1 and newer, to load a .keras file: "
        "others let the file open any file that you can read. Received: "
        f"Keras {version}. Upgrade it with: pip install -U keras"
    )


def _check_archive(file: BinaryIO, budget: MemoryBudget) -> None:
    with zip_archives.open_archive(file, budget) as archive:
        for entry in archive.infolist():
            zip_archives.check_compression(entry)
            factor = JSON_FACTOR if entry.filename in JSON_FILES else 1
            budget.reserve(factor * entry.file_size)
        size = file.seek(0, os.SEEK_END)
        weights = hdf5.open_keras_archive(file, MemoryBudget(size))
    if weights is not None:
        hdf5.check(weights, budget)


@contextlib.contextmanager
def limited_variables(file_bytes: int) -> Iterator[None]:
    """Limit the variables that Keras creates while loading a file.

    A few bytes of a file's configuration can declare gigabytes of variables.

    Args:
        file_bytes: size of the file, which has all weights.
    """
    add_weight = keras.layers.Layer.add_weight
    available = FACTOR * file_bytes + MIN_BYTES

    def limited(
        layer: keras.Layer,
        *arguments: Any,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> keras.Variable:
        nonlocal available
        kind = keras.backend.standardize_dtype(dtype or layer.variable_dtype)
        bits = re.search(r"\d+$", kind)
        available -= math.prod(shape or ()) * int(bits[0] if bits else 8) // 8
        if available < 0:
            raise CheckpointError(TOO_LARGE)
        return add_weight(
            layer, *arguments, shape=shape, dtype=dtype, **options
        )

    keras.layers.Layer.add_weight = limited
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add_weight
