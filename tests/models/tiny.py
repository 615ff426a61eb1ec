"""The paper's networks, narrow or shallow, so that tests take a second."""

import contextlib

import keras

from nonlocal_tf import models
from nonlocal_tf.models import backbones, image_resnet, video_resnet

CLIP = (8, 64, 64, 3)
IMAGE = (64, 64, 3)
ONE_BLOCK_PER_STAGE = (1, 1, 1, 1)


def tiny(name, **options):
    """Build a registered network with four channels instead of 64."""
    options = {"num_classes": 7, "width": 4, **options}
    if name.startswith("image"):
        return models.create_model(name, **{"image_shape": IMAGE, **options})
    return models.create_model(
        name, **{"clip_shape": CLIP, "sampling": "8x8", **options}
    )


def shallow(backbone, depth=ONE_BLOCK_PER_STAGE, nonlocal_res3=(0,), **options):
    """Build a network of few residual blocks, with non-local blocks at res3.

    For tests that compile or train; every weight has a gradient.

    Args:
        backbone: "c2d", "i3d" or "image".
        depth: residual blocks per stage.
        nonlocal_res3: residual blocks of res3 that a non-local block follows.
        **options: arguments of the network.
    """
    shared = {
        "num_classes": 5,
        "width": 4,
        "dropout": 0.0,
        "zero_init_residual": False,
    }
    if backbone == "image":
        config = backbones.resnet_config("c2d", depth)
        shared["image_shape"] = (32, 32, 3)
        return image_resnet.image_resnet(config, **{**shared, **options})
    places = {"res3": nonlocal_res3} if nonlocal_res3 else {}
    config = backbones.resnet_config(backbone, depth, places)
    shared |= {"clip_shape": (4, 32, 32, 3), "sampling": "8x8"}
    if nonlocal_res3:
        shared["nonlocal_block"] = {"gamma_init": 0.5}
    return video_resnet.video_resnet(config, **{**shared, **options})


def outline(name, **options):
    """Build `tiny` without weight values, for tests of its structure."""
    with without_weights():
        return tiny(name, **options)


def shallow_outline(backbone, *arguments, **options):
    """Build `shallow` without weight values, for tests of its structure."""
    with without_weights():
        return shallow(backbone, *arguments, **options)


@contextlib.contextmanager
def without_weights():
    """Build models without weight values, in a quarter of the time."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # else the next scope would initialize them
