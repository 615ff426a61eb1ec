"""The networks of the paper, so narrow that tests take a second."""

import contextlib

import keras

from nonlocal_tf import models
from nonlocal_tf.models import configs, video_resnet

CLIP = (8, 64, 64, 3)
IMAGE = (64, 64, 3)


def tiny(name, **options):
    """A registered network with four channels instead of 64."""
    options = {"num_classes": 7, "width": 4, **options}
    if name.startswith("image"):
        return models.create_model(name, **{"image_shape": IMAGE, **options})
    return models.create_model(
        name, **{"clip_shape": CLIP, "sampling": "8x8", **options}
    )


def shallow(backbone, **options):
    """One residual block a stage, with a non-local block behind that of res3.

    For tests that compile or train; every weight matters.
    """
    spec = configs.resnet_config(backbone, (1, 1, 1, 1), {"res3": (0,)})
    options = {
        "num_classes": 5,
        "width": 4,
        "clip_shape": (4, 32, 32, 3),
        "sampling": "8x8",
        "dropout": 0.0,
        "zero_init_residual": False,
        "nonlocal_block": {"gamma_init": 0.5},
        **options,
    }
    return video_resnet.video_resnet(spec, **options)


def outline(name, **options):
    """The same without numbers, for tests that ask how it is put together."""
    with without_weights():
        return tiny(name, **options)


@contextlib.contextmanager
def without_weights():
    """Models of all shapes and no numbers, in a quarter of the time."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # else the next scope would make them
