"""Recipes: everything that decides the outcome of a training run, as data."""

import ast
import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from nonlocal_tf.choices import unknown
from training.errors import UserError

RECIPES: dict[str, Callable[[], "Recipe"]] = {}


@dataclasses.dataclass(frozen=True)
class NonLocalConfig:
    """Arguments of every `NonLocalBlock` of a model; its own defaults."""

    pairwise: str = "embedded_gaussian"
    bottleneck: int | None = None
    scale: str | float | None = None
    norm: str = "batch"
    gamma_init: float = 0.0
    tie_theta_phi_init: bool = False


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A registered model; its shapes and classes come from the dataset.

    Attributes:
        name: as in `nonlocal_tf.list_models()`.
        nonlocal_block: arguments of its blocks; None for their defaults.
        sampling: "8x8", "32x2", "32x4" or "128x1", for the paper's networks:
            which of the authors' graphs.
        weights: file to start from, of any format that
            `nonlocal_tf.load_weights` reads; a classifier of other classes is
            left new.
    """

    name: str
    nonlocal_block: NonLocalConfig | None = None
    sampling: str | None = None
    weights: str | None = None


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam whose rate warms up linearly, then falls to zero as a cosine."""

    base_lr: float
    warmup_steps: int = 0


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where a data set of videos is; its module says which fields it reads.

    Attributes:
        root: the folder that its paths are relative to.
        train: list of the training videos.
        validation: list of the videos to validate on.
        test: list of the videos to test on.
        classes: file with the names of the classes.
        split: which of the data set's own splits, from 1.
        separator: between path and label in a list.
        max_bad_share: training stops when more of the videos are bad.
        cache: file in which is kept what was found out about each video; by
            default one for all runs of a user.
        decoder: of video files: "pyav", or "tensorflow_io" where its FFmpeg
            loads, which decodes whole files.
        service: address of a tf.data service that reads the clips for
            training, such as "grpc://10.0.0.5:5000"; not for video files. The
            order of batches is then no longer the same in every run.
    """

    root: str = ""
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    classes: str | None = None
    split: int = 1
    separator: str = " "
    max_bad_share: float = 0.05
    cache: str | None = None
    decoder: str = "pyav"
    service: str | None = None


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """What a network sees of a video.

    The defaults are the paper's, at 8 frames with stride 8.

    Attributes:
        frames: of a clip.
        frame_stride: from one frame of a clip to the next.
        fps: frames a second at which strides are counted, as SlowFast does at
            30; None counts the frames of the file, as the authors' code does.
        past_end: what follows the last frame of a video that is shorter than
            the clip: "wrap" (its first frame) or "clamp" (its last).
        min_short_side_px: smallest short side that a training clip is scaled
            to; 256 as the largest too is the authors' 4-GPU variant.
        max_short_side_px: largest short side of a training clip.
        crop_px: of the square that is cut out.
        flip: whether half of the training clips are mirrored.
        eval_short_side_px: short side of the clip in the middle of a video
            whose middle is looked at in validation.
    """

    frames: int = 8
    frame_stride: int = 8
    fps: float | None = None
    past_end: str = "wrap"
    min_short_side_px: int = 256
    max_short_side_px: int = 320
    crop_px: int = 224
    flip: bool = True
    eval_short_side_px: int = 256


@dataclasses.dataclass(frozen=True)
class ViewsConfig:
    """Which views of a video are averaged in a test.

    The defaults are the paper's: 10 clips, each in 3 crops.

    Attributes:
        clips: along the video.
        crops: of each clip, along the long side: 1, 3, or 0 for the whole
            frame.
        short_side_px: to which frames are scaled.
        crop_px: of the squares; not for whole frames.
        starts: "authors" (at tenths of the video; the last clips wrap),
            "slowfast" (the last clip ends before the video does) or "centre"
            (one clip in the middle).
    """

    clips: int = 10
    crops: int = 3
    short_side_px: int = 256
    crop_px: int = 256
    starts: str = "authors"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: as registered; overrides do not change it.
        description: one line for `--list`.
        dataset: a name in `training.data.DATASETS`.
        model: the network.
        optimizer: how it is trained.
        batch: examples a step.
        steps: of training.
        epoch_steps: steps between checkpoints; divides `steps`.
        seed: of weights and data.
        image_stage: the recipe of the image network that this one's network
            is inflated from, trained first.
        data: where the videos are, for data sets that are read from a disk.
        sampling: what is seen of each video, for the same.
    """

    name: str
    description: str
    dataset: str
    model: ModelConfig
    optimizer: OptimizerConfig
    batch: int
    steps: int
    epoch_steps: int
    seed: int = 0
    image_stage: "Recipe | None" = None
    data: DataConfig | None = None
    sampling: SamplingConfig | None = None

    @property
    def epochs(self) -> int:
        return self.steps // self.epoch_steps


def register_recipe(builder):
    """Function decorator: makes a recipe known under the function's name."""
    name = builder.__name__
    if name in RECIPES:
        raise ValueError(f"Recipe {name!r} exists already.")
    RECIPES[name] = builder
    return builder


