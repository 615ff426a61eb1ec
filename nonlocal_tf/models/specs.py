"""What distinguishes one network from another, as data."""

import dataclasses
import itertools
from typing import Literal, get_args

from nonlocal_tf.choices import unknown


@dataclasses.dataclass(frozen=True)
class ConvNetSpec:
    """A plain network of 3x3 convolutions for small clips.

    Stage s has one convolution a kernel size in `temporal_kernels[s]`; its
    first has stride 2 in space and `temporal_strides[s]` in time. A non-local
    block follows each stage whose number (from 1) is in `nonlocal_after`. One
    more convolution, of temporal size `head_kernel`, comes before the global
    pooling: "average" or "max" over all positions.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    temporal_kernels: tuple[tuple[int, ...], ...] = ((1, 1), (1, 1), (1, 1))
    temporal_strides: tuple[int, ...] = (1, 1, 1)
    head_kernel: int = 1
    pool: str = "average"
    nonlocal_after: tuple[int, ...] = ()


C2D_SMALL = ConvNetSpec()
# As in the paper, every second convolution is inflated; here to 3x3x3.
I3D_SMALL = dataclasses.replace(
    C2D_SMALL, temporal_kernels=((3, 1), (3, 1), (3, 1))
)
# For longer clips of real videos: cells of the last stage see 17 frames, which
# tells the order of events, and cost a quarter. The maximum keeps what is small
# or short, which an average over 784 positions of mostly background dilutes.
I3D_STRIDED_SMALL = dataclasses.replace(
    I3D_SMALL, temporal_strides=(1, 2, 2), head_kernel=3, pool="max"
)
# The stages that a non-local block follows, by how many blocks there are.
SMALL_PLACES: dict[int, tuple[int, ...]] = {1: (2,), 2: (2, 3), 3: (1, 2, 3)}
# At 16 x 112 x 112 there are 64 times as many affinities after stage 2.
STRIDED_PLACES: dict[int, tuple[int, ...]] = {1: (3,)}


# ------------------------------------------------------- residual networks

STAGES = ("res2", "res3", "res4", "res5")
# Residual blocks of res2 to res5, a depth. A new depth is a line here.
DEPTHS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}


@dataclasses.dataclass(frozen=True)
class Backbone:
    """Which convolutions look along time.

    Attributes:
        stem_kernel_t: frames of the first kernel.
        kernels_t: for res2 to res5, frames of the kernels of its blocks,
            repeated over them.
    """

    stem_kernel_t: int
    kernels_t: tuple[tuple[int, ...], ...]


BACKBONES = {
    "c2d": Backbone(1, ((1,), (1,), (1,), (1,))),
    # "Every second block" is literally true from res3 on.
    "i3d": Backbone(5, ((3,), (3, 1), (3, 1), (1, 3))),
}
# Which of a block's convolutions is inflated to see three frames.
Inflation = Literal["3x1x1", "3x3x3"]
INFLATIONS = get_args(Inflation)

Places = dict[str, tuple[int, ...]]
# After which residual blocks, counted from 0, there are how many non-local
# blocks in all, by (how many, depth). The ten of ResNet-101 are nowhere
# written down: these are spread evenly. One alone comes right before the last
# block of a stage, that of res4 by default (table 2b).
PLACES: dict[tuple[int, int], Places] = {
    (1, 50): {"res4": (4,)},
    (5, 50): {"res3": (1, 3), "res4": (1, 3, 5)},
    (10, 50): {"res3": (0, 1, 2, 3), "res4": (0, 1, 2, 3, 4, 5)},
    (1, 101): {"res4": (21,)},
    (5, 101): {"res3": (1, 3), "res4": (6, 13, 20)},
    (10, 101): {"res3": (0, 1, 2, 3), "res4": (3, 6, 10, 13, 17, 20)},
}


@dataclasses.dataclass(frozen=True)
class Stem:
    """What comes before res2: strides of the convolution, and the pool.

    Attributes:
        stride_t: of the convolution, in time; in space it is 2.
        pool: (time, height, width) of a box.
        pool_strides: from box to box.
        pool_padding: in height and width.
    """

    stride_t: int
    pool: tuple[int, int, int]
    pool_strides: tuple[int, int, int]
    pool_padding: int = 0


STEMS = {
    # The authors' code for its faster models (8x8, 32x4) ...
    "official": Stem(1, (1, 3, 3), (1, 2, 2)),
    # ... and for those of the paper (32x2, 128x1).
    "official_strided": Stem(2, (2, 3, 3), (2, 2, 2)),
    "slowfast": Stem(1, (1, 3, 3), (1, 2, 2), 1),
    "mmaction2": Stem(2, (1, 3, 3), (2, 2, 2), 1),
}


@dataclasses.dataclass(frozen=True)
class Sampling:
    """A clip: so many frames, each so many frames of the video apart.

    Attributes:
        frames: of a clip.
        frame_stride: 2 takes every second frame.
        stem: of the authors' model for it.
        groups: frames a group, in which alone non-local blocks of a stage
            look; other stages look everywhere.
    """

    frames: int
    frame_stride: int
    stem: str
    groups: tuple[tuple[str, int], ...] = ()


SAMPLINGS = {
    "8x8": Sampling(8, 8, "official"),
    "32x2": Sampling(32, 2, "official_strided"),
    "32x4": Sampling(32, 4, "official", (("res3", 4),)),
    "128x1": Sampling(128, 1, "official_strided", (("res3", 4),)),
}


@dataclasses.dataclass(frozen=True)
class ResNetSpec:
    """A residual network for clips, or of a single frame for images.

    Attributes:
        stem_kernel_t: frames of the first kernel.
        kernels_t: frames of the kernels, a stage and a block.
        nonlocal_after: for res2 to res5, the blocks that a non-local block
            follows, counted from 0.
    """

    stem_kernel_t: int
    kernels_t: tuple[tuple[int, ...], ...]
    nonlocal_after: tuple[tuple[int, ...], ...]

    @property
    def is_inflated(self) -> bool:
        """Whether any convolution looks along time."""
        return max(self.stem_kernel_t, *map(max, self.kernels_t)) > 1

    @property
    def has_blocks(self) -> bool:
        """Whether there are non-local blocks."""
        return any(self.nonlocal_after)

    def with_blocks(self, places: Places) -> "ResNetSpec":
        """The same with non-local blocks at these places alone.

        Raises:
            ValueError: there is no such stage or block.
        """
        blocks = dict(zip(STAGES, map(len, self.kernels_t), strict=True))
        for stage, chosen in places.items():
            if stage not in blocks:
                raise ValueError(unknown("stage", stage, STAGES))
            wrong = [i for i in chosen if i not in range(blocks[stage])]
            if wrong:
                raise ValueError(
                    f"Expected places in {stage} from 0 to "
                    f"{blocks[stage] - 1}. Received: {wrong}"
                )
        after = tuple(tuple(sorted(set(places.get(s, ())))) for s in STAGES)
        return dataclasses.replace(self, nonlocal_after=after)

    def with_one_block(self, stage: str) -> "ResNetSpec":
        """The same with one non-local block, before a stage's last block."""
        if stage not in STAGES:
            raise ValueError(unknown("stage", stage, STAGES))
        last = len(self.kernels_t[STAGES.index(stage)]) - 1
        return self.with_blocks({stage: (last - 1,)})


def resnet_spec(
    backbone: str,
    depth: int | tuple[int, ...],
    places: Places | None = None,
) -> ResNetSpec:
    """The network of a backbone and a depth, with blocks at some places.

    Args:
        backbone: a name in `BACKBONES`.
        depth: a number in `DEPTHS`, or how many residual blocks each stage has.
        places: of non-local blocks. Default: none.

    Raises:
        ValueError: there is no such stage or block.
    """
    kind = BACKBONES[backbone]
    counts = DEPTHS[depth] if isinstance(depth, int) else depth
    kernels_t = tuple(
        tuple(itertools.islice(itertools.cycle(pattern), count))
        for pattern, count in zip(kind.kernels_t, counts, strict=True)
    )
    none = ((),) * len(STAGES)
    spec = ResNetSpec(kind.stem_kernel_t, kernels_t, none)
    return spec.with_blocks(places or {})
