"""Inference of a network's architecture from names and shapes of weights."""

import dataclasses

from nonlocal_tf.checkpoints.errors import CheckpointError, MismatchError
from nonlocal_tf.checkpoints.formats import Format, Weight, to_keras_layout
from nonlocal_tf.checkpoints.read import ResNetCheckpoint
from nonlocal_tf.models import backbones
from nonlocal_tf.models.resnet_layers import EXPANSION

STAGES = range(2, 6)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Architecture of a residual network, as far as weights determine it.

    Attributes:
        spec: stages, temporal kernels and places of non-local blocks.
        is_image: True for a network on images.
        has_time_axis: True if kernels have a time axis.
        width: channels of the first convolution.
        input_channels: channels of clips or images.
        inflation: "3x1x1" or "3x3x3".
        norm: "batch" or "affine".
        num_classes: number of classes, None without a classifier.
        block: arguments of its non-local blocks; empty if it has none.
        pairwise: name of the pairwise function, None if weights do not
            determine it.
    """

    spec: backbones.ResNetConfig
    is_image: bool
    has_time_axis: bool
    width: int
    input_channels: int
    inflation: str
    norm: str
    num_classes: int | None
    block: dict
    pairwise: str | None

    @property
    def name(self) -> str:
        """Name as in `list_models`, if it is one of those."""
        depth = 3 * sum(map(len, self.spec.kernels_t)) + 2
        if self.is_image:
            return f"image_r{depth}"
        count = sum(map(len, self.spec.nonlocal_after))
        blocks = f"_nl{count}" if count else ""
        backbone = "i3d" if self.spec.is_inflated else "c2d"
        heavy = "_heavy" if self.is_heavy else ""
        return f"{backbone}{heavy}{blocks}_r{depth}"

    @property
    def is_heavy(self) -> bool:
        """True if every residual block has a temporal kernel."""
        return min(map(min, self.spec.kernels_t)) > 1


class _Shapes:
    """Shapes of a file's arrays, in Keras' layout."""

    def __init__(self, checkpoint: ResNetCheckpoint):
        self._checkpoint = checkpoint

    def name(self, weight: Weight) -> str | None:
        """Return a weight's name in the file, or None if it is missing."""
        names = self._checkpoint.format.names(weight)
        return next((n for n in names if n in self._checkpoint.arrays), None)

    def get(self, weight: Weight, min_rank: int = 0) -> tuple[int, ...] | None:
        """Return the shape of a weight, or None if it is missing.

        Raises:
            CheckpointError: the array has fewer axes than `min_rank`.
        """
        name = self.name(weight)
        if name is None:
            return None
        shape = to_keras_layout(
            self._checkpoint.arrays[name], weight.role, self._checkpoint.format
        ).shape
        if len(shape) < min_rank:
            raise CheckpointError(
                f"Expected {name!r} to have at least {min_rank} axes. "
                f"Received: {shape}"
            )
        return shape

    def has_residual_block(self, stage: int, block: int) -> bool:
        """Tell if any convolution of a residual block is in the file."""
        parts = ("conv1", "conv2", "conv3")
        return any(self.name(Weight(part, stage, block)) for part in parts)

    def kernel_frames(
        self, weight: Weight, window: int, fan_in: int, filters: int
    ) -> int:
        """Return the temporal size of a required kernel.

        Args:
            weight: the kernel of a convolution.
            window: its expected height and width.
            fan_in: its expected input channels.
            filters: its expected output channels.

        Raises:
            CheckpointError: the kernel is missing or has another shape.
        """
        shape = self.get(weight)
        name = self.name(weight) or self._checkpoint.format.names(weight)[0]
        if shape is None:
            raise CheckpointError(f"{name!r} is missing.")
        expected = (window, window, fan_in, filters)
        frames = shape[0] if len(shape) == 5 else 1
        if len(shape) not in (4, 5) or shape[-4:] != expected:
            raise CheckpointError(
                f"Expected {name!r} to be the kernel of a convolution, "
                f"{window} x {window}, from {fan_in} to {filters} channels. "
                f"Received: {shape}, in the order of Keras"
            )
        if frames % 2 == 0:
            raise CheckpointError(
                f"Expected {name!r} to span an odd number of frames. "
                f"Received: {frames}"
            )
        return frames


