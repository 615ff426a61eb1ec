"""The computation of a SavedModel: the network, and the views it averages.

The network takes clips of any size, in float32 whatever it was trained in.
Batch normalizations are folded into convolutions.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf import preprocess

from ..data import frame_sampling
from ..data.datasets import DatasetInfo
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..evaluation import resized_network, view_network
from ..evaluation.network_builder import NetworkBuilder
from ..io import finite


@dataclasses.dataclass(frozen=True)
class ViewAveraging:
    """Scoring of a whole video by averaging over views.

    Attributes:
        network: from normalized views to logits, `(batch, classes)` or
            `(batch, t, h, w, classes)`; it shares weights with the network of
            clips.
        sampling: of the frames of a clip.
        views: clips and crops of a video.
    """

    network: keras.Model
    sampling: SamplingConfig
    views: ViewsConfig


@dataclasses.dataclass(frozen=True)
class InferenceModel:
    """A trained network, ready to be exported.

    Attributes:
        info: classes, and shape of training clips or images.
        network: from normalized clips or images of any size to logits,
            `(batch, classes)`.
        averaging: scoring of videos; None for images.
    """

    info: DatasetInfo
    network: keras.Model
    averaging: ViewAveraging | None = None

    def logits(self, pixels):
        """Compute logits `(batch, classes)` of uint8 clips or images."""
        return self.network(preprocess.normalize(pixels), training=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables, shared ones once."""
        variables = list(self.network.variables)
        if self.averaging is not None:
            variables += self.averaging.network.variables
        return list({id(variable): variable for variable in variables}.values())

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    def scores(self, logits):
        """Apply a softmax, or sigmoids for multi-label data."""
        activation = tf.sigmoid if self.info.multi_label else tf.nn.softmax
        return activation(tf.cast(logits, tf.float32))


def build(
    trained: keras.Model,
    builder: NetworkBuilder,
    info: DatasetInfo,
    sampling: SamplingConfig | None = None,
    views: ViewsConfig | None = None,
    fold: bool = True,
) -> InferenceModel:
    """Build the exported form of a trained network.

    Args:
        trained: the network with its weights.
        builder: of the same network.
        info: classes, and shape of training clips or images.
        sampling: of training clips; None for synthetic data.
        views: of a video. Default: the authors' 10 x 3; for synthetic data, the
            one clip.
        fold: whether to fold batch normalizations into convolutions.

    Returns:
        A model with variables of its own.
    """
    builder = builder.for_inference()
    *sizes, channels = info.element_shape
    shape = (*(None for _ in sizes), channels)
    is_clip = len(sizes) == 3
    network = builder.build(
        **{"clip_shape" if is_clip else "image_shape": shape}
    )
    resized_network.copy_weights(trained, network)
    prepare = nl.fold if fold else lambda model: model
    network = prepare(network)
    if not is_clip:
        return InferenceModel(info, network)
    sampling, views = _default_views(sampling, views, info.element_shape)
    of_views = view_network.build_network(
        trained, builder, info.element_shape, views
    )
    shared = _with_layers_of(network, prepare(of_views))
    averaging = ViewAveraging(shared, sampling, views)
    return InferenceModel(info, network, averaging)


def check_finite(model: InferenceModel, path: object) -> None:
    """Check the outputs for a grey and a noisy example.

    Args:
        model: the network.
        path: of the run, for the message.

    Raises:
        UserError: an output is not finite.
    """
    shape = model.info.element_shape
    noise = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    for pixels in (np.full(shape, 114, "uint8"), noise):
        logits = model.logits(pixels[None])
        if not np.isfinite(np.asarray(logits, "float32")).all():
            raise finite.outputs_error(path)


def _default_views(
    sampling: SamplingConfig | None,
    views: ViewsConfig | None,
    clip_shape: tuple[int, ...],
) -> tuple[SamplingConfig, ViewsConfig]:
    if sampling is not None:
        side = sampling.eval_short_side_px
        authors = ViewsConfig(short_side_px=side, crop_px=side)
        return sampling, views or authors
    frames, side = clip_shape[:2]
    synthetic = SamplingConfig(
        frames, frame_stride=1, crop_px=side, eval_short_side_px=side
    )
    return synthetic, frame_sampling.middle(synthetic)


def _with_layers_of(network: keras.Model, other: keras.Model) -> keras.Model:
    """Clone `other`, sharing the layers of `network` that have weights."""

    def clone(layer):
        if layer.weights:
            return network.get_layer(layer.name)
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(other, clone_function=clone)
