"""The table of models: `register_model`, `create_model`, `list_models`."""

import fnmatch
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from nonlocal_tf.choices import check_arguments, unknown

BuilderT = TypeVar("BuilderT", bound=Callable[..., keras.Model])
MODELS: dict[str, Callable[..., keras.Model]] = {}


def register_model(builder: BuilderT) -> BuilderT:
    """Function decorator: makes a builder known under its own name."""
    return add_model(builder.__name__, builder)


def add_model(name: str, builder: BuilderT) -> BuilderT:
    """Makes a builder known under a name."""
    if name in MODELS:
        raise ValueError(f"Model {name!r} exists already.")
    MODELS[name] = builder
    return builder


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Builds a registered model; its outputs are logits, if not asked else.

    The paper's networks on clips, `c2d_r50`, `i3d_nl5_r101` and so on, take
    the arguments of `nonlocal_tf.models.video.video_resnet`, whose help says
    all of them; the image networks `image_r50` and `image_r101` those of
    `nonlocal_tf.models.image.image_resnet`. The most used:

    - `num_classes`: how many logits;
    - `clip_shape`: `(time, height, width, channels)`, all but the channels may
      be None (image networks: `image_shape`);
    - `sampling`: "8x8", "32x2", "32x4" or "128x1", the authors' graph for it;
    - `inflation`: "3x1x1" or "3x3x3", of I3D;
    - `pairwise`, `scale`, `axes`, `nonlocal_places`, `nonlocal_groups`,
      `nonlocal_block`: which non-local blocks, and where they look;
    - `head`: "classification", "fully_convolutional", "multi_label" or
      "none"; `outputs`: "logits" or "probabilities";
    - `norm`: "batch", or "affine" for scales and shifts that are not trained;
    - `stem`, `stride_on`, `crop_px`, `dropout`; and `width`, the channels of
      the first convolution (64), for a narrow network to try things with.

    C2D networks give a clip and its frames in another order the same logits,
    with blocks and without; I3D networks see motion and order.

    The networks called `_small` take `num_classes`, `clip_shape` or
    `image_shape`, and with blocks `nonlocal_block`.

    Args:
        name: one of `list_models()`.
        **arguments: of that model's builder.

    Returns:
        A functional model.

    Raises:
        ValueError: no model has this name, or an argument has a bad value.
        TypeError: the model has no such argument.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl5_r50", num_classes=5, sampling="8x8")
    >>> model.input_shape, model.output_shape
    ((None, 8, 224, 224, 3), (None, 5))
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, list_models()))
    check_arguments(name, MODELS[name], arguments)
    return MODELS[name](**arguments)


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered models that match a shell pattern.

    >>> import nonlocal_tf as nl
    >>> nl.list_models("i3d_nl5_*")
    ['i3d_nl5_r101', 'i3d_nl5_r50']
    """
    return sorted(fnmatch.filter(MODELS, pattern))
