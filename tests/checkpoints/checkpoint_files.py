"""Files of made-up weights, as their sources write them."""

import json
import pathlib
import pickle

import numpy as np

from nonlocal_tf.checkpoints.readers import pytorch
from tests.data.video.random_weights import weight

DATA = pathlib.Path(__file__).parent.parent / "data" / "video"
INSIDE = {"slowfast": "model_state", "mmaction2": "state_dict"}


def weights_of(names, shapes):
    """Made-up weights by name, of shapes in JSON."""
    return {
        str(name): weight(str(name), tuple(json.loads(str(shape))))
        for name, shape in zip(names, shapes, strict=True)
    }


def write(path, source, arrays):
    """Writes arrays as one of the sources does; returns the path."""
    with open(path, "wb") as file:
        if source == "caffe2":
            pickle.dump({"blobs": arrays}, file, protocol=2)
        elif source in INSIDE:
            pytorch.write(file, {INSIDE[source]: arrays, "epoch": 3})
        else:
            pytorch.write(file, arrays)
    return path


def clip(shape, seed):
    """The clip that stored logits are of."""
    x = np.random.default_rng(seed).standard_normal(tuple(shape))
    return x.astype("float32")


def relative(y, logits):
    """The largest difference, as a share of the deviation of the logits."""
    y = np.asarray(y).reshape(logits.shape)
    return np.abs(y - logits).max() / logits.std()
