"""Schema of detection recipes."""

import dataclasses
from collections.abc import Sequence

from nonlocal_tf import detection
from nonlocal_tf.detection import DetectorConfig, Pixels, TrainingConfig

from ..coco.annotations import Category
from ..coco.batches import BatchConfig
from ..io.user_error import UserError
from . import field_values, validation
from .schema import BaseRecipe, expand_home

COLOURS = {"rgb": detection.RGB, "bgr": detection.BGR}
PRECISIONS = ("float32", "mixed_bfloat16")
STAGES = ("conv1", "res2", "res3", "res4", "res5")


@dataclasses.dataclass(frozen=True)
class CocoDataConfig:
    """Paths of annotations in COCO's format and of their images.

    Attributes:
        train: annotations of the training images.
        pictures: folder of the training images.
        validation: annotations of the validation images; None for none.
        validation_pictures: folder of the validation images. Default: that of
            the training images.
    """

    train: str | None = None
    pictures: str = "."
    validation: str | None = None
    validation_pictures: str | None = None

    def __post_init__(self):
        expand_home(
            self, "train", "pictures", "validation", "validation_pictures"
        )


@dataclasses.dataclass(frozen=True)
class StartConfig:
    """What the weights are before training.

    Attributes:
        weights: file to start from: a Mask or Keypoint R-CNN of torchvision
            or detectron2 with the same heads, or an ImageNet ResNet, of which
            the trunk is filled. None for weights drawn at random.
        scratch: whether to start from none where the recipe wants some.
        frozen: stages of the trunk that stay as they are, such as
            "conv1,res2".
    """

    weights: str | None = None
    scratch: bool = False
    frozen: str = ""

    def __post_init__(self):
        expand_home(self, "weights")

    @property
    def frozen_stages(self) -> tuple[str, ...]:
        return field_values.read(self.frozen, tuple[str, ...])


@dataclasses.dataclass(frozen=True)
class PicturesConfig:
    """How a picture is brought to the network.

    Attributes:
        canvas_px: height and width of all pictures of a batch, with zeros
            around; what does not fit is scaled down.
        short_sides_px: that a picture is scaled to, one at random.
        long_side_px: of a scaled picture, at the most.
        eval_short_side_px: that it is scaled to in a test.
        mask_cells: along each side of a stored mask.
        mirrored: whether every second picture, at random, is.
        without_objects: whether pictures without objects are trained on too.
        colours: "rgb", as torchvision's networks want them, or "bgr", as
            Detectron's and detectron2's.
    """

    canvas_px: tuple[int, int] = (1344, 1344)
    short_sides_px: tuple[int, ...] = (800,)
    long_side_px: int = 1333
    eval_short_side_px: int = 800
    mask_cells: int = 112
    mirrored: bool = True
    without_objects: bool = False
    colours: str = "rgb"

    @property
    def pixels(self) -> Pixels:
        return COLOURS[self.colours]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionRecipe(BaseRecipe):
    """Training run of a detector.

    Its SGD is Detectron's: momentum without Nesterov's look-ahead, weight
    decay of kernels alone, biases at twice the learning rate.

    Attributes:
        detector: the network; its `num_classes` comes from the data.
        start: weights before training.
        data: paths of annotations and images.
        pictures: pre-processing and augmentation of images.
        examples: matching and sampling of anchors and proposals.
    """

    detector: DetectorConfig
    start: StartConfig = StartConfig()
    data: CocoDataConfig = CocoDataConfig()
    pictures: PicturesConfig = PicturesConfig()
    examples: TrainingConfig = TrainingConfig()

    def network(self, categories: Sequence[Category]) -> DetectorConfig:
        """The detector of the classes that are annotated."""
        classes = 1 + len(categories)
        return dataclasses.replace(self.detector, num_classes=classes)

    @property
    def batch_config(self) -> BatchConfig:
        pictures, detector = self.pictures, self.detector
        return BatchConfig(
            self.batch,
            pictures.canvas_px,
            pictures.short_sides_px,
            pictures.long_side_px,
            pictures.mask_cells if detector.has_masks else 0,
            detector.keypoints,
            pictures.mirrored,
            pictures.without_objects,
            pictures.pixels,
        )


def check(recipe: DetectionRecipe) -> DetectionRecipe:
    """Validate and return the recipe of a detector.

    Raises:
        UserError: a value is out of range, or two do not fit each other.
    """
    validation.check_common(recipe, PRECISIONS)
    one_of = validation.one_of
    one_of("pictures.colours", recipe.pictures.colours, COLOURS)
    for stage in recipe.start.frozen_stages:
        one_of("start.frozen", stage, STAGES)
    unsupported = {
        "optimizer.clip_norm": recipe.optimizer.clip_norm is not None,
        "training.ema_decay": recipe.training.ema_decay is not None,
        "training.micro_batches": recipe.training.micro_batches > 1,
    }
    for field, is_set in unsupported.items():
        if is_set:
            raise UserError(f"{field} is unsupported for detectors.")
    for field in ("eval_short_side_px", "long_side_px", "mask_cells"):
        fits = getattr(recipe.pictures, field) >= 1
        validation.expect(fits, recipe.pictures, field, "to be at least 1")
    try:
        recipe.batch_config  # noqa: B018, it checks itself
    except ValueError as error:
        raise UserError(str(error)) from error
    return recipe
