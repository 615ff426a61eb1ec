"""Schema of detection recipes."""

import dataclasses
from collections.abc import Sequence

from nonlocal_tf.detection import DetectorConfig, TargetSamplingConfig
from nonlocal_tf.detection.detectors import PARTS

from ..coco.annotations import Category
from ..coco.batches import NORMALIZATIONS, BatchConfig, ImageConfig
from ..io.paths import expand_home
from ..io.user_error import UserError
from . import field_values, validation
from .schema import BaseRecipe

PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class CocoDataConfig:
    """Paths of annotations in COCO's format and of their images.

    Attributes:
        train: annotations of the training images.
        images: folder of the training images.
        validation: annotations of the validation images; None for none.
        validation_images: folder of the validation images. Default: that of
            the training images.
    """

    train: str | None = None
    images: str = "."
    validation: str | None = None
    validation_images: str | None = None

    def __post_init__(self):
        expand_home(self, "train", "images", "validation", "validation_images")


@dataclasses.dataclass(frozen=True)
class StartConfig:
    """Initial weights.

    Attributes:
        weights: weights file to start from: a Mask or Keypoint R-CNN of
            torchvision or detectron2 with the same heads, or an ImageNet
            ResNet, for the backbone alone; or a name of either, such as
            "imagenet_torchvision_v1". None for random weights.
        scratch: start from random weights where the recipe expects a file.
        frozen: parts that are not trained, such as "conv1,res2", "nonlocal"
            for the blocks or "all" for everything but the heads: see
            `nonlocal_tf.detection.freeze`.
    """

    weights: str | None = None
    scratch: bool = False
    frozen: str = ""

    def __post_init__(self):
        expand_home(self, "weights")

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        return field_values.read(self.frozen, tuple[str, ...])


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionRecipe(BaseRecipe):
    """Training run of a detector.

    Its SGD is Detectron's: momentum without Nesterov's look-ahead, weight
    decay of kernels alone, biases at twice the learning rate.

    Attributes:
        detector: the network; its `num_classes` comes from the data.
        start: weights before training.
        data: paths of annotations and images.
        images: pre-processing and augmentation of images.
        sampling: matching and sampling of anchors and proposals; losses.
    """

    detector: DetectorConfig
    start: StartConfig = StartConfig()
    data: CocoDataConfig = CocoDataConfig()
    images: ImageConfig = ImageConfig()
    sampling: TargetSamplingConfig = TargetSamplingConfig()

    def network(self, categories: Sequence[Category]) -> DetectorConfig:
        """Return the detector's configuration for annotated categories."""
        classes = 1 + len(categories)
        return dataclasses.replace(self.detector, num_classes=classes)

    @property
    def batch_config(self) -> BatchConfig:
        images = self.images
        if not self.detector.has_masks:
            images = dataclasses.replace(images, mask_cells=0)
        return BatchConfig(
            **vars(images),
            batch=self.batch,
            num_keypoints=self.detector.num_keypoints,
        )


def check(recipe: DetectionRecipe) -> DetectionRecipe:
    """Validate and return the recipe of a detector.

    Raises:
        UserError: a value is out of range, or two do not fit each other.
    """
    validation.check_common(recipe, PRECISIONS)
    one_of = validation.one_of
    one_of("images.channel_order", recipe.images.channel_order, NORMALIZATIONS)
    for part in recipe.start.frozen_parts:
        one_of("start.frozen", part, PARTS)
    for field in ("eval_short_side_px", "long_side_px", "mask_cells"):
        fits = getattr(recipe.images, field) >= 1
        validation.expect(fits, recipe.images, field, "to be at least 1")
    try:
        recipe.batch_config  # noqa: B018, it checks itself
    except ValueError as error:
        raise UserError(str(error)) from error
    return recipe
