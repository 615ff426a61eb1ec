"""Build the network of an evaluation: fully convolutional, to scores."""

import keras

from ..data.sampling_config import ViewsConfig
from ..io.user_error import UserError
from . import resized_network
from .network_builder import NetworkBuilder


def build_network(
    trained: keras.Model,
    builder: NetworkBuilder,
    clip_shape: tuple[int, ...],
    views: ViewsConfig,
) -> keras.Model:
    """Build the network of an evaluation with the weights of a trained one.

    Frames may be larger than in training. The authors' networks and SlowFast's
    then have a score at each position, of windows of the training size. With
    `starts="mmaction2"`, as in networks without a fully convolutional head,
    global average pooling covers the whole view.

    Args:
        trained: the trained network.
        builder: of the same network.
        clip_shape: of training clips, `(time, height, width, 3)`.
        views: clips and crops of each video.

    Returns:
        A model to logits, `(batch, classes)` or `(batch, t, h, w, classes)`.

    Raises:
        UserError: the views are smaller than the windows.
    """
    frames, train_px = clip_shape[:2]
    side = views.crop_px if views.crops else None
    arguments: dict = {"clip_shape": (frames, side, side, 3)}
    if builder.has_windows:
        arguments["outputs"] = "logits"
    if builder.has_windows and views.starts != "mmaction2":
        short = views.crop_px if views.crops else views.short_side_px
        if short < train_px:
            raise UserError(
                f"This network is trained on {train_px} x {train_px} pixels. "
                f"Expected views no smaller. Received: {short}"
            )
        arguments |= {"head": "fully_convolutional", "crop_px": train_px}
    model = builder.build(**arguments)
    resized_network.copy_weights(trained, model)
    return model
