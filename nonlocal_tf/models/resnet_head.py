"""Classification heads of the residual networks."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

from keras import initializers, layers

from nonlocal_tf.choices import is_positive_integer, unknown
from nonlocal_tf.typing import Tensor

HeadKind = Literal[
    "classification", "fully_convolutional", "multi_label", "none"
]
HEADS = get_args(HeadKind)
Outputs = Literal["logits", "probabilities"]
OUTPUTS = get_args(Outputs)


@dataclasses.dataclass(frozen=True)
class Head:
    """Classification head of a residual network.

    Attributes:
        kind: "classification" (global average pooling and a dense layer),
            "fully_convolutional" (average pooling over windows of the training
            crop's size, and the dense layer at each), "multi_label" (as
            classification, with a sigmoid per class) or "none" (the last
            feature map).
        outputs: "logits" or "probabilities".
        dropout: share of the features dropped in training.
        frames: frames of a training clip, for the window of the fully
            convolutional head.
        crop_px: height and width of a training clip, likewise.
    """

    kind: HeadKind = "classification"
    outputs: Outputs = "logits"
    dropout: float = 0.5
    frames: int = 1
    crop_px: int = 224

    def __post_init__(self) -> None:
        for name, value, expected in (
            ("head", self.kind, HEADS),
            ("outputs", self.outputs, OUTPUTS),
        ):
            if value not in expected:
                raise ValueError(unknown(name, value, expected))
        if self.kind == "none" and self.outputs != "logits":
            raise ValueError(
                "Without a head there are no probabilities. Received: "
                f"head='none', outputs={self.outputs!r}"
            )
        if not is_positive_integer(self.crop_px):
            raise ValueError(
                "Expected `crop_px` to be an integer of at least 1. "
                f"Received: crop_px={self.crop_px!r}"
            )


def head_layers(
    x: Tensor, num_classes: int, head: Head, window: Sequence[int | None] = ()
) -> Tensor:
    """Compute logits or probabilities of the last feature map, in float32.

    Args:
        x: last feature map.
        num_classes: number of logits.
        head: kind of head.
        window: pool size of the fully convolutional head.
    """
    if head.kind == "none":
        return x
    rank = len(x.shape) - 2
    poolings = {
        2: (layers.AveragePooling2D, layers.GlobalAveragePooling2D),
        3: (layers.AveragePooling3D, layers.GlobalAveragePooling3D),
    }
    average_pooling, global_pooling = poolings[rank]
    # float32 under every policy: sums, and inputs of the loss.
    float32 = {"dtype": "float32"}
    if head.kind == "fully_convolutional":
        sizes = x.shape[1:-1]
        if any(
            size is not None and size < pool
            for size, pool in zip(sizes, window, strict=True)
        ):
            raise ValueError(
                "A fully convolutional head averages windows of the size of "
                f"the last feature map in training, {window}. Expected a clip "
                "at least as large as a training clip; for smaller ones use "
                f"head='classification'. Received: a last map of {sizes}"
            )
        x = average_pooling(window, strides=1, name="pool5", **float32)(x)
    else:
        x = global_pooling(name="pool5", **float32)(x)
    x = layers.Dropout(head.dropout, name="dropout", **float32)(x)
    x = layers.Dense(
        num_classes,
        kernel_initializer=initializers.RandomNormal(0.0, 0.01),
        name="logits",
        **float32,
    )(x)
    if head.outputs == "logits":
        return x
    activation = "sigmoid" if head.kind == "multi_label" else "softmax"
    x = layers.Activation(activation, name="probabilities", **float32)(x)
    if head.kind == "fully_convolutional":
        x = global_pooling(name="mean_probabilities", **float32)(x)
    return x
