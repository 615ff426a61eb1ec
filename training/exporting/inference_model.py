"""The computation of a SavedModel: the network, and the views it averages.

The network takes clips of any size where it can, in float32 whatever it was
trained in. Batch normalizations are folded into convolutions.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf import layers
from nonlocal_tf.models import flattening
from nonlocal_tf.models.layer_copy import check_not_quantized, copy_layer

from ..data import frame_sampling
from ..data.dataset_info import DatasetInfo
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..evaluation import resized_network
from ..evaluation.classifier import Classifier
from ..io import finite
from ..io.user_error import UserError
from . import served_attention
from .clip_description import ClipDescription
from .served_attention import ServedBlock

FOLDED = (layers.Conv2D, layers.Conv3D, layers.NonLocalBlock)


@dataclasses.dataclass(frozen=True)
class ViewAveraging:
    """Scoring of a whole video by averaging over views.

    Attributes:
        classifier: of the views; it shares weights with that of clips.
        sampling: of the frames of a clip.
        views: clips and crops of a video.
        has_windows: whether scores are averages over windows of the training
            size, instead of scores of whole views.
    """

    classifier: Classifier
    sampling: SamplingConfig
    views: ViewsConfig
    has_windows: bool = False


@dataclasses.dataclass(frozen=True)
class InferenceModel:
    """A trained network, ready to be exported.

    Attributes:
        info: classes, and shape of training clips or images.
        classifier: of clips or images of any size, where the network can.
        averaging: scoring of videos; None for images, and for networks of
            clips of one size that is not square.
        clips: how clips are made of videos, for assets/clips.json.
    """

    info: DatasetInfo
    classifier: Classifier
    averaging: ViewAveraging | None = None
    clips: ClipDescription = ClipDescription(None)

    @property
    def network(self) -> keras.Model:
        """The network of clips or images."""
        return self.classifier.model

    @property
    def input_name(self) -> str:
        """Name of the input of signatures."""
        return "images" if len(self.info.element_shape) == 3 else "clips"

    def prepare(self, pixels):
        """Turn uint8 clips or images into the input of the network."""
        return self.classifier.prepare(pixels)

    @functools.cached_property
    def features(self) -> keras.Model | None:
        """The network up to its last layer with weights; None without it."""
        graph = flattening.flatten(self.network)
        calls = [call for call in graph.calls if call.layer.weights]
        if not calls or not isinstance(calls[-1].input, keras.KerasTensor):
            return None
        is_first = calls[-1].input is graph.input
        return None if is_first else keras.Model(graph.input, calls[-1].input)

    @functools.cached_property
    def blocks(self) -> dict[str, ServedBlock]:
        """The non-local blocks of the signature `attention`, by name."""
        return served_attention.blocks_of(self.network)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables, shared ones once."""
        variables = list(self.network.variables)
        if self.averaging is not None:
            variables += self.averaging.classifier.model.variables
        # Of a Keras layer, such as keras.layers.Normalization.
        variables += getattr(self.classifier.preprocess, "variables", [])
        return list({id(variable): variable for variable in variables}.values())

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes


def build(
    classifier: Classifier,
    info: DatasetInfo,
    sampling: SamplingConfig | None = None,
    views: ViewsConfig | None = None,
    fold: bool = True,
) -> InferenceModel:
    """Build the exported form of a trained network.

    Args:
        classifier: the trained network.
        info: classes, and shape of training clips or images.
        sampling: of training clips; None without videos.
        views: of a video. Default: the authors' 10 x 3, of the size of the
            clips if the network takes no other; without videos, the one clip.
        fold: whether to fold batch normalizations into convolutions.

    Returns:
        A model in float32.

    Raises:
        UserError: the network does not take such views.
        ValueError: it is quantized.
    """
    check_not_quantized(
        classifier.model,
        "Export it before it is quantized; int8 is a `dtype` of the export.",
    )
    prepare: Callable = _folded if fold else lambda classifier: classifier
    network = prepare(_of_any_size(classifier, info.element_shape))
    if len(info.element_shape) == 3:
        clips = ClipDescription(None, multi_label=info.multi_label)
        return InferenceModel(info, network, clips=clips)
    clips = ClipDescription(
        sampling,
        views,
        info.multi_label,
        classifier.window_px(ViewsConfig(), info.element_shape),
    )
    if sampling is None:
        sampling, views = _one_clip(info.element_shape)
        if not _takes(network, sampling, views):
            return InferenceModel(info, network, clips=clips)
    elif views is None:
        views = _authors_views(sampling)
        if not _takes(network, sampling, views):
            views = dataclasses.replace(views, crop_px=sampling.crop_px)
            clips = dataclasses.replace(clips, views=views)
    window_px = classifier.window_px(views, info.element_shape)
    has_windows = window_px not in (None, views.crops and views.crop_px)
    of_views = network
    if has_windows:
        of_views = prepare(
            classifier.for_views(views, info.element_shape, dtype="float32")
        )
        of_views = of_views.replace(
            _with_layers_of(network.model, of_views.model)
        )
    _check_size(of_views, sampling, views)
    averaging = ViewAveraging(of_views, sampling, views, has_windows)
    return InferenceModel(info, network, averaging, clips)


