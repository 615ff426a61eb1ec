"""The losses of a detector on a batch: targets, samples, and what is learnt.

Everything has static shapes: objects are padded, samples have weights, and
what a batch lacks counts 0.

References:
    Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1.
    He et al., Mask R-CNN, ICCV 2017, sections 3.1 and 5.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from keras import ops

from nonlocal_tf.choices import is_positive_integer
from nonlocal_tf.detection import (
    anchors,
    boxes,
    gather,
    heads,
    keypoints,
    losses,
    matching,
    roi_align,
    tf_ops,
)
from nonlocal_tf.detection.detector import MaskRCNN
from nonlocal_tf.typing import Tensor

# From a number of one replica to the sum over all replicas.
Total = Callable[[Tensor], Tensor]
MASK_OUT_CELLS = 2 * heads.MASK_CELLS


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What is an example, and how many are taken.

    Attributes:
        anchors: of an image, at most.
        positive_anchors: share of them, at most.
        anchor_iou: below the first an anchor is background, from the second
            on an object's.
        straddling_anchors: whether anchors that leave the image are examples,
            as in torchvision and detectron2 and unlike Detectron.
        rois: of an image, at most; the objects' own boxes are candidates.
        positive_rois: share of them, at most.
        roi_iou: from it on a box is an object's.
        crowd_share: of a box in a crowd, above which it is no example, unless
            it is of an object.
        beta: of the loss of proposals' boxes: from which difference on it is
            linear.
        box_beta: the same of the box head's; 1 in Detectron.
        mask_samples: of an object's mask in each cell of a target, along each
            side, at most; more are needed where a cell is wider.
        pre_nms_top_n: proposals a level before NMS, at the most. Default: as
            in a test, `proposals_a_level` of the network. 2,000 in torchvision,
            detectron2 and Detectron, beside 1,000 in a test.
        post_nms_top_n: proposals of an image to sample from, at the most.
            Default: as in a test, `proposals` of the network. 2,000 in
            torchvision, 1,000 in detectron2; 2,000 of all images of a GPU in
            Detectron.

    Raises:
        ValueError: a number of proposals is not an integer of at least 1.
    """

    anchors: int = 256
    positive_anchors: float = 0.5
    anchor_iou: tuple[float, float] = (0.3, 0.7)
    straddling_anchors: bool = True
    rois: int = 512
    positive_rois: float = 0.25
    roi_iou: float = 0.5
    crowd_share: float = 0.7
    beta: float = losses.BETA
    box_beta: float = losses.BETA
    mask_samples: int = 8
    pre_nms_top_n: int | None = None
    post_nms_top_n: int | None = None

    def __post_init__(self) -> None:
        for name in ("pre_nms_top_n", "post_nms_top_n"):
            value = getattr(self, name)
            if value is not None and not is_positive_integer(value):
                raise ValueError(
                    f"Expected `{name}` to be an integer of at least 1, or "
                    "None for as many as in a test. "
                    f"Received: {name}={value!r}"
                )


def batch_losses(
    model: MaskRCNN,
    batch: Mapping[str, Tensor],
    config: TrainingConfig,
    seed: Tensor,
    total: Total | None = None,
) -> dict[str, Tensor]:
    """All losses of a batch; their sum is what is trained.

    Args:
        model: the detector.
        batch: `images` and `sizes` as the model takes them; `boxes`
            `(batch, objects, 4)` and `labels` `(batch, objects)`, 0 where a
            row is padding; `crowds` `(batch, regions, 4)`, without area where
            one is padding; with a mask head `masks`, from 0 to 1,
            `(batch, objects, h, w)`, and `mask_boxes` `(batch, objects, 4)`,
            the part of the image that each mask covers; with a keypoint head
            `keypoints` `(batch, objects, keypoints, 3)`.
        config: what is an example.
        seed: two int32 numbers, of which the samples are a function, or two
            for each image, `(batch, 2)`: then samples of an image are the
            same on whichever device it is.
        total: from a number of this replica to that of all; by default it is
            the only one.

    Returns:
        Scalars by name: `objectness`, `rpn_boxes`, `classes`, `boxes`, and
        `masks` or `keypoints`.
    """
    total = total or (lambda x: x)
    maps = model.pyramid(batch["images"])
    outputs = [model.rpn(x) for x in maps]
    found = _rpn_losses(model, outputs, batch, config, seed, total)
    # What proposals cost is not to be learnt through where they are.
    fixed = [tuple(map(ops.stop_gradient, pair)) for pair in outputs]
    size = batch["images"].shape[1:3]
    proposals, scores = model.propose_from(
        fixed,
        size,
        batch["sizes"],
        config.pre_nms_top_n,
        config.post_nms_top_n,
    )
    rois = _sample_rois(proposals, scores, batch, config, seed)
    found |= _box_losses(model, maps, rois, config, total)
    # The positive ones come first.
    count = max(1, int(config.positive_rois * config.rois))
    positive = {
        name: value[:, :count]
        for name, value in rois.items()
        if name != "count"
    }
    positive["weights"] = ops.cast(positive["labels"] > 0, "float32")
    if model.mask_head is not None:
        found["masks"] = _mask_loss(model, maps, positive, batch, config, total)
    if model.keypoint_head is not None:
        found["keypoints"] = _keypoint_loss(model, maps, positive, batch, total)
    return found


