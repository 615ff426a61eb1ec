"""Files of pseudo-random weights in the formats of other software."""

import json
import pathlib
import pickle

import numpy as np

from nonlocal_tf.checkpoints.readers import pytorch, safetensors
from tests.data.video.random_weights import weight
from tests.harness import array

DATA = pathlib.Path(__file__).parent.parent / "data" / "video"
STATE_KEYS = {
    "slowfast": "model_state",
    "pytorchvideo": "model_state",
    "mmaction2": "state_dict",
}


def weights_of(names, shapes):
    """Return pseudo-random weights by name, of shapes in JSON."""
    return {
        str(name): weight(str(name), tuple(json.loads(str(shape))))
        for name, shape in zip(names, shapes, strict=True)
    }


def write(path, file_format, arrays):
    """Write arrays in a format; return the path."""
    with open(path, "wb") as file:
        if file_format == "caffe2":
            pickle.dump({"blobs": arrays}, file, protocol=2)
        elif file_format == "huggingface":
            safetensors.write(file, arrays, {"format": "pt"})
        elif file_format in STATE_KEYS:
            pytorch.write(file, {STATE_KEYS[file_format]: arrays, "epoch": 3})
        else:
            pytorch.write(file, arrays)
    return path


def clip(shape, seed):
    """Return the clip of stored logits."""
    x = np.random.default_rng(seed).standard_normal(tuple(shape))
    return x.astype("float32")


def relative_error(y, logits):
    """Return the largest difference over the deviation of the logits."""
    y = array(y).reshape(logits.shape)
    return np.abs(y - logits).max() / logits.std()
