"""What a SavedModel computes: the network, and the views it averages.

The network takes clips of any size, in float32 whatever it was trained in.
Its normalisations are folded into its convolutions.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import nonlocal_tf as nl
from nonlocal_tf import preprocess

from ..data import Dataset
from ..data import sampling as samples
from ..data.datasets import DatasetInfo
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..evaluation import view_network
from ..loop import finite
from ..recipes.schema import Recipe
from ..runs import run_model


@dataclasses.dataclass(frozen=True)
class ServedViews:
    """How a video is looked at.

    Attributes:
        network: from normalised views to logits, `(batch, classes)` or
            `(batch, t, h, w, classes)`; the weights are the other network's.
        sampling: which frames of a video make a clip.
        views: which clips and crops are averaged.
    """

    network: keras.Model
    sampling: SamplingConfig
    views: ViewsConfig


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A trained network, ready to be exported.

    Attributes:
        recipe: how it was trained.
        dataset: on what.
        network: from normalised clips or images of any size to logits,
            `(batch, classes)`.
        of_videos: how videos are looked at; None for images.
    """

    recipe: Recipe
    dataset: Dataset | DatasetInfo
    network: keras.Model
    of_videos: ServedViews | None = None

    def logits(self, pixels):
        """Logits `(batch, classes)` of uint8 clips or images."""
        return self.network(preprocess.normalize(pixels), training=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """Each once: the views' network shares those of the other."""
        every = list(self.network.variables)
        if self.of_videos is not None:
            every += self.of_videos.network.variables
        return list({id(variable): variable for variable in every}.values())

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    def scores(self, logits):
        """Probabilities: a softmax, or sigmoids for several labels a clip."""
        of = tf.sigmoid if self.dataset.multi_label else tf.nn.softmax
        return of(tf.cast(logits, tf.float32))


def build(
    trained: keras.Model,
    recipe: Recipe,
    dataset: Dataset | DatasetInfo,
    fold: bool = True,
) -> ServedModel:
    """The network of a run as it is served.

    Args:
        trained: from `run_model.load_trained`.
        recipe: of the run.
        dataset: of the run.
        fold: whether normalisations become part of convolutions.

    Returns:
        A network of its own variables.
    """
    # What was trained in halves is served exactly; one device alone serves.
    training = dataclasses.replace(
        recipe.training, precision="float32", synchronized_bn=False
    )
    built = dataclasses.replace(recipe, training=training)
    *sizes, channels = dataset.element_shape
    shape = (*(None for _ in sizes), channels)
    is_clip = len(sizes) == 3
    given = {"clip_shape" if is_clip else "image_shape": shape}
    network = run_model.build_model(built, dataset, **given)
    view_network.copy_weights(trained, network)
    prepare = nl.fold if fold else lambda model: model
    network = prepare(network)
    if not is_clip:
        return ServedModel(recipe, dataset, network)
    sampling, views = _views(recipe, dataset)
    of_views = view_network.build_network(trained, built, dataset, views)
    shared = _with_layers_of(network, prepare(of_views))
    seen = ServedViews(shared, sampling, views)
    return ServedModel(recipe, dataset, network, seen)


def check_finite(served: ServedModel, path: object) -> None:
    """Ask a network for its outputs of a grey and of a noisy example.

    Args:
        served: the network.
        path: of the run, for the message.

    Raises:
        UserError: they are not finite.
    """
    shape = served.dataset.element_shape
    noise = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    for pixels in (np.full(shape, 114, "uint8"), noise):
        logits = served.logits(pixels[None])
        if not np.isfinite(np.asarray(logits, "float32")).all():
            raise finite.outputs_error(path)


def _views(recipe, dataset) -> tuple[SamplingConfig, ViewsConfig]:
    """The recipe's, or the authors' 10 x 3; of what is drawn, the one clip."""
    if recipe.sampling is not None:
        side = recipe.sampling.eval_short_side_px
        usual = ViewsConfig(short_side_px=side, crop_px=side)
        return recipe.sampling, recipe.views or usual
    frames, side = dataset.element_shape[:2]
    drawn = SamplingConfig(
        frames, frame_stride=1, crop_px=side, eval_short_side_px=side
    )
    return drawn, samples.middle(drawn)


def _with_layers_of(network: keras.Model, other: keras.Model) -> keras.Model:
    """The other model with this one's layers where they have weights."""

    def clone(layer):
        if layer.weights:
            return network.get_layer(layer.name)
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(other, clone_function=clone)
