"""Mask R-CNN: from images to boxes, classes, masks and keypoints."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf  # noqa: TID251, a graph for images of all sizes
from keras import ops

from nonlocal_tf.detection import (
    anchors,
    backbone,
    global_losses,
    heads,
    output_checks,
    postprocessing,
    preprocessing,
    roi_align,
    rpn,
)
from nonlocal_tf.detection.config import DetectorConfig, TargetSamplingConfig
from nonlocal_tf.typing import Tensor

# Of P2 to P5, the feature maps of the heads.
SCALES = tuple(1 / stride for stride in anchors.STRIDES[:4])


class MaskRCNN(keras.Model):
    """Detect objects in images: Mask R-CNN or Keypoint R-CNN on an FPN.

    It is trained by `fit` on the batches of `training.data.load_coco`, with its
    own losses, on any devices of a `tf.distribute.MirroredStrategy`.

    Args:
        config: the architecture and its thresholds.
        classes: class names, without the background, for `detect`.
        image_preprocessing: of the images of `detect`, as in training.
        **kwargs: arguments of `keras.Model`.

    Call arguments:
        inputs: a dict of `images`, normalized and padded,
            `(batch, height, width, 3)` with sides that are multiples of 32,
            and `sizes`, int32 `(batch, 2)`, heights and widths before padding.

    Returns:
        A dict of up to d detections of each image, best first, padded with
        zeros: `count` int32 `(batch,)`; `boxes` `(batch, d, 4)` in pixels of
        the resized images; `labels` int32 and `scores` `(batch, d)`; with a
        mask head `masks` `(batch, d, 28, 28)`, probabilities in the box; with
        a keypoint head `heat_maps` `(batch, d, 56, 56, keypoints)`, logits.

    Raises:
        ValueError: the number of class names does not fit `config`.

    Reference:
        He et al., Mask R-CNN, ICCV 2017.

    Example:

        model = MaskRCNN(DetectorConfig(3), classes=("dog", "cat"))
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
        model.fit(coco.batches("train", 2), epochs=3)
        detections = model.detect(image)
    """

    # The names of the parts are paths in `.weights.h5` files.
    def __init__(
        self,
        config: DetectorConfig,
        classes: Sequence[str] | None = None,
        image_preprocessing: preprocessing.ImagePreprocessing | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if classes is not None and 1 + len(classes) != config.num_classes:
            raise ValueError(
                f"Expected {config.num_classes - 1} class names, as "
                f"num_classes={config.num_classes} with the background. "
                f"Received: {len(classes)}"
            )
        self.config = config
        self.classes = None if classes is None else tuple(classes)
        self.image_preprocessing = (
            image_preprocessing or preprocessing.ImagePreprocessing()
        )
        self._inference_function: Callable | None = None
        self.pyramid = backbone.build_backbone(config)
        self.rpn = rpn.build_rpn(config)
        self.box_head = heads.build_box_head(config)
        self.mask_head = self.keypoint_head = None
        if config.has_masks:
            self.mask_head = heads.build_mask_head(config)
        if config.num_keypoints:
            self.keypoint_head = heads.build_keypoint_head(config)
        self._loss_means: global_losses.LossMeans | None = None
        self._sampling = TargetSamplingConfig()
        self.built = True  # as its parts are

    def call(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sizes = inputs["sizes"]
        maps = self.pyramid(inputs["images"])
        image_size = ops.shape(inputs["images"])[1:3]
        outputs = [self.rpn(x) for x in maps]
        outputs = output_checks.check_finite(outputs, "rpn")
        proposals = self.proposals(outputs, image_size, sizes)
        logits, deltas = output_checks.check_finite(
            self.apply_head(self.box_head, maps, proposals[0]), "box head"
        )
        detections = postprocessing.select_detections(
            logits, deltas, proposals, sizes, self.config
        )
        boxes, labels = detections["boxes"], detections["labels"]
        if self.mask_head is not None:
            logits = self.apply_head(self.mask_head, maps, boxes)
            logits = output_checks.check_finite(logits, "mask head")
            detections["masks"] = postprocessing.select_masks(logits, labels)
        if self.keypoint_head is not None:
            heat_maps = self.apply_head(self.keypoint_head, maps, boxes)
            detections["heat_maps"] = output_checks.check_finite(
                heat_maps, "keypoint head"
            )
        return detections

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "sgd",
        *,
        sampling: TargetSamplingConfig | None = None,
        jit_compile: bool = False,
        **options: Any,
    ) -> None:
        """Configure training.

        The losses are those of Mask R-CNN, and so are the metrics.

        Args:
            optimizer: of `keras.optimizers`, or its name.
            sampling: matching and sampling of anchors and proposals.
            jit_compile: compile steps with XLA.
            **options: other arguments of `keras.Model.compile`, such as
                `run_eagerly`.

        Raises:
            ValueError: a loss or metrics are given.
        """
        own = ("loss", "loss_weights", "metrics", "weighted_metrics")
        unsupported = [name for name in own if options.get(name) is not None]
        if unsupported:
            raise ValueError(
                "Expected a detector to be compiled with its own losses and "
                f"metrics. Received: {', '.join(unsupported)}"
            )
        super().compile(optimizer, jit_compile=jit_compile, **options)
        self._sampling = sampling or TargetSamplingConfig()
        with self.distribute_strategy.scope():
            self._loss_means = global_losses.LossMeans(self)

    @property
    def metrics(self) -> list[keras.Metric]:
        """Means of the losses; none before `compile`."""
        return [] if self._loss_means is None else self._loss_means.metrics

    def train_step(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Train on a device's part of a batch.

        Args:
            data: batch as of `global_losses`.

        Returns:
            The means of the losses so far.
        """
        with tf.GradientTape() as tape:
            loss = self.optimizer.scale_loss(self._update_losses(data))
        variables = self.trainable_variables
        gradients = tape.gradient(loss, [x.value for x in variables])
        self.optimizer.apply(gradients, variables)  # sums them over devices
        return self.get_metrics_result()

    def test_step(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses of a batch, of samples with its seeds."""
        self._update_losses(data)
        return self.get_metrics_result()

    def _update_losses(self, data: Mapping[str, Tensor]) -> Tensor:
        """Compute a device's share of the losses and update the means."""
        losses = global_losses.global_losses(self, data, self._sampling)
        if self._loss_means is not None:
            self._loss_means.update(losses)
        return tf.add_n(list(losses.values()))

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Build the optimizer; all other variables exist already.

        A step that sums over devices cannot create variables.
        """
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def detect(self, image: np.ndarray) -> postprocessing.Detections:
        """Detect the objects of one image.

        Args:
            image: uint8 RGB `(height, width, 3)`.

        Returns:
            Boxes in pixels of the image, labels, scores and class names; masks
            and keypoints where there is a head for them.

        Raises:
            ValueError: the image has another type or shape.
            NonFiniteOutputsError: the outputs are not finite.

        Example:

            detections = model.detect(image)
            detections.boxes[0], detections.classes[0], detections.scores[0]
        """
        images = self.image_preprocessing
        detections = detect(
            self.inference_function(),
            image,
            images.short_side_px,
            images.long_side_px,
            images.normalization,
        )
        if self.classes is None:
            return detections
        names = tuple(self.classes[label - 1] for label in detections.labels)
        return dataclasses.replace(detections, classes=names)

    def get_config(self) -> dict[str, Any]:
        """Raise an error: `.keras` files of detectors are unsupported."""
        raise NotImplementedError(
            ".keras files of detectors are unsupported. Save the weights by "
            "model.save_weights('NAME.weights.h5'), to load by "
            "model.load_weights after create_detector, or export a SavedModel "
            "by nonlocal_tf.training.export.detector."
        )

    def inference_function(
        self,
    ) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        """Return the model as a TensorFlow function of one image of any size.

        It takes the inputs of a call, is traced once and uses the current
        weights.
        """
        if self._inference_function is None:
            specs = {
                "images": tf.TensorSpec((1, None, None, 3), tf.float32),
                "sizes": tf.TensorSpec((1, 2), tf.int32),
            }
            self._inference_function = tf.function(
                lambda inputs: self(inputs, training=False),
                [specs],
                autograph=False,
            )
        return self._inference_function

    def proposals(
        self,
        outputs: Iterable[Sequence[Tensor]],
        image_size: anchors.Size,
        sizes: Tensor,
        pre_nms_top_n: int | None = None,
        post_nms_top_n: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Select proposals from the outputs of the RPN.

        Args:
            outputs: logits and deltas of each pyramid level.
            image_size: height and width of the padded images.
            sizes: heights and widths before padding, `(batch, 2)`.
            pre_nms_top_n: default: that of the configuration.
            post_nms_top_n: default: that of the configuration.

        Returns:
            Boxes `(batch, proposals, 4)` and scores `(batch, proposals)`, best
            first, padded with zeros.
        """
        return rpn.select_proposals(
            outputs,
            image_size,
            sizes,
            self.config,
            pre_nms_top_n or self.config.pre_nms_top_n,
            post_nms_top_n or self.config.post_nms_top_n,
        )

    def apply_head(
        self, head: keras.Model, maps: Sequence[Tensor], boxes: Tensor
    ) -> Tensor | list[Tensor]:
        """Apply a head to the features of boxes.

        Args:
            head: the box, mask or keypoint head.
            maps: P2 to P6.
            boxes: `(batch, rois, 4)`.

        Returns:
            The outputs of the head, `(batch, rois, ...)` each.
        """
        shape = head.inputs[0].shape[1:]
        x = roi_align.roi_align_fused(
            maps[:4],
            boxes,
            SCALES,
            shape[0],
            self.config.sampling_ratio,
            self.config.aligned,
        )
        batch, rois = ops.shape(boxes)[:2]
        y = head(ops.reshape(x, (batch * rois, *shape)))
        return keras.tree.map_structure(
            lambda part: ops.reshape(part, (batch, rois, *part.shape[1:])), y
        )


def detect(
    model: Callable[[dict], dict],
    image: np.ndarray,
    short_side_px: int = 800,
    long_side_px: int = 1333,
    normalization: preprocessing.PixelNormalization = preprocessing.RGB,
) -> postprocessing.Detections:
    """Detect the objects of one image.

    Args:
        model: a trained `MaskRCNN`, or its `inference_function`.
        image: uint8 RGB `(height, width, 3)`.
        short_side_px: limit of its short side after resizing.
        long_side_px: limit of its long side after resizing.
        normalization: that of the network's training: `RGB` for torchvision's
            weights, `BGR` for Detectron's and detectron2's.

    Raises:
        ValueError: the image has another type or shape.
        NonFiniteOutputsError: the network's outputs are not finite.
    """
    image = np.asarray(image)
    is_rgb = image.ndim == 3 and image.shape[-1] == 3 and image.size > 0
    if image.dtype != np.uint8 or not is_rgb:
        raise ValueError(
            "Expected image as uint8 RGB (height, width, 3). Received: "
            f"{image.dtype} of shape {image.shape}"
        )
    x, size = preprocessing.preprocess(
        image, short_side_px, long_side_px, normalization
    )
    with output_checks.non_finite_errors():
        outputs = model({"images": x, "sizes": np.asarray([size], "int32")})
    return postprocessing.postprocess(outputs, size, image.shape[:2])
