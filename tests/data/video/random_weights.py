"""Made-up weights for a list of (name, shape): the same on any machine."""

import zlib

import numpy as np


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight of a name, in the range of those of trained networks.

    Args:
        name: decides the numbers, and by its end what kind of weight it is.
        shape: with two or more axes a kernel, `(out, in, ...)`.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        gain = 0.1 if "nonlocal" in name or "non_local" in name else 1.0
        power = 1.0 if len(shape) == 2 else 2.0
        values = gain * rng.standard_normal(shape) * np.sqrt(power / fan_in)
    elif name.endswith(("running_var", "_riv", "_rv")):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "_rm")):
        values = rng.standard_normal(shape) * 0.1
    elif name.endswith((".weight", "_bn_s", "_s")):
        values = rng.uniform(0.3, 0.9, shape)
    else:
        values = rng.standard_normal(shape) * 0.05
    return values.astype("float32")