def _of_any_size(
    classifier: Classifier, clip_shape: tuple[int, ...]
) -> Classifier:
    """Return the classifier of clips of any size, or of its own, in float32.

    The sizes that a cloned network is tried on are all, those of frames, and
    none: Keras' TimeDistributed is wrong for an unknown number of frames.
    """
    *sizes, channels = clip_shape
    shape = (*(None for _ in sizes), channels)
    if resized_network.has_window_head(classifier.model):  # of ours
        return classifier.replace(classifier.for_clips(shape, dtype="float32"))
    own = classifier.replace(classifier.for_clips(clip_shape, dtype="float32"))
    for any_size in (shape, (sizes[0], *shape[1:])):
        # Some layers have weights for each position, or fail on a clip.
        with contextlib.suppress(ValueError, tf.errors.OpError):
            network = classifier.replace(
                classifier.for_clips(any_size, dtype="float32")
            )
            if network.model is own.model or _agree(network, own, clip_shape):
                return network
    return own


def _agree(
    classifier: Classifier, other: Classifier, clip_shape: tuple[int, ...]
) -> bool:
    """Return True if two classifiers have equal outputs for noise."""
    rng = np.random.default_rng(0)
    batch = 3 if clip_shape[0] == 2 else 2  # not the number of frames
    pixels = rng.integers(0, 256, (batch, *clip_shape), "uint8")
    return np.allclose(
        classifier.probabilities(pixels),
        other.probabilities(pixels),
        rtol=0,
        atol=1e-4,
        equal_nan=True,
    )


def _folded(classifier: Classifier) -> Classifier:
    """Fold the normalizations of a network with layers of this library."""
    graph = flattening.flatten(classifier.model)
    if not any(isinstance(call.layer, FOLDED) for call in graph.calls):
        return classifier
    return classifier.replace(nl.fold(classifier.model))


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
        outputs = model.classifier.outputs(pixels[None])
        if not np.isfinite(outputs).all():
            raise finite.outputs_error(path)


def _one_clip(
    clip_shape: tuple[int, ...],
) -> tuple[SamplingConfig, ViewsConfig]:
    """Return sampling and views of videos that are clips already."""
    frames, side = clip_shape[:2]
    sampling = SamplingConfig(
        frames, frame_stride=1, crop_px=side, eval_short_side_px=side
    )
    return sampling, frame_sampling.middle(sampling)


def _authors_views(sampling: SamplingConfig) -> ViewsConfig:
    """Return the authors' 10 x 3 views, of the size of validation."""
    side = sampling.eval_short_side_px
    return ViewsConfig(short_side_px=side, crop_px=side)


def _takes(
    classifier: Classifier, sampling: SamplingConfig, views: ViewsConfig
) -> bool:
    side = views.crop_px if views.crops else None
    shape = (sampling.frames, side, side, 3)
    return resized_network.accepts(classifier.model.inputs[0].shape[1:], shape)


def _check_size(
    classifier: Classifier, sampling: SamplingConfig, views: ViewsConfig
) -> None:
    """Raise a UserError unless the network takes such views."""
    if not _takes(classifier, sampling, views):
        size = f"{views.crop_px} px" if views.crops else "whole frames"
        raise UserError(
            "Expected views of a size that the network takes, clips of "
            f"{classifier.clip_shape}. Received: {sampling.frames} frames of "
            f"{size}"
        )


def _with_layers_of(network: keras.Model, other: keras.Model) -> keras.Model:
    """Clone `other`, sharing the layers of `network` that have weights."""

    def clone(layer):
        if layer.weights:
            return network.get_layer(layer.name)
        return copy_layer(layer)

    return keras.models.clone_model(other, clone_function=clone)
