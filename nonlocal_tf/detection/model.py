"""Mask R-CNN: from images to boxes, classes, masks and keypoints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf  # noqa: TID251, a graph for images of all sizes
from keras import ops

from nonlocal_tf.detection import (
    anchors,
    backbone,
    heads,
    output_checks,
    postprocessing,
    preprocessing,
    roi_align,
    rpn,
)
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.typing import Tensor

# Of P2 to P5, the feature maps of the heads.
SCALES = tuple(1 / stride for stride in anchors.STRIDES[:4])


class MaskRCNN(keras.Model):
    """Detect objects in images: Mask R-CNN or Keypoint R-CNN on an FPN.

    Args:
        config: the architecture and its thresholds.
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

    Reference:
        He et al., Mask R-CNN, ICCV 2017.
    """

    # The names of the parts are paths in `.weights.h5` files.
    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self._inference_function: Callable | None = None
        self.pyramid = backbone.build_backbone(config)
        self.rpn = rpn.build_rpn(config)
        self.box_head = heads.build_box_head(config)
        self.mask_head = self.keypoint_head = None
        if config.has_masks:
            self.mask_head = heads.build_mask_head(config)
        if config.num_keypoints:
            self.keypoint_head = heads.build_keypoint_head(config)

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
        NonFiniteOutputsError: the network's outputs are not finite.
    """
    x, size = preprocessing.preprocess(
        image, short_side_px, long_side_px, normalization
    )
    with output_checks.non_finite_errors():
        outputs = model({"images": x, "sizes": np.asarray([size], "int32")})
    return postprocessing.postprocess(outputs, size, image.shape[:2])
