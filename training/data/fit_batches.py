"""Batches of a data set for `model.fit`, in epochs."""

import abc
from collections.abc import Callable

import tensorflow as tf

from nonlocal_tf import preprocess
from nonlocal_tf.choices import is_positive_integer

from ..io.user_error import UserError
from . import mixing, pipeline
from .data_config import SPLITS, check_seed, check_split
from .epochs import NumberedEpochs


class FitBatches(NumberedEpochs, abc.ABC):
    """Mix-in of data sets, which implement `step_batches`.

    Attributes:
        classes: class names in the order of the labels.
        train_examples: number of training examples in an epoch.
        multi_label: whether labels are multi-hot vectors instead of class
            indices.
    """

    classes: tuple[str, ...]
    train_examples: int
    multi_label: bool = False

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        seed: int = 0,
        preprocess: Callable | None = preprocess.normalize,
        one_hot: bool = False,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> tf.data.Dataset:
        """Return the batches of a split for `fit`, `evaluate` or `predict`.

        Training batches are shuffled and augmented. Each iteration over them is
        an epoch with another order and other clips, a function of (seed, epoch)
        alone: epoch e has the batches e * n to (e + 1) * n - 1 of
        `train_batches`, with n the cardinality. Validation and test batches
        have the centre clip of each readable video once, in order.

        An example that turns out to be unreadable is listed in `bad` and
        replaced by the next readable one of the split. Validation and test
        batches made after that leave it out.

        The batches can be created in or outside of the scope of a
        `tf.distribute.MirroredStrategy`, with a batch size that is a multiple
        of the number of devices. Where there are several, validation and test
        batches have sample weights, and are padded with repeated examples of
        weight 0 to what the devices can share evenly: without, some operations
        fail on the empty share of a device. Losses and `weighted_metrics` of
        all batches are those of the examples; `metrics` and `predict` count
        the repeated ones too.

        Args:
            split: "train", "validation" or "test".
            batch_size: examples per batch. All training batches are full; the
                last validation or test batch may be smaller.
            seed: seed of order, clips and augmentation in training.
            preprocess: function of uint8 pixels `(batch, time, height, width,
                3)`, in a `tf.data` graph; None keeps uint8.
            one_hot: whether labels are one-hot, for losses such as
                `keras.losses.CategoricalCrossentropy`; those of mixed clips
                always are shares of classes.
            mixup: alpha of mixup's Beta distribution, for training batches; 0
                for none.
            cutmix: alpha of CutMix's, likewise; with both, each is applied to
                half of the batches.

        Returns:
            (pixels, labels), or (pixels, labels, weights) for validation and
            test where there are several devices, with known cardinality,
            ceil(examples / batch_size): by default float32 pixels as for
            networks of `nonlocal_tf`; integer class indices `(batch,)`, -1 in a
            test split without labels (one-hot: zeros), or float32 labels
            `(batch, classes)`: one-hot, shares of classes, or multi-hot.

        Raises:
            UserError: the split, the batch size, the seed, `preprocess`,
                `mixup` or `cutmix` is invalid or does not apply, or labels
                needed for training are missing.

        References:
            Zhang et al., mixup: Beyond empirical risk minimization, ICLR 2018.
            Yun et al., CutMix, ICCV 2019.

        Example:

        >>> train = videos.batches("train", 8, seed=0)
        >>> model.fit(train, validation_data=videos.batches("validation", 8))
        """
        check_split(split, SPLITS)
        if not is_positive_integer(batch_size):
            raise UserError(
                "Expected batch_size as an integer above 0. "
                f"Received: {batch_size!r}"
            )
        check_seed(seed)
        if not (preprocess is None or callable(preprocess)):
            raise UserError(
                "Expected preprocess as a function of pixels, or None. "
                f"Received: {preprocess!r}"
            )
        alphas = mixing.checked_alphas(mixup, cutmix)
        if self.multi_label and (one_hot or any(alphas)):
            raise UserError(
                "one_hot, mixup and cutmix are for videos of one class each. "
                "These have several."
            )
        if split != "train" and any(alphas):
            raise UserError(
                "mixup and cutmix are for training batches; others need "
                f"one_hot=True beside them. Received: split={split!r}"
            )
        if split == "train":
            batches = self._training_epochs(batch_size, seed, alphas)
        else:
            if split == "validation":
                self.check_labels(split)
            examples = self.ordered_examples(split)
            batches = examples.batch(batch_size)
            replicas = pipeline.replicas()
            if replicas > 1:
                count = int(examples.cardinality())
                batches = pipeline.shared_evenly(
                    batches, count, batch_size, replicas
                )
        if one_hot and not any(alphas):
            batches = batches.map(self._with_one_hot_labels)
        return pipeline.feed(batches, preprocess)

    def _with_one_hot_labels(self, pixels, labels, *weights):
        return pixels, tf.one_hot(labels, len(self.classes)), *weights

    def _training_epochs(
        self, batch_size: int, seed: int, alphas: tuple[float, float]
    ) -> tf.data.Dataset:
        """Return batches of another epoch at each iteration."""
        self.check_labels("train")
        count = -(-self.train_examples // batch_size)
        numbered = self.step_batches(
            self.count_epochs(batch_size, seed).steps(count), batch_size, seed
        )
        if any(alphas):
            classes = len(self.classes)
            batches = mixing.mixed_batches(numbered, seed, classes, *alphas)
        else:
            batches = numbered.map(lambda step, batch: batch)
        return batches.apply(tf.data.experimental.assert_cardinality(count))

    @abc.abstractmethod
    def step_batches(
        self, steps: tf.data.Dataset, batch: int, seed: int
    ) -> tf.data.Dataset:
        """Return the batches of training steps, for one worker.

        Args:
            steps: int64 numbers of steps.
            batch: examples per batch.
            seed: seed of order, clips and augmentation.

        Returns:
            The number of the step, and (pixels, labels); an unreadable example
            is replaced by the next one.
        """

    @abc.abstractmethod
    def ordered_examples(self, split: str) -> tf.data.Dataset:
        """Return the examples of an evaluation split, in order."""

    @abc.abstractmethod
    def check_labels(self, split: str) -> None:
        """Raise a UserError if a split has no labels to train on."""
