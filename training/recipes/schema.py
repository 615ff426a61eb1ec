"""Recipes: everything that decides the outcome of a training run, as data."""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from nonlocal_tf.choices import unknown

from ..data.data_config import DataConfig
from ..data.sampling_config import SamplingConfig, ViewsConfig
from ..io.paths import expand_home
from ..io.user_error import UserError
from ..loop.epoch_plan import EpochPlan
from ..loop.optimizers import OptimizerConfig
from . import field_values

RECIPES: dict[str, Callable[[], "BaseRecipe"]] = {}
AnyRecipe = TypeVar("AnyRecipe", bound="BaseRecipe")


@dataclasses.dataclass(frozen=True)
class NonLocalConfig:
    """The non-local blocks of a model; None is the network's own default.

    Attributes:
        pairwise: function of each block.
        axes: axes along which it attends: "spacetime", "space" or "time".
        scale: factor on the logits: "rsqrt" or a number.
        places: the one stage that has a block, such as "res4" or "stage2"; or
            the residual blocks that one follows: "res3:1,3 res4:1,3,5".
        position: encoding of positions that theta and phi see: "sine" or
            "learned"; None for the paper's blocks, which see none.
        causal: whether positions attend to the past alone.
        bottleneck: channels of theta, phi and g.
        value_channels: channels of g, if others.
        heads: heads that these channels are split into.
        gate: "scalar" for one learned factor in place of `norm`, which is
            "none" then.
        norm: what follows W_z: "batch", "affine" or "none".
        gamma_init: what its scale, or that of the gate, starts with.
        tie_theta_phi_init: theta and phi start with the same kernel.
    """

    pairwise: str | None = None
    axes: str | None = None
    scale: float | Literal["rsqrt"] | None = None
    places: str | None = None
    position: str | None = None
    causal: bool | None = None
    bottleneck: int | None = None
    value_channels: int | None = None
    heads: int | None = None
    gate: str | None = None
    norm: str | None = dataclasses.field(
        default=None, metadata={field_values.TEXT_WORDS: ("none",)}
    )
    gamma_init: float | None = None
    tie_theta_phi_init: bool | None = None


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A registered model; its shapes and classes come from the dataset.

    What is None is the network's own default.

    Attributes:
        name: as in `nonlocal_tf.list_models()`.
        nonlocal_block: its blocks; None for their defaults.
        sampling: "8x8", "32x2", "32x4" or "128x1", for the paper's networks:
            which of the authors' graphs.
        stem: of the same, another one's: "slowfast", "slowfast_nopool" or
            "mmaction2".
        inflation: of I3D: "3x1x1" or "3x3x3".
        norm: "batch", or "affine" for scales and shifts that stay as loaded.
        dropout: share of the features dropped before the classifier.
        width: channels of the first convolution; all others follow.
        gradient_checkpointing: whether backpropagation computes the features of
            blocks again instead of keeping them: less memory, more time.
        start: what the weights are before training: "scratch" (drawn at
            random), or a kind of weights that `weights` has to name, unless
            they are part of the package: one of `STARTS`.
        weights: file to start from, of any format that
            `nonlocal_tf.load_weights` reads, the folder of a run, or the name
            of published weights in `nonlocal_tf.list_weights(name)`; the
            classifier is left new where the number of classes is another, and
            for the kinds of `start` in `NEW_HEAD`.
        frozen: parts that are not trained, such as "conv1,res2", "nonlocal"
            for the blocks or "all" for a linear probe: see
            `nonlocal_tf.freeze`.
    """

    name: str
    nonlocal_block: NonLocalConfig | None = None
    sampling: str | None = None
    stem: str | None = None
    inflation: str | None = None
    norm: str | None = None
    dropout: float | None = None
    width: int | None = None
    gradient_checkpointing: bool | None = None
    start: str = "scratch"
    weights: str | None = None
    frozen: str | None = None

    def __post_init__(self):
        expand_home(self, "weights")

    @property
    def starts_from(self) -> str | None:
        """File, folder or name of the weights to start from, if any."""
        return self.weights or INCLUDED_STARTS.get(self.start)


STARTS = {
    "scratch": "no weights",
    "made motion": "weights of the package, trained on generated clips of "
    "motion (`--recipe made_motion`); the classifier is new",
    "imagenet": "an ImageNet ResNet of the same depth, which is inflated",
    "short clips": "the run, or the file, of the network without blocks that "
    "was trained on short clips; the classifier is new",
    "kinetics": "the run, or the file, of the same network on Kinetics",
}
# Names of the weights of a start, which are part of the package.
INCLUDED_STARTS = {"made motion": "made_motion"}
# Starts whose classifier is not taken from the file, though it may fit. That of
# ImageNet is of other classes. That of short clips is deleted by the authors'
# code, in process_data/convert_models/modify_caffe2_ftvideo.py; the paper does
# not say.
NEW_HEAD = ("imagenet", "short clips")


@dataclasses.dataclass(frozen=True)
class StepConfig:
    """Computation of a training step, for every task.

    Attributes:
        precision: "float32", "mixed_bfloat16", or, for networks of videos,
            "mixed_float16" with dynamic loss scaling.
        ema_decay: decay of the exponential moving average of the weights that
            is validated, tested and exported; None for the weights themselves.
        micro_batches: gradient accumulation: micro-batches that a device
            splits its share of a batch into, to save memory.
        keep: which weights are tested and exported: those of the "last" epoch,
            or of the "best".
        metric: of validation, such as "val_accuracy" or "val_loss", that
            epochs are compared by. Default: accuracy; mean average precision
            of several labels, box AP of detectors.
        patience: early stopping: epochs without a better metric after which
            training ends; None for all steps.
        deterministic: whether to use deterministic kernels where they are
            slower, so that a run can be repeated bit by bit. The time that
            steps wait for data is then not measured, and shows as 0.
    """

    precision: str = "float32"
    ema_decay: float | None = None
    micro_batches: int = 1
    keep: Literal["last", "best"] = "last"
    metric: str | None = None
    patience: int | None = None
    deterministic: bool = False


@dataclasses.dataclass(frozen=True)
class TrainingConfig(StepConfig):
    """Computation of a training step of a network of videos.

    Statistics of batch normalization belong to the averaged weights of
    `ema_decay` only with `precise_bn_batches`.

    Attributes:
        label_smoothing: share of each label that goes to all classes.
        class_weights: weights of the classes' examples in the loss, in the
            order of their names; "balanced" for weights in inverse proportion
            to their frequency. For one label an example.
        focal_gamma: of the focal loss, for several labels an example.
        mixup: alpha of mixup, 0.8 in MViT; 0 for none. For one label an
            example, as CutMix; of both, each batch has one.
        cutmix: alpha of CutMix, 1 in MViT; 0 for none.
        precise_bn_batches: batches of training data from which the statistics
            of batch normalization are recomputed before each checkpoint.
        synchronized_bn: statistics of the whole batch on several devices,
            instead of those of each device's share.
        jit_compile: whether a step is compiled by XLA; one device alone.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | Literal["balanced"] | None = None
    focal_gamma: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    precise_bn_batches: int = 0
    synchronized_bn: bool = False
    jit_compile: bool = False