def infer(checkpoint: ResNetCheckpoint) -> Architecture:
    """Infer the architecture of the network in a checkpoint.

    Raises:
        CheckpointError: its weights are not those of a residual network of
            bottleneck blocks.
    """
    try:
        return _infer(checkpoint)
    except MismatchError as error:
        reason = f"{checkpoint.path}: {error.reason}"
        raise MismatchError(reason, error.remedy) from error
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _infer(checkpoint: ResNetCheckpoint) -> Architecture:
    shapes = _Shapes(checkpoint)
    stem = shapes.get(Weight("stem"), min_rank=4)
    if stem is None:
        name = checkpoint.format.names(Weight("stem"))[0]
        raise MismatchError(
            "Expected the weights of a residual network, such as "
            "'c2d_nl5_r50', whose architecture names and shapes determine. "
            f"The first convolution, {name!r}, is missing.",
            "Build another network with nl.create_model and fill it with "
            "nl.load_weights, or save it as .keras, which has its "
            "architecture.",
        )
    width = stem[-1]
    stem_t = shapes.kernel_frames(Weight("stem"), 7, stem[-2], width)
    channels = width
    kernels_t, nonlocal_after, inflations = [], [], set()
    for stage in STAGES:
        inner = width * 2 ** (stage - 2)
        sizes: list[int] = []
        places: list[int] = []
        while shapes.has_residual_block(stage, len(sizes)):
            block = len(sizes)
            first, second, _ = (
                shapes.kernel_frames(Weight(part, stage, block), *expected)
                for part, *expected in (
                    ("conv1", 1, channels, inner),
                    ("conv2", 3, inner, inner),
                    ("conv3", 1, inner, inner * EXPANSION),
                )
            )
            inflations |= {"3x1x1"} if first > 1 else set()
            inflations |= {"3x3x3"} if second > 1 else set()
            channels = inner * EXPANSION
            if shapes.name(Weight("nonlocal", stage, block, "g")):
                places.append(block)
            sizes.append(max(first, second))
        if not sizes:
            raise CheckpointError(f"res{stage} has no residual blocks.")
        kernels_t.append(tuple(sizes))
        nonlocal_after.append(tuple(places))
    if len(inflations) > 1:
        raise CheckpointError(
            "Both 3x1x1 and 3x3x3 kernels are temporal, which no network of "
            "this library has."
        )
    spec = backbones.ResNetConfig(
        stem_t, tuple(kernels_t), tuple(nonlocal_after)
    )
    _check_backbone(spec)
    norm = _norm(shapes, Weight("stem", is_norm=True))
    if norm == "none":
        raise CheckpointError(
            "The first convolution has no normalization. If the file is of a "
            "folded model, save the model before folding it."
        )
    block_arguments, pairwise = _nonlocal_block(
        shapes, checkpoint.format, nonlocal_after, width
    )
    return Architecture(
        spec=spec,
        # mmaction2's C2D has the kernels of images, but takes clips.
        is_image=len(stem) == 4 and checkpoint.format.name != "mmaction2",
        has_time_axis=len(stem) == 5,
        width=width,
        input_channels=stem[-2],
        inflation="3x3x3" if inflations == {"3x3x3"} else "3x1x1",
        norm=norm,
        num_classes=_num_classes(shapes, channels),
        block=block_arguments,
        pairwise=pairwise,
    )


