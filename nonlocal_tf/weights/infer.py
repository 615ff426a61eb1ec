"""Reads off a file's weights which network they are of."""

import dataclasses

from nonlocal_tf.models import specs
from nonlocal_tf.models.resnet3d import EXPANSION
from nonlocal_tf.weights.errors import CheckpointError
from nonlocal_tf.weights.names import Format, Weight, to_ours
from nonlocal_tf.weights.read import Checkpoint

STAGES = range(2, 6)


@dataclasses.dataclass(frozen=True)
class Network:
    """What names and shapes say.

    Attributes:
        spec: stages, temporal kernels and places of non-local blocks.
        is_image: kernels have no time axis, and neither has the network.
        width: channels of the first convolution.
        inflation: "3x1x1" or "3x3x3".
        norm: "batch" or "affine".
        num_classes: None without a classifier.
        block: arguments of its non-local blocks; empty if there are none.
        pairwise: what is certain of their function, or None.
    """

    spec: specs.ResNetSpec
    is_image: bool
    width: int
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

    def kernel(self, weight: Weight) -> tuple[int, ...]:
        """The shape of a kernel that has to be there."""
        shape = self(weight)
        expected = self._checkpoint.form.names(weight)
        if shape is None:
            raise CheckpointError(f"{expected[0]!r} is missing.")
        if len(shape) not in (4, 5):
            raise CheckpointError(
                f"Expected {expected[0]!r} to be the kernel of a convolution "
                f"with 4 or 5 axes. Received a shape of {len(shape)}."
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
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error


def _network_of(checkpoint: Checkpoint) -> Network:
    shape = _Shapes(checkpoint)
    stem = shape.kernel(Weight("stem"))
    # mmaction2's C2D has the kernels of images, but takes clips.
    is_image = len(stem) == 4 and checkpoint.form.name != "mmaction2"
    kernels_t, after, inflations = [], [], set()
    for stage in STAGES:
        sizes: list[int] = []
        places: list[int] = []
        while shape(Weight("conv2", stage, len(sizes))) is not None:
            first, second = (
                _time(shape.kernel(Weight(part, stage, len(sizes))))
                for part in ("conv1", "conv2")
            )
            if first > 1:
                inflations.add("3x1x1")
            if second > 1:
                inflations.add("3x3x3")
            if shape(Weight("nonlocal", stage, len(sizes), "g")) is not None:
                places.append(len(sizes))
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
    logits = shape(Weight("logits"))
    block, pairwise = _block(shape, checkpoint.form, after, stem[-1])
    return Network(
        spec=specs.ResNetSpec(_time(stem), tuple(kernels_t), tuple(after)),
        is_image=is_image,
        width=stem[-1],
        inflation="3x3x3" if inflations == {"3x3x3"} else "3x1x1",
        norm=_norm(shape, Weight("stem", is_norm=True)),
        num_classes=None if logits is None else logits[-1],
        block=block,
        pairwise=pairwise,
    )


def _time(kernel: tuple[int, ...]) -> int:
    return kernel[0] if len(kernel) == 5 else 1


def _norm(shape: _Shapes, weight: Weight) -> str:
    """ "batch" if there are statistics, "affine" if there are not."""

    def has(role):
        return shape(dataclasses.replace(weight, role=role)) is not None

    if not has("gamma"):
        return "none"
    return "batch" if has("moving_mean") else "affine"


def _block(
    shape: _Shapes, form: Format, after: list[tuple[int, ...]], width: int
) -> tuple[dict, str | None]:
    """Arguments of the non-local blocks, as the first of them says."""
    first = next(
        ((s, p[0]) for s, p in zip(STAGES, after, strict=True) if p), None
    )
    if first is None:
        return {}, None

    def weight(inner, role="kernel", is_norm=False):
        return Weight("nonlocal", *first, inner, is_norm, role)

    channels = width * 2 ** (first[0] - 2) * EXPANSION
    (bottleneck,) = shape.kernel(weight("g"))[-1:]
    norm = _norm(shape, weight("bn", is_norm=True))
    block: dict = {
        "pool_position": form.pool_position,
        "norm": norm,
        "out_bias": shape(weight("out", "bias")) is not None,
    }
    if bottleneck != max(channels // 2, 1):
        block["bottleneck"] = bottleneck
    # With a pool behind it, g is the first of a sequence.
    pooled = ".g.0." in (shape.name(weight("g")) or "")
    if form.name == "mmaction2" and not pooled:
        block["subsample"] = None
    if shape(weight("pairwise", "w_f")) is not None:
        return block, "concatenation"
    if shape(weight("theta")) is None:
        return block, "gaussian"
    return block, None
