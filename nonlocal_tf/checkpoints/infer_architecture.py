"""Reads off a file's weights which network they are of."""

import dataclasses

from nonlocal_tf.checkpoints.errors import CheckpointError, MisfitError
from nonlocal_tf.checkpoints.formats import Format, Weight, to_ours
from nonlocal_tf.checkpoints.read import Checkpoint
from nonlocal_tf.models import configs
from nonlocal_tf.models.resnet_layers import EXPANSION

STAGES = range(2, 6)


@dataclasses.dataclass(frozen=True)
class Network:
    """What names and shapes say.

    Attributes:
        spec: stages, temporal kernels and places of non-local blocks.
        is_image: it is a network on images.
        has_time: kernels have a time axis.
        width: channels of the first convolution.
        fan_in: channels of clips or images.
        inflation: "3x1x1" or "3x3x3".
        norm: "batch" or "affine".
        num_classes: None without a classifier.
        block: arguments of its non-local blocks; empty if there are none.
        pairwise: what is certain of their function, or None.
    """

    spec: configs.ResNetConfig
    is_image: bool
    has_time: bool
    width: int
    fan_in: int
    inflation: str
    norm: str
    num_classes: int | None
    block: dict
    pairwise: str | None

    @property
    def name(self) -> str:
        """As in `list_models`, if it is one of them."""
        depth = 3 * sum(map(len, self.spec.kernels_t)) + 2
        if self.is_image:
            return f"image_r{depth}"
        count = sum(map(len, self.spec.nonlocal_after))
        blocks = f"_nl{count}" if count else ""
        return f"{'i3d' if self.spec.is_inflated else 'c2d'}{blocks}_r{depth}"


class _Shapes:
    """Shapes in our layout, by what a weight is."""

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint = checkpoint

    def name(self, weight: Weight) -> str | None:
        """The name it has in the file, or None."""
        names = self._checkpoint.form.names(weight)
        return next((n for n in names if n in self._checkpoint.arrays), None)

    def __call__(self, weight: Weight) -> tuple[int, ...] | None:
        name = self.name(weight)
        if name is None:
            return None
        array = self._checkpoint.arrays[name]
        return to_ours(array, weight.role, self._checkpoint.form).shape

    def has_block(self, stage: int, block: int) -> bool:
        """Whether any convolution of a residual block is there."""
        parts = ("conv1", "conv2", "conv3")
        return any(self.name(Weight(part, stage, block)) for part in parts)

    def kernel_t(
        self, weight: Weight, window: int, fan_in: int, filters: int
    ) -> int:
        """Frames of a kernel that has to be there, checked to fit.

        Args:
            weight: the kernel of a convolution.
            window: what its height and width have to be.
            fan_in: channels of what it is applied to.
            filters: channels of its result.
        """
        shape = self(weight)
        name = self.name(weight) or self._checkpoint.form.names(weight)[0]
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
                f"Expected {name!r} to see an odd number of frames. "
                f"Received: {frames}"
            )
        return frames

    def of(self, weight: Weight, axes: int) -> tuple[int, ...] | None:
        """The shape of a weight that may be missing, with so many axes."""
        shape = self(weight)
        if shape is not None and len(shape) < axes:
            raise CheckpointError(
                f"Expected {self.name(weight)!r} to have at least {axes} axes. "
                f"Received: {shape}"
            )
        return shape


def network_of(checkpoint: Checkpoint) -> Network:
    """The network that a file has the weights of.

    Raises:
        CheckpointError: its weights are not those of a residual network of
            bottleneck blocks.
    """
    try:
        return _network_of(checkpoint)
    except MisfitError as error:
        reason = f"{checkpoint.path}: {error.reason}"
        raise MisfitError(reason, error.remedy) from error
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _network_of(checkpoint: Checkpoint) -> Network:
    shape = _Shapes(checkpoint)
    stem = shape.of(Weight("stem"), 4)
    if stem is None:
        raise MisfitError(
            "Expected the weights of a residual network, such as 'c2d_nl5_r50',"
            " whose parts their names and shapes tell. There is no first "
            f"convolution, {checkpoint.form.names(Weight('stem'))[0]!r}.",
            "Build another network with nl.create_model and fill it with "
            "nl.load_weights, or save it as .keras, which tells all of it.",
        )
    width = stem[-1]
    stem_t = shape.kernel_t(Weight("stem"), 7, stem[-2], width)
    channels = width
    kernels_t, after, inflations = [], [], set()
    for stage in STAGES:
        inner = width * 2 ** (stage - 2)
        sizes: list[int] = []
        places: list[int] = []
        while shape.has_block(stage, len(sizes)):
            block = len(sizes)
            first, second, _ = (
                shape.kernel_t(Weight(part, stage, block), *expected)
                for part, *expected in (
                    ("conv1", 1, channels, inner),
                    ("conv2", 3, inner, inner),
                    ("conv3", 1, inner, inner * EXPANSION),
                )
            )
            inflations |= {"3x1x1"} if first > 1 else set()
            inflations |= {"3x3x3"} if second > 1 else set()
            channels = inner * EXPANSION
            if shape(Weight("nonlocal", stage, block, "g")) is not None:
                places.append(block)
            sizes.append(max(first, second))
        if not sizes:
            raise CheckpointError(f"There are no blocks of res{stage}.")
        kernels_t.append(tuple(sizes))
        after.append(tuple(places))
    if len(inflations) > 1:
        raise CheckpointError(
            "Kernels of both 3x1x1 and 3x3x3 look along time; no network here "
            "has both."
        )
    spec = configs.ResNetConfig(stem_t, tuple(kernels_t), tuple(after))
    _check_backbone(spec)
    norm = _norm(shape, Weight("stem", is_norm=True))
    if norm == "none":
        raise CheckpointError(
            "The first convolution has no normalisation. If the file is of a "
            "folded model, save the one that was folded."
        )
    options, pairwise = _block(shape, checkpoint.form, after, width)
    return Network(
        spec=spec,
        # mmaction2's C2D has the kernels of images, but takes clips.
        is_image=len(stem) == 4 and checkpoint.form.name != "mmaction2",
        has_time=len(stem) == 5,
        width=width,
        fan_in=stem[-2],
        inflation="3x3x3" if inflations == {"3x3x3"} else "3x1x1",
        norm=norm,
        num_classes=_classes(shape, channels),
        block=options,
        pairwise=pairwise,
    )


