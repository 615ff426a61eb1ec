"""Mask R-CNN: from images to boxes, classes, masks and keypoints."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from nonlocal_tf.detection import (
    anchors,
    boxes,
    gather,
    heads,
    keypoints,
    losses,
    masks,
    tf_ops,
    transform,
)
from nonlocal_tf.detection.config import DetectorConfig
from nonlocal_tf.detection.pyramid import build_pyramid
from nonlocal_tf.typing import Tensor

# Of the maps that boxes are read from, P2 to P5.
SCALES = tuple(1 / stride for stride in anchors.STRIDES[:4])
NONE = -np.inf  # a logit of no anchor


class MaskRCNN(keras.Model):
    """Finds the objects of images.

    Args:
        config: what it is.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: a dict of `images`, normalised and padded,
            `(batch, height, width, 3)` with sides that are multiples of 32,
            and `sizes`, int32 `(batch, 2)`, heights and widths before padding.

    Returns:
        A dict, of up to d detections an image, best first, zeros behind:
        `count` int32 `(batch,)`; `boxes` `(batch, d, 4)` in pixels of the
        images; `labels` int32 and `scores` `(batch, d)`; `masks`
        `(batch, d, 28, 28)`, probabilities in the box, if there is a mask
        head; `heat_maps` `(batch, d, 56, 56, keypoints)`, logits, if there
        are keypoints.

    Reference:
        He et al., Mask R-CNN, ICCV 2017.
    """

    def __init__(self, config: DetectorConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self._in_graph: Callable | None = None
        self.pyramid = build_pyramid(config)
        self.rpn = heads.build_rpn(config)
        self.box_head = heads.build_box_head(config)
        self.mask_head = self.keypoint_head = None
        if config.has_masks:
            self.mask_head = heads.build_mask_head(config)
        if config.keypoints:
            self.keypoint_head = heads.build_keypoint_head(config)

    def call(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sizes = inputs["sizes"]
        maps = self.pyramid(inputs["images"])
        image_size = ops.shape(inputs["images"])[1:3]
        levels = tf_ops.finite([self.rpn(one) for one in maps], "rpn")
        proposals = self.propose_from(levels, image_size, sizes)
        found = self.classify(maps, proposals, sizes)
        if self.mask_head is not None:
            logits = self.on_boxes(self.mask_head, maps, found["boxes"])
            logits = tf_ops.finite(logits, "mask head")
            found["masks"] = _of_classes(logits, found["labels"])
        if self.keypoint_head is not None:
            heat_maps = self.on_boxes(self.keypoint_head, maps, found["boxes"])
            found["heat_maps"] = tf_ops.finite(heat_maps, "keypoint head")
        return found

    def in_graph(self) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        """The network as a graph, for many pictures of whatever sizes.

        Returns:
            A function of what a call takes, of one picture. It is traced
            once, when it is first called, and sees the weights as they are.
        """
        if self._in_graph is None:
            self._in_graph = tf_ops.graph_of(self)
        return self._in_graph

    def propose(
        self, maps: Sequence[Tensor], image_size: anchors.Size, sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes that may hold an object.

        Args:
            maps: P2 to P6.
            image_size: height and width of the padded images.
            sizes: before padding, `(batch, 2)`.

        Returns:
            `(batch, proposals, 4)`, best first, and scores
            `(batch, proposals)`; zeros behind the last.
        """
        return self.propose_from(map(self.rpn, maps), image_size, sizes)

    def propose_from(
        self,
        outputs: Iterable[Sequence[Tensor]],
        image_size: anchors.Size,
        sizes: Tensor,
        pre_nms_top_n: int | None = None,
        post_nms_top_n: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Boxes that may hold an object, from the outputs of the RPN.

        Args:
            outputs: logits and deltas of each level.
            image_size: height and width of the padded images.
            sizes: before padding, `(batch, 2)`.
            pre_nms_top_n: proposals a level before NMS, at the most. Default:
                `proposals_a_level` of the network.
            post_nms_top_n: proposals an image, at the most. Default:
                `proposals` of the network.

        Returns:
            As `propose`.
        """
        config = self.config
        pre_nms_top_n = pre_nms_top_n or config.proposals_a_level
        post_nms_top_n = post_nms_top_n or config.proposals
        grids = anchors.grid_sizes(image_size)
        found_boxes, found_scores = [], []
        for grid, size_px, (logits, deltas) in zip(
            grids, config.anchor_sizes_px, outputs, strict=True
        ):
            logits, at = _best(logits, pre_nms_top_n)
            deltas = gather.rows(deltas, at)
            of_level = anchors.anchors_at(
                at, image_size, grid, size_px, config.aspect_ratios
            )
            moved = boxes.decode(deltas, of_level)
            moved = boxes.clip(moved, ops.expand_dims(sizes, 1))
            is_box = boxes.has_sides(moved, config.proposal_side_px)
            is_box = is_box & (logits > NONE)
            scores = ops.where(is_box, ops.sigmoid(logits), -1.0)
            kept, scores = tf_ops.suppressed(
                moved, scores, config.proposal_nms, post_nms_top_n
            )
            found_boxes.append(kept)
            found_scores.append(scores)
        found = ops.concatenate(found_boxes, 1)
        scores = ops.concatenate(found_scores, 1)
        count = min(post_nms_top_n, found.shape[1])
        scores, at = ops.top_k(scores, count)
        return gather.rows(found, at), scores

    def on_boxes(
        self, head: keras.Model, maps: Sequence[Tensor], found: Tensor
    ) -> Tensor | list[Tensor]:
        """What a head says of boxes, `(batch, rois, ...)`."""
        cells = head.inputs[0].shape[1]
        x = tf_ops.roi_align(
            maps[:4],
            found,
            SCALES,
            cells,
            self.config.samples,
            self.config.aligned,
        )
        batch, rois = ops.shape(found)[:2]
        y = head(ops.reshape(x, (batch * rois, *head.inputs[0].shape[1:])))
        return keras.tree.map_structure(
            lambda part: ops.reshape(part, (batch, rois, *part.shape[1:])), y
        )

    def classify(
        self,
        maps: Sequence[Tensor],
        proposals: tuple[Tensor, Tensor],
        sizes: Tensor,
    ) -> dict[str, Tensor]:
        """Detections of proposals: `boxes`, `labels`, `scores`, `count`."""
        config = self.config
        outputs = self.on_boxes(self.box_head, maps, proposals[0])
        logits, deltas = tf_ops.finite(outputs, "box head")
        # A proposal of no score is padding, and of no class.
        is_proposal = ops.expand_dims(proposals[1] > 0, -1)
        scores = ops.where(is_proposal, ops.softmax(logits, -1), 0.0)
        moved = boxes.decode(
            deltas, ops.expand_dims(proposals[0], 2), boxes.HEAD_WEIGHTS
        )
        moved = boxes.clip(moved, sizes[:, None, None])
        is_box = boxes.has_sides(moved, config.detection_side_px)
        scores = ops.where(is_box, scores, 0.0)
        return tf_ops.suppressed_a_class(
            moved[:, :, 1:],
            scores[:, :, 1:],
            config.detection_nms,
            config.least_score,
            config.detections,
        )


@dataclasses.dataclass(frozen=True)
class Detections:
    """What was found in a picture, best first, in its pixels.

    Attributes:
        boxes: float32 `(n, 4)`.
        labels: int32 `(n,)`; 0 is background, and is none's.
        scores: float32 `(n,)`.
        masks: bool `(n, height, width)`, or None.
        keypoints: float32 `(n, keypoints, 3)`, x, y and 1, or None.
        keypoint_scores: float32 `(n, keypoints)`, logits, or None.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    keypoint_scores: np.ndarray | None = None


def detect(
    model: Callable[[dict], dict],
    image: np.ndarray,
    short_side_px: int = 800,
    long_side_px: int = 1333,
    pixels: transform.Pixels = transform.RGB,
) -> Detections:
    """Finds the objects of one picture.

    Args:
        model: a trained one, or its `in_graph`.
        image: uint8 RGB `(height, width, 3)`.
        short_side_px: it is scaled to, at the most.
        long_side_px: it is scaled to, at the most.
        pixels: what the network was trained on.

    Raises:
        ValueError: the network's outputs are not finite.
    """
    x, size = transform.prepare(image, short_side_px, long_side_px, pixels)
    with tf_ops.finite_errors():
        found = model({"images": x, "sizes": np.asarray([size], "int32")})
    count = int(found["count"][0])
    del found["count"]
    found = {name: np.asarray(x)[0][:count] for name, x in found.items()}
    original = image.shape[:2]
    at = transform.boxes_back(found["boxes"], size, original)
    pasted = points = scores = None
    if "masks" in found:
        pasted = masks.paste(found["masks"], at, original) >= masks.THRESHOLD
    if "heat_maps" in found:
        points, scores = keypoints.decode(found["heat_maps"], found["boxes"])
        y, x_scale = (o / s for o, s in zip(original, size, strict=True))
        points = points * np.asarray([x_scale, y, 1.0], np.float32)
    return Detections(
        at, found["labels"], found["scores"], pasted, points, scores
    )


def _best(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest logits of an image, and where they are.

    Args:
        logits: `(batch, n)`; n need not be known before a graph runs.
        count: at most.

    Returns:
        `(batch, k)` each, k = min(count, n) if n is known, else `count`, with
        `NONE` behind the last.
    """
    if logits.shape[1] is not None:
        return ops.top_k(logits, min(count, logits.shape[1]))
    last = ops.shape(logits)[1] - 1
    padded = ops.pad(logits, ((0, 0), (0, count)), constant_values=NONE)
    best, at = ops.top_k(padded, count)
    return best, ops.minimum(at, last)


def _of_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """The mask of each box's class: `(batch, d, h, w)`."""
    batch, count, *rest = ops.shape(logits)
    flat = ops.reshape(logits, (batch * count, *rest))
    chosen = ops.sigmoid(losses.of_class(flat, ops.reshape(labels, (-1,))))
    return ops.reshape(chosen, (batch, count, *rest[:2]))