def _check_backbone(spec: backbones.ResNetConfig) -> None:
    """Raise a CheckpointError for a backbone that is not in the table.

    Others have other pools and strides, which weights do not show.
    """
    for backbone in (*backbones.BACKBONES, *backbones.OTHER_BACKBONES):
        sizes = tuple(map(len, spec.kernels_t))
        plain = backbones.resnet_config(backbone, sizes)
        places = dict(zip(backbones.STAGES, spec.nonlocal_after, strict=True))
        if plain.with_blocks(places) == spec:
            return
    frames = [sorted(set(sizes)) for sizes in spec.kernels_t]
    raise CheckpointError(
        f"Expected a network of one of: {', '.join(backbones.BACKBONES)}. "
        f"Received: temporal kernels of {spec.stem_kernel_t} in the stem and "
        f"{frames} in res2 to res5. Slow and SlowOnly, with temporal kernels "
        "in res4 and res5 alone, are unsupported."
    )


def _num_classes(shapes: _Shapes, channels: int) -> int | None:
    """Return the number of classes, or None without a classifier.

    Raises:
        CheckpointError: kernel and bias do not fit each other or the network.
    """
    kernel = shapes.get(Weight("logits"), min_rank=2)
    bias = shapes.get(Weight("logits", role="bias"), min_rank=1)
    if kernel is None and bias is None:
        return None
    if kernel is None or bias != kernel[-1:] or kernel[-2] != channels:
        raise CheckpointError(
            f"Expected a classifier of {channels} features. Received: a kernel "
            f"of shape {kernel}, in the order of Keras, and a bias of {bias}"
        )
    return kernel[-1]


def _norm(shapes: _Shapes, weight: Weight) -> str:
    """Return "batch" with statistics, "affine" without, or "none"."""

    def has(role: str) -> bool:
        return shapes.name(dataclasses.replace(weight, role=role)) is not None

    if has("moving_mean") or has("moving_variance"):
        return "batch"
    return "affine" if has("gamma") or has("beta") else "none"


def _bottleneck(
    shapes: _Shapes, place: tuple[int, int], channels: int
) -> int | None:
    """Return the inner channels of a non-local block; None for the half."""
    weight = Weight("nonlocal", *place, "theta")
    if shapes.name(weight) is None:  # Gaussian
        weight = Weight("nonlocal", *place, "g")
    shape = shapes.get(weight, min_rank=2)
    if shape is None or shape[-2] != channels:
        raise CheckpointError(
            f"Expected {shapes.name(weight)!r} to be from {channels} channels. "
            f"Received: {shape}, in the order of Keras"
        )
    return None if shape[-1] == max(channels // 2, 1) else shape[-1]


def _nonlocal_block(
    shapes: _Shapes,
    file_format: Format,
    nonlocal_after: list[tuple[int, ...]],
    width: int,
) -> tuple[dict, str | None]:
    """Return arguments and pairwise function of the non-local blocks.

    All but the bottleneck are read off the first block.
    """
    all_places = [
        (stage, place)
        for stage, places in zip(STAGES, nonlocal_after, strict=True)
        for place in places
    ]
    if not all_places:
        return {}, None
    first = all_places[0]

    def weight(
        inner: str, role: str = "kernel", is_norm: bool = False
    ) -> Weight:
        return Weight("nonlocal", *first, inner, is_norm, role)

    block: dict = {
        "pool_position": file_format.pool_position,
        "norm": _norm(shapes, weight("bn", is_norm=True)),
        "out_bias": shapes.name(weight("out", "bias")) is not None,
    }
    bottlenecks = {
        place: _bottleneck(
            shapes, place, width * 2 ** (place[0] - 2) * EXPANSION
        )
        for place in all_places
    }
    if any(size is not None for size in bottlenecks.values()):
        half = width * 2 ** (first[0] - 2) * EXPANSION // 2
        block["bottleneck"] = bottlenecks[first] or half
    # With a pool behind it, g is the first module of a sequence.
    is_pooled = ".g.0." in (shapes.name(weight("g")) or "")
    if file_format.name == "mmaction2" and not is_pooled:
        block["subsample"] = None
    has_weight = shapes.name(weight("pairwise", "w_f")) is not None
    if shapes.name(weight("theta")) is None:
        return block, "global_context" if has_weight else "gaussian"
    return block, "concatenation" if has_weight else None