def _check_backbone(spec: configs.ResNetConfig) -> None:
    """Others have other pools and strides, which no weight shows.

    Raises:
        CheckpointError: it is no backbone of the table.
    """
    for backbone in configs.BACKBONES:
        sizes = tuple(map(len, spec.kernels_t))
        known = configs.resnet_config(backbone, sizes)
        if known.with_blocks(_places(spec)) == spec:
            return
    frames = [sorted(set(sizes)) for sizes in spec.kernels_t]
    raise CheckpointError(
        f"Expected a network of one of: {', '.join(configs.BACKBONES)}. "
        f"Received: temporal kernels of {spec.stem_kernel_t} in the stem and "
        f"{frames} in res2 to res5. Slow and SlowOnly, with temporal kernels "
        "in res4 and res5 alone, are unsupported."
    )


def _places(spec: configs.ResNetConfig) -> configs.Places:
    return dict(zip(configs.STAGES, spec.nonlocal_after, strict=True))


def _classes(shape: _Shapes, channels: int) -> int | None:
    """How many there are, or None without a classifier.

    Raises:
        CheckpointError: its two weights do not fit each other or the network.
    """
    kernel = shape.of(Weight("logits"), 2)
    bias = shape.of(Weight("logits", role="bias"), 1)
    if kernel is None and bias is None:
        return None
    if kernel is None or bias != kernel[-1:] or kernel[-2] != channels:
        raise CheckpointError(
            f"Expected a classifier of {channels} features. Received: a kernel "
            f"of shape {kernel}, in the order of Keras, and a bias of {bias}"
        )
    return kernel[-1]


def _norm(shape: _Shapes, weight: Weight) -> str:
    """ "batch" with statistics, "affine" without, "none" without either."""

    def has(role: str) -> bool:
        return shape(dataclasses.replace(weight, role=role)) is not None

    if has("moving_mean") or has("moving_variance"):
        return "batch"
    return "affine" if has("gamma") or has("beta") else "none"


def _bottleneck(
    shape: _Shapes, at: tuple[int, int], channels: int
) -> int | None:
    """Channels that a non-local block looks in; None for half of its own."""
    weight = Weight("nonlocal", *at, "g")
    found = shape.of(weight, 2)
    if found is None or found[-2] != channels:
        raise CheckpointError(
            f"Expected {shape.name(weight)!r} to be from {channels} channels. "
            f"Received: {found}, in the order of Keras"
        )
    return None if found[-1] == max(channels // 2, 1) else found[-1]


def _block(
    shape: _Shapes, form: Format, after: list[tuple[int, ...]], width: int
) -> tuple[dict, str | None]:
    """Arguments of the non-local blocks, as the first of them says."""
    first = next(
        ((s, p[0]) for s, p in zip(STAGES, after, strict=True) if p), None
    )
    if first is None:
        return {}, None

    def weight(
        inner: str, role: str = "kernel", is_norm: bool = False
    ) -> Weight:
        return Weight("nonlocal", *first, inner, is_norm, role)

    block: dict = {
        "pool_position": form.pool_position,
        "norm": _norm(shape, weight("bn", is_norm=True)),
        "out_bias": shape(weight("out", "bias")) is not None,
    }
    bottlenecks = {
        at: _bottleneck(shape, at, width * 2 ** (at[0] - 2) * EXPANSION)
        for at in (
            (stage, place)
            for stage, places in zip(STAGES, after, strict=True)
            for place in places
        )
    }
    if any(size is not None for size in bottlenecks.values()):
        stage, place = first
        half = width * 2 ** (stage - 2) * EXPANSION // 2
        block["bottleneck"] = bottlenecks[first] or half
    # With a pool behind it, g is the first of a sequence.
    pooled = ".g.0." in (shape.name(weight("g")) or "")
    if form.name == "mmaction2" and not pooled:
        block["subsample"] = None
    if shape(weight("pairwise", "w_f")) is not None:
        return block, "concatenation"
    if shape(weight("theta")) is None:
        return block, "gaussian"
    return block, None
