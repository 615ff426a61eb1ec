"""Recipes of detectors: everything that decides the outcome, as data."""

import dataclasses
from collections.abc import Iterable, Sequence

from nonlocal_tf import detection
from nonlocal_tf.choices import unknown
from nonlocal_tf.detection import DetectorConfig, Pixels, TrainingConfig

from ..coco.annotations import Category
from ..coco.batches import BatchConfig
from ..io.user_error import UserError
from . import field_values, overrides
from . import validation as recipe_check
from .schema import OptimizerConfig, Plan, Reference, expand_home

RECIPES: dict[str, "DetectionRecipe"] = {}
COLOURS = {"rgb": detection.RGB, "bgr": detection.BGR}
PRECISIONS = ("float32", "mixed_bfloat16")
STAGES = ("conv1", "res2", "res3", "res4", "res5")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where pictures and what is known of them are.

    Attributes:
        train: file of annotations in COCO's form.
        pictures: folder that its pictures are in.
        validation: another file, to test on.
        validation_pictures: the folder of its pictures, if it is another.
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


@dataclasses.dataclass(frozen=True)
class StepConfig:
    """How a step is computed.

    Attributes:
        precision: "float32" or "mixed_bfloat16".
        deterministic: whether to take deterministic kernels where they are
            slower, so that a run can be repeated bit by bit.
    """

    precision: str = "float32"
    deterministic: bool = False


@dataclasses.dataclass(frozen=True)
class DetectionRecipe(Plan):
    """One training run of a detector.

    Attributes:
        name: as registered; overrides do not change it.
        description: one line for `--list`.
        detector: the network; its `num_classes` comes from the data.
        optimizer: how it is trained. SGD is as in Detectron: not Nesterov's,
            L2 of kernels alone, biases at twice the rate.
        batch: pictures a step.
        steps: of training.
        epoch_steps: steps between checkpoints and tests; the last epoch has
            fewer where they do not divide `steps`.
        seed: of weights, batches and samples.
        start: what the weights are before.
        data: where the pictures are.
        pictures: how they are brought to the network.
        examples: what of them is an example.
        training: how a step is computed.
        reference: what it reproduces.
    """

    name: str
    description: str
    detector: DetectorConfig
    optimizer: OptimizerConfig
    batch: int
    steps: int
    epoch_steps: int
    seed: int = 0
    start: StartConfig = StartConfig()
    data: DataConfig = DataConfig()
    pictures: PicturesConfig = PicturesConfig()
    examples: TrainingConfig = TrainingConfig()
    training: StepConfig = StepConfig()
    reference: Reference | None = None

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
    """Returns the recipe if its numbers fit together.

    Raises:
        UserError: they do not.
    """
    recipe_check.check_steps(recipe)
    recipe_check.check_optimizer(recipe)
    one_of = recipe_check.one_of
    one_of("pictures.colours", recipe.pictures.colours, COLOURS)
    one_of("training.precision", recipe.training.precision, PRECISIONS)
    for stage in recipe.start.frozen_stages:
        one_of("start.frozen", stage, STAGES)
    if recipe.optimizer.clip_norm is not None:
        raise UserError("optimizer.clip_norm is not there for detectors.")
    for field in ("eval_short_side_px", "long_side_px", "mask_cells"):
        fits = getattr(recipe.pictures, field) >= 1
        recipe_check.expect(fits, recipe.pictures, field, "to be at least 1")
    try:
        recipe.batch_config  # noqa: B018, it checks itself
    except ValueError as error:
        raise UserError(str(error)) from error
    return recipe


KIND = overrides.Kind(
    DetectionRecipe,
    "detector",
    check,
    "training.detection",
    ("train", "pictures", "validation", "validation_pictures"),
)


def override(
    recipe: DetectionRecipe, settings: Iterable[str]
) -> DetectionRecipe:
    """Applies `--set` settings such as "optimizer.base_lr=0.02".

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    try:
        return overrides.override(recipe, settings, KIND)
    except ValueError as error:  # a detector that there cannot be
        raise UserError(str(error)) from error


def register_recipe(recipe: DetectionRecipe) -> None:
    """Makes a recipe known under its name."""
    if recipe.name in RECIPES:
        raise ValueError(f"Recipe {recipe.name!r} exists already.")
    RECIPES[recipe.name] = recipe


def get_recipe(name: str) -> DetectionRecipe:
    """The recipe registered under a name."""
    if name not in RECIPES:
        raise UserError(
            f"{unknown('recipe', name, RECIPES)} All: python -m "
            "training.detection.train --list"
        )
    return RECIPES[name]