def _rpn_losses(
    model: MaskRCNN,
    outputs: Sequence[Sequence[Tensor]],
    batch: Mapping[str, Tensor],
    config: TrainingConfig,
    seed: Tensor,
    total: Total,
) -> dict[str, Tensor]:
    """Of anchors: are they objects', and where is the object?"""
    size = tuple(batch["images"].shape[1:3])
    every = np.concatenate(
        anchors.pyramid_anchors(
            size, model.config.anchor_sizes_px, model.config.aspect_ratios
        )
    )
    logits, deltas = (
        ops.concatenate(parts, axis=1) for parts in zip(*outputs, strict=True)
    )
    low, high = config.anchor_iou
    is_object = batch["labels"] > 0
    quality = boxes.iou(batch["boxes"], every)
    match = matching.match(quality, low, high, True, is_object)
    labels = ops.where(match >= 0, 1, ops.where(match == matching.BELOW, 0, -1))
    if not config.straddling_anchors:
        labels = ops.where(_is_inside(every, batch["sizes"]), labels, -1)
    labels = _without_crowds(labels, every, batch, config)
    places, weights = matching.sample(
        labels,
        tf_ops.uniform(ops.shape(labels), seed, 0),
        min(config.anchors, len(every)),
        int(config.positive_anchors * config.anchors),
    )
    chosen = ops.take_along_axis(labels, places, axis=1)
    sampled = losses.smallest_denominator(total(ops.sum(weights)))
    of = ops.take_along_axis(ops.maximum(match, 0), places, axis=1)
    targets = boxes.encode(
        _sides(gather.rows(batch["boxes"], of)), ops.take(every, places, axis=0)
    )
    return {
        "objectness": losses.objectness(
            ops.take_along_axis(logits, places, axis=1),
            ops.maximum(chosen, 0),
            weights,
            sampled,
        ),
        "rpn_boxes": losses.boxes(
            gather.rows(deltas, places),
            targets,
            weights * ops.cast(chosen == 1, "float32"),
            sampled,
            config.beta,
        ),
    }


def _sample_rois(
    proposals: Tensor,
    scores: Tensor,
    batch: Mapping[str, Tensor],
    config: TrainingConfig,
    seed: Tensor,
) -> dict[str, Tensor]:
    """Boxes to learn from, positive ones first.

    Returns:
        `boxes` `(batch, rois, 4)`; `of`, which object each is of, and
        `labels`, its class or 0, both int32 `(batch, rois)`; `weights`.
    """
    every = ops.concatenate([proposals, batch["boxes"]], axis=1)
    is_object = batch["labels"] > 0
    is_there = ops.concatenate([scores > 0, is_object], axis=1)
    quality = boxes.iou(batch["boxes"], every)
    threshold = config.roi_iou
    match = matching.match(quality, threshold, threshold, is_object=is_object)
    labels = ops.where(is_there, ops.cast(match >= 0, "int32"), -1)
    labels = _without_crowds(labels, every, batch, config)
    places, weights = matching.sample(
        labels,
        tf_ops.uniform(ops.shape(labels), seed, 1),
        config.rois,
        max(1, int(config.positive_rois * config.rois)),
    )
    of = ops.take_along_axis(match, places, axis=1)
    is_positive = (of >= 0) & (weights > 0)
    of = ops.maximum(of, 0)
    classes = ops.take_along_axis(batch["labels"], of, axis=1)
    return {
        "boxes": gather.rows(every, places),
        "objects": gather.rows(batch["boxes"], of),
        "of": of,
        "labels": ops.where(is_positive, ops.cast(classes, "int32"), 0),
        "weights": weights,
    }