@dataclasses.dataclass(frozen=True)
class Reference:
    """Published result that a recipe reproduces; training does not read it.

    Attributes:
        table: where the number is from, such as "table 2f".
        row: of it.
        expected: the number there, such as "74.9 / 91.6 % top-1 / top-5".
        hardware: on which it was trained there.
        hours: that it takes, and how that is known.
    """

    table: str
    row: str
    expected: str
    hardware: str
    hours: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseRecipe:
    """Fields that the recipes of every task have.

    Attributes:
        name: as registered; overrides do not change it.
        description: one line for `--list`.
        optimizer: the optimizer and its learning-rate schedule.
        batch: examples per step.
        steps: number of training steps.
        epoch_steps: steps per epoch, after each of which the network is
            validated and a checkpoint saved; the last epoch has fewer where
            they do not divide `steps`.
        seed: of weights and data.
        training: how a step is computed.
        reference: the published result that it reproduces.
    """

    name: str
    description: str
    optimizer: OptimizerConfig
    batch: int
    steps: int
    epoch_steps: int
    seed: int = 0
    training: StepConfig = StepConfig()
    reference: Reference | None = None

    @property
    def plan(self) -> EpochPlan:
        """Division of the steps into epochs."""
        return EpochPlan(self.steps, self.epoch_steps)

    @property
    def epochs(self) -> int:
        """Number of epochs; the last one may be shorter than the others."""
        return self.plan.epochs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(BaseRecipe):
    """Training run of a video classification network.

    Attributes:
        dataset: a name in `training.data.DATASETS`.
        model: the network.
        image_stage: the recipe of the image network that this one's network
            is inflated from, trained first.
        data: paths of the videos, for data sets that are read from a disk.
        sampling: frames and crops of each training clip, for the same.
        training: how a step is computed.
        views: views of each video in a test, for the same; None for the
            middle clip alone.
    """

    dataset: str
    model: ModelConfig
    image_stage: "Recipe | None" = None
    data: DataConfig | None = None
    sampling: SamplingConfig | None = None
    training: TrainingConfig = TrainingConfig()
    views: ViewsConfig | None = None


def register_recipe(builder):
    """Function decorator that registers a recipe under the function's name."""
    name = builder.__name__
    if name in RECIPES:
        raise ValueError(f"Recipe {name!r} exists already.")
    RECIPES[name] = builder
    return builder


def names_of(kind: type[BaseRecipe]) -> list[str]:
    """List the registered recipes of a task by its schema, such as `Recipe`."""
    return [name for name, make in RECIPES.items() if type(make()) is kind]


def get_recipe(name: str) -> Any:
    """Return the recipe registered under a name."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=8, cutoff=0.0)
        raise UserError(
            f"{unknown('recipe', name, near)} All: nonlocal-tf train --list"
        )
    return RECIPES[name]()


def with_seed(recipe: AnyRecipe, seed: int) -> AnyRecipe:
    """The recipe, and its image stage if it has one, with another seed."""
    stage = getattr(recipe, "image_stage", None)
    stages = {"image_stage": with_seed(stage, seed)} if stage else {}
    return dataclasses.replace(recipe, seed=seed, **stages)