def get_recipe(name: str) -> Recipe:
    """The recipe registered under a name."""
    if name not in RECIPES:
        raise UserError(unknown("recipe", name, sorted(RECIPES)))
    return RECIPES[name]()


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Applies `--set` settings such as "optimizer.base_lr=0.02".

    Values are read as Python literals where they are one, else as text, and
    must be of the field's type.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    return check(apply(recipe, settings))


def apply(config: Any, settings: Iterable[str]) -> Any:
    """Applies `--set` settings to any dataclass; what `override` does first.

    Raises:
        UserError: a field does not exist or a value does not fit it.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(
                f"Expected --set field=value. Received: {setting!r}"
            )
        config = _replace(config, path.split("."), text, setting)
    return config


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe and its image stage with another seed."""
    stage = recipe.image_stage and with_seed(recipe.image_stage, seed)
    return dataclasses.replace(recipe, seed=seed, image_stage=stage)


def to_json(recipe: Recipe) -> str:
    """The resolved recipe as text; `from_json` gives it back."""
    return json.dumps(dataclasses.asdict(recipe), indent=2)


def from_json(text: str) -> Recipe:
    """Reads what `to_json` wrote.

    Raises:
        UserError: the text is not a recipe of this version.
    """
    try:
        return check(_build(Recipe, json.loads(text)))
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(f"Not a recipe of this version: {error}") from error


def differences(first: Recipe, second: Recipe) -> list[str]:
    """Settings in which two recipes differ, as "field: first, second".

    Descriptions do not count: they decide nothing.
    """
    one, two = _flatten(first), _flatten(second)
    return [
        f"{key}: {one.get(key)!r}, {two.get(key)!r}"
        for key in dict.fromkeys([*one, *two])
        if one.get(key) != two.get(key) and key.split(".")[-1] != "description"
    ]


def check(recipe: Recipe) -> Recipe:
    """Returns the recipe if its numbers fit together.

    Raises:
        UserError: they do not.
    """
    for field in ("batch", "steps", "epoch_steps"):
        if getattr(recipe, field) < 1:
            raise UserError(
                f"Expected {field} to be at least 1. "
                f"Received: {field}={getattr(recipe, field)}"
            )
    if recipe.steps % recipe.epoch_steps:
        raise UserError(
            f"Expected epoch_steps to divide steps={recipe.steps}. "
            f"Received: epoch_steps={recipe.epoch_steps}"
        )
    if not 0 <= recipe.optimizer.warmup_steps < recipe.steps:
        raise UserError(
            "Expected optimizer.warmup_steps from 0 to below "
            f"steps={recipe.steps}. Received: {recipe.optimizer.warmup_steps}; "
            "for a short run: --set optimizer.warmup_steps=0"
        )
    if not 0 <= recipe.seed < 2**31:
        raise UserError(
            f"Expected seed from 0 to {2**31 - 1}. Received: {recipe.seed}"
        )
    if recipe.image_stage is not None:
        check(recipe.image_stage)
    return recipe


def _replace(config, path: list[str], text: str, setting: str):
    """`config` with the field at `path` set to what `text` says."""
    name, *rest = path
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise UserError(
            f"In --set {setting}: "
            + unknown(f"field of {type(config).__name__}", name, hints)
        )
    if name == "name" and isinstance(config, Recipe):
        raise UserError(f"In --set {setting}: a recipe keeps its name.")
    child = getattr(config, name)
    if rest and not dataclasses.is_dataclass(child):
        raise UserError(
            f"In --set {setting}: {name!r} is {child!r} in this recipe and "
            "has no fields."
        )
    if rest:
        value = _replace(child, rest, text, setting)
    else:
        value = _parse(text, hints[name], setting)
    return dataclasses.replace(config, **{name: value})


def _parse(text: str, hint: Any, setting: str):
    """The value that `text` stands for, of a type that `hint` allows."""
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    if type(value) not in kinds and str in kinds:
        value = text  # a folder may be called 2024
    if type(value) not in kinds:
        expected = " or ".join(
            "None" if kind is type(None) else kind.__name__ for kind in kinds
        )
        raise UserError(
            f"In --set {setting}: expected {expected}. Received: {text!r}"
        )
    return value


def _build(cls, values: Any):
    if not isinstance(values, dict):
        raise TypeError(f"expected the fields of {cls.__name__}: {values!r}")
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            name: _build(_dataclass_of(hints[name]), value)
            if isinstance(value, dict) and name in hints
            else value
            for name, value in values.items()
        }
    )


def _dataclass_of(hint: Any):
    kinds = typing.get_args(hint) if _is_union(hint) else (hint,)
    for kind in kinds:
        if dataclasses.is_dataclass(kind):
            return kind
    raise TypeError(f"a field of {hint} has fields of its own")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _flatten(config, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat.update(_flatten(value, f"{prefix}{field.name}."))
        else:
            flat[prefix + field.name] = value
    return flat