def _box_losses(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    config: TrainingConfig,
    total: Total,
) -> dict[str, Tensor]:
    logits, deltas = model.on_boxes(model.box_head, maps, rois["boxes"])
    labels, weights = rois["labels"], rois["weights"]
    sampled = losses.smallest_denominator(total(ops.sum(weights)))
    index = labels[:, :, None, None]
    chosen = ops.squeeze(ops.take_along_axis(deltas, index, axis=2), 2)
    targets = boxes.encode(
        _sides(rois["objects"]), _sides(rois["boxes"]), boxes.HEAD_WEIGHTS
    )
    return {
        "classes": losses.classes(logits, labels, weights, sampled),
        "boxes": losses.boxes(
            chosen,
            targets,
            weights * ops.cast(labels > 0, "float32"),
            sampled,
            config.box_beta,
        ),
    }


def _mask_loss(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    config: TrainingConfig,
    total: Total,
) -> Tensor:
    logits = model.on_boxes(model.mask_head, maps, rois["boxes"])
    targets = mask_targets(
        _flat(gather.rows(batch["masks"], rois["of"])),
        _flat(_sides(gather.rows(batch["mask_boxes"], rois["of"]))),
        _flat(rois["boxes"]),
        config.mask_samples,
    )
    weights = ops.reshape(rois["weights"], (-1,))
    return losses.masks(
        _flat(logits),
        targets,
        ops.reshape(rois["labels"], (-1,)),
        weights,
        losses.smallest_denominator(total(ops.sum(weights))),
    )


def mask_targets(
    masks: Tensor, covered: Tensor, rois: Tensor, samples: int
) -> Tensor:
    """What the mask head is to say of boxes, from 0 to 1.

    Args:
        masks: of the object of each box, `(rois, h, w)`.
        covered: the part of the image that each mask covers, `(rois, 4)`.
        rois: the boxes, `(rois, 4)`.
        samples: along each side of a cell of the target, at most.

    Returns:
        `(rois, 28, 28)`.
    """
    origin = ops.tile(covered[:, :2], (1, 2))
    sides = ops.tile(covered[:, 2:] - covered[:, :2], (1, 2))
    height, width = ops.shape(masks)[1:]
    scale = ops.convert_to_tensor([width, height] * 2, "float32") / sides
    # In cells of the mask. ROIAlign, as it is here, has the value of pixel i
    # at i: so a cell's is in the middle of its pixels.
    within = (rois - origin + 0.5) * scale - 0.5
    return roi_align.roi_align_dense(
        masks[..., None], within, MASK_OUT_CELLS, samples
    )[..., 0]


def _keypoint_loss(
    model: MaskRCNN,
    maps: Sequence[Tensor],
    rois: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    total: Total,
) -> Tensor:
    logits = model.on_boxes(model.keypoint_head, maps, rois["boxes"])
    points = gather.rows(batch["keypoints"], rois["of"])
    cells, is_seen = keypoints.encode(points, rois["boxes"])
    weights = rois["weights"][..., None] * ops.cast(is_seen, "float32")
    return losses.keypoints(
        _flat(logits),
        _flat(cells),
        _flat(weights),
        losses.smallest_denominator(total(ops.sum(weights))),
    )


def _without_crowds(
    labels: Tensor,
    candidates: Tensor,
    batch: Mapping[str, Tensor],
    config: TrainingConfig,
) -> Tensor:
    """Labels of candidates; those that lie in a crowd are no examples."""
    share = boxes.share_inside(candidates, batch["crowds"])
    if share.shape[-1] == 0:
        return labels
    is_in_crowd = ops.max(share, axis=-1) > config.crowd_share
    # An object's own box stays one, whatever is around it.
    return ops.where(is_in_crowd & (labels != 1), -1, labels)


def _is_inside(candidates: Tensor, sizes: Tensor) -> Tensor:
    """Whether anchors are within images, `(batch, anchors)`."""
    sizes = ops.cast(sizes, "float32")
    height, width = sizes[:, :1], sizes[:, 1:]
    x1, y1, x2, y2 = (candidates[:, axis] for axis in range(4))
    return (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)


def _sides(found: Tensor) -> Tensor:
    """Boxes, those of padding with some side: their weight is 0."""
    first, last = found[..., :2], found[..., 2:]
    return ops.concatenate(
        [first, ops.where(last > first, last, first + 1.0)], axis=-1
    )


def _flat(x: Tensor) -> Tensor:
    """`(batch, rois, ...)` as `(batch * rois, ...)`."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))
