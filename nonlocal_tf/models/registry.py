"""Registry of models: `register_model`, `create_model`, `list_models`."""

import fnmatch
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from nonlocal_tf.choices import check_arguments, unknown
from nonlocal_tf.layers.data_format import check_channels_last

BuilderT = TypeVar("BuilderT", bound=Callable[..., keras.Model])
MODELS: dict[str, Callable[..., keras.Model]] = {}


def register_model(builder: BuilderT) -> BuilderT:
    """Function decorator that registers a builder under its own name."""
    return add_model(builder.__name__, builder)


def add_model(name: str, builder: BuilderT) -> BuilderT:
    """Register a builder under a name."""
    if name in MODELS:
        raise ValueError(f"Model {name!r} exists already.")
    MODELS[name] = builder
    return builder


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Build a registered model; by default its outputs are logits.

    The paper's networks on clips, such as `c2d_r50` and `i3d_nl5_r101`, take
    the arguments of `nonlocal_tf.models.video_resnet.video_resnet`; the image
    networks `image_r50` and `image_r101` those of
    `nonlocal_tf.models.image_resnet.image_resnet`. The most common:

    - `num_classes`: number of logits;
    - `clip_shape`: `(time, height, width, channels)`, all but the channels may
      be None (image networks: `image_shape`);
    - `sampling`: "8x8", "32x2", "32x4" or "128x1", with the authors' network
      for it;
    - `inflation`: "3x1x1" or "3x3x3" (I3D);
    - `pairwise`, `scale`, `axes`, `position`, `nonlocal_places`,
      `nonlocal_groups`, `nonlocal_block`: options of the non-local blocks;
    - `head`: "classification", "fully_convolutional", "multi_label" or
      "none"; `outputs`: "logits" or "probabilities";
    - `norm`: "batch", or "affine" for scales and shifts that are not trained;
    - `stem`, `stride_on`, `crop_px`, `dropout`; and `width`, the channels of
      the first convolution (64), to build a narrow network for experiments;
    - `gradient_checkpointing`: train in less memory, in more time.

    A network classifies by what it relates. C2D ignores the order of frames,
    with non-local blocks and without, unless they have `position`; I3D relates
    a few neighbouring frames. Blocks relate distant places of a frame
    (`axes="space"`), a place in distant frames ("time") or both ("spacetime",
    the default). `docs/pages/abilities.md` shows each on clips that take it.

    The `_small` networks take `num_classes`, `clip_shape` or `image_shape`, and
    with blocks the options of `nonlocal_tf.models.small_convnet.clip_convnet`.

    Args:
        name: name in `list_models()`.
        **arguments: arguments of the model's builder.

    Returns:
        A functional model.

    Raises:
        ValueError: unknown model, an invalid value of an argument, or Keras
            is set to channels first.
        TypeError: unknown argument.

    Example:

    >>> import nonlocal_tf as nl
    >>> model = nl.create_model("c2d_nl5_r50", num_classes=5, sampling="8x8")
    >>> model.input_shape, model.output_shape
    ((None, 8, 224, 224, 3), (None, 5))
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, list_models()))
    check_arguments(name, MODELS[name], arguments)
    check_channels_last()
    return MODELS[name](**arguments)


def list_models(pattern: str = "*") -> list[str]:
    """List the registered models whose names match a shell pattern.

    Args:
        pattern: shell-style pattern, such as "i3d_*".

    Example:

    >>> import nonlocal_tf as nl
    >>> nl.list_models("i3d_nl5_*")
    ['i3d_nl5_r101', 'i3d_nl5_r50']
    """
    return sorted(fnmatch.filter(MODELS, pattern))
