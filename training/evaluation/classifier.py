"""Any Keras model of clips, as evaluation, prediction and export use it."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from nonlocal_tf.preprocess import normalize
from nonlocal_tf.typing import Tensor

from ..data.sampling_config import ViewsConfig
from ..io.user_error import UserError
from . import distributed_step, output_kind, resized_network
from .distributed_step import ScoreStep
from .resized_network import Shape

Preprocess = Callable[[Tensor], Tensor]


class FixedSizeError(UserError, ValueError):
    """A network takes clips of its own size only."""


class Classifier:
    """A Keras model of clips, its pre-processing, and the kind of its outputs.

    Args:
        model: takes a batch of clips (or images) and returns one tensor, logits
            or probabilities `(batch, classes)`, or at each position `(batch, t,
            h, w, classes)`. Its last layer may have any name.
        preprocess: function from uint8 pixels `(batch, time, height, width,
            3)` to the input of the model, in Keras or TensorFlow operations;
            None for a model that takes uint8 pixels.
        from_logits: whether outputs are logits. Default: told by the last
            layer, or else by the loss that the model is compiled with.
        multi_label: whether a video may have several labels: logits become
            probabilities by sigmoids instead of a softmax.

    Raises:
        TypeError: the model is none of Keras.
        ValueError: the model has several inputs or outputs, or neither its
            last layer nor its loss tells `from_logits`.

    Example:

    >>> import nonlocal_tf as nl
    >>> from training.evaluation.classifier import Classifier
    >>> model = nl.create_model("c2d_small", num_classes=3)
    >>> classifier = Classifier(model)
    >>> classifier.from_logits, classifier.clip_shape
    (True, (8, 32, 32, 3))
    >>> larger = classifier.for_clips((8, 48, 48, 3))
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        preprocess: Preprocess | None = normalize,
        from_logits: bool | None = None,
        multi_label: bool = False,
    ):
        if not isinstance(model, keras.Model):
            raise TypeError(
                "Expected a Keras model. Received: "
                f"{model!r}, a {type(model).__name__}"
            )
        for name in ("inputs", "outputs"):
            tensors = getattr(model, name, None)
            if tensors and len(tensors) != 1:
                raise ValueError(
                    f"Expected a model with one input, clips, and one output. "
                    f"Received: {len(tensors)} {name} of {model.name!r}"
                )
        self.model = model
        self.preprocess = preprocess
        if from_logits is None:
            from_logits = output_kind.outputs_logits(model)
        self.from_logits = from_logits
        self.multi_label = multi_label

    @property
    def clip_shape(self) -> Shape | None:
        """Input shape without the batch; None for subclasses of keras.Model."""
        if not getattr(self.model, "inputs", None):
            return None
        return tuple(self.model.inputs[0].shape[1:])

    @property
    def num_classes(self) -> int | None:
        """Number of outputs; None for subclasses of keras.Model."""
        if not getattr(self.model, "outputs", None):
            return None
        return self.model.outputs[0].shape[-1]

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise a UserError unless there is an output for each class."""
        if self.num_classes not in (None, len(classes)):
            raise UserError(
                f"Expected a model with an output for each of the "
                f"{len(classes)} classes. Received: {self.model.name!r} with "
                f"{self.num_classes} outputs"
            )

    def replace(self, model: keras.Model) -> "Classifier":
        """Return a classifier with another network, else the same."""
        return Classifier(
            model,
            preprocess=self.preprocess,
            from_logits=self.from_logits,
            multi_label=self.multi_label,
        )

    def for_clips(
        self,
        clip_shape: Shape,
        *,
        dtype: str | None = None,
        copy: bool = False,
    ) -> keras.Model:
        """Return the network for clips of other sizes, with the same weights.

        A functional or Sequential model is cloned. Where it takes such clips
        already, it is returned itself.

        Args:
            clip_shape: `(time, height, width, channels)`, or `(height, width,
                channels)` of images; sizes may be None for any.
            dtype: dtype policy of the network, such as "float32". Default: that
                of the model.
            copy: whether to return a new network in any case, for example in
                the scope of a strategy.

        Returns:
            A functional or Sequential model.

        Raises:
            FixedSizeError: the network takes clips of its own size only.
        """
        shape = tuple(clip_shape)
        own = self.clip_shape
        has_dtype = dtype in (None, self.model.dtype_policy.name)
        try:
            if own is None:
                return resized_network.call(self.model, shape)
            if resized_network.accepts(own, shape) and has_dtype and not copy:
                return self.model
            return resized_network.clone(self.model, shape, dtype)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise FixedSizeError(
                f"Model {self.model.name!r} takes clips of shape {own} only: "
                f"it cannot be built for {shape}. Give clips or views of its "
                "own size. The reason: "
                f"{' '.join(str(error).split())[:400]}"
            ) from error

    def window_px(
        self, views: ViewsConfig, clip_shape: Shape | None = None
    ) -> int | None:
        """Return the side of the windows that scores are averaged over.

        The authors' networks and SlowFast's score each window of the training
        size in larger views. With `starts="mmaction2"`, and in all other
        networks, the head covers the whole view.

        Args:
            views: clips and crops of a video.
            clip_shape: of training clips, for a model of any size.

        Returns:
            Side in pixels; None where the head covers the whole view.
        """
        if views.starts == "mmaction2":
            return None
        if not resized_network.has_window_head(self.model):
            return None
        return self._training_shape(clip_shape)[1]

    def for_views(
        self,
        views: ViewsConfig,
        clip_shape: Shape | None = None,
        *,
        dtype: str | None = None,
        copy: bool = False,
    ) -> "Classifier":
        """Return the classifier of the views of an evaluation.

        Where views are larger than training clips, the networks that
        `window_px` describes get their fully convolutional head.

        Args:
            views: clips and crops of each video.
            clip_shape: of training clips, `(time, height, width, 3)`, for a
                model of any size.
            dtype: as for `for_clips`.
            copy: as for `for_clips`.

        Raises:
            FixedSizeError: the network takes clips of its own size only.
            UserError: the views are smaller than the windows.
        """
        frames, *_ = self._training_shape(clip_shape)
        side = views.crop_px if views.crops else None
        shape = (frames, side, side, 3)
        window = self.window_px(views, clip_shape)
        short = views.crop_px if views.crops else views.short_side_px
        if window is not None and short < window:
            raise UserError(
                f"This network is trained on {window} x {window} pixels. "
                f"Expected views no smaller. Received: {short}"
            )
        if window is None or (short == window and views.crops):
            try:
                network = self.for_clips(shape, dtype=dtype, copy=copy)
            except FixedSizeError as error:
                own = self._views_of_own_size(views)
                raise FixedSizeError(f"{error} Views that fit: {own}") from None
            return self.replace(network)
        network = resized_network.clone_in_windows(
            self.model, shape, (frames, window, window, 3), dtype
        )
        return self.replace(network)

    def _views_of_own_size(self, views: ViewsConfig) -> ViewsConfig:
        """Return views with crops of the size of the model's clips."""
        _, side, *_ = self._training_shape(None)
        side = side or views.crop_px
        return dataclasses.replace(
            views,
            crops=views.crops or 1,
            short_side_px=max(side, views.short_side_px),
            crop_px=side,
        )

    def _training_shape(self, clip_shape: Shape | None) -> Shape:
        """Fill unknown sizes of the model's input by those of `clip_shape`."""
        own = self.clip_shape or (None,) * 4
        training = clip_shape or own
        if len(own) != len(training):
            raise UserError(
                f"Expected a model of clips of shape {training}. Received: "
                f"{self.model.name!r} with inputs of shape {own}"
            )
        return tuple(
            size if size is not None else other
            for size, other in zip(own, training, strict=True)
        )

    def prepare(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels into the input of the model.

        Raises:
            UserError: `preprocess` is written in NumPy.
        """
        if self.preprocess is None:
            return pixels
        try:
            return self.preprocess(pixels)
        except (AttributeError, NotImplementedError, TypeError) as error:
            if not re.search("symbolic|EagerTensor", str(error), re.I):
                raise
            raise UserError(
                "Expected `preprocess` in Keras or TensorFlow operations, such "
                'as keras.ops.cast(pixels, "float32") / 255. Received '
                "one with operations of NumPy or Python. The reason: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error

    def outputs(self, pixels: Tensor) -> Tensor:
        """Compute the model's outputs, float32, of uint8 pixels."""
        inputs = self.prepare(pixels)
        return tf.cast(self.model(inputs, training=False), tf.float32)

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn float32 outputs into probabilities, averaged over positions.

        Args:
            outputs: of the model, `(batch, ..., classes)`.

        Returns:
            `(batch, classes)`: a softmax of logits (sigmoids for multi-label
            data) at each position, averaged.
        """
        if self.from_logits:
            activation = tf.sigmoid if self.multi_label else tf.nn.softmax
            outputs = activation(outputs)
        positions = list(range(1, len(outputs.shape) - 1))
        return tf.reduce_mean(outputs, axis=positions) if positions else outputs

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        """Compute probabilities, float32 `(n, classes)`.

        Args:
            clips: uint8 `(n, time, height, width, 3)`, of a size that the
                model takes.

        Raises:
            UserError: the model does not take this size or dtype.
        """
        taken, shape = self.clip_shape, clips.shape[1:]
        if clips.dtype != np.uint8 or (
            taken is not None and not resized_network.accepts(taken, shape)
        ):
            raise UserError(
                f"Model {self.model.name!r} takes uint8 pixels of shape "
                f"{taken or '(time, height, width, 3)'}. Received: "
                f"{clips.dtype} {shape}"
            )
        return self._step(clips)

    @functools.cached_property
    def _step(self) -> ScoreStep:
        return self.score_step()

    def score_step(
        self, strategy: tf.distribute.Strategy | None = None
    ) -> ScoreStep:
        """Compile `probabilities`, for the devices of a strategy.

        Args:
            strategy: that the model was created with; its devices share clips.
        """
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            return distributed_step.distribute(self._score, strategy)
        shape = self.clip_shape
        spec = tf.TensorSpec(shape and (None, *shape), tf.uint8)
        # One trace for all sizes; "auto" would compile with XLA on a GPU.
        compiled = tf.function(
            self._score,
            input_signature=[spec] if shape else None,
            autograph=False,
            jit_compile=False,
            reduce_retracing=True,
        )
        return lambda clips: compiled(clips).numpy()

    def _score(self, clips):
        return self.scores(self.outputs(clips))
