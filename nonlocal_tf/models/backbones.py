"""Tables that define the registered networks."""

import dataclasses
import itertools
from typing import Literal, get_args

from nonlocal_tf.choices import unknown


@dataclasses.dataclass(frozen=True)
class ConvNetConfig:
    """Small plain convolutional network.

    Attributes:
        widths: channels of each stage.
        temporal_kernels: for each stage, the temporal kernel sizes of its
            convolutions.
        temporal_strides: temporal stride of each stage's first convolution.
        spatial_strides: its stride in height and width. Default: 2.
        spatial_kernels: height and width of each stage's kernels. Default: 3.
        head_kernel_px: height and width of the last convolution's kernel.
        head_kernel: temporal kernel size of the last convolution, which comes
            before the global pooling.
        pool: global pooling, "average" or "max".
        nonlocal_after: numbers, from 1, of the stages that a non-local block
            follows.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    temporal_kernels: tuple[tuple[int, ...], ...] = ((1, 1), (1, 1), (1, 1))
    temporal_strides: tuple[int, ...] = (1, 1, 1)
    spatial_strides: tuple[int, ...] = ()
    spatial_kernels: tuple[int, ...] = ()
    head_kernel_px: int = 3
    head_kernel: int = 1
    pool: str = "average"
    nonlocal_after: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        stages = len(self.widths)
        for field, default in (("spatial_strides", 2), ("spatial_kernels", 3)):
            values = getattr(self, field) or (default,) * stages
            object.__setattr__(self, field, values)
        for field in (
            "temporal_kernels",
            "temporal_strides",
            "spatial_strides",
            "spatial_kernels",
        ):
            values = getattr(self, field)
            if len(values) != stages:
                raise ValueError(
                    f"Expected {field} of {stages} stages, as many as widths. "
                    f"Received: {field}={values!r}"
                )


C2D_SMALL = ConvNetConfig()
# As in the paper, every second convolution is inflated, here to 3x3x3.
I3D_SMALL = dataclasses.replace(
    C2D_SMALL, temporal_kernels=((3, 1), (3, 1), (3, 1))
)
# For longer clips of real videos: the receptive field of the last stage is 17
# frames, enough for the order of events, at a quarter of the cost. Max pooling
# keeps small or short events, which an average over 784 positions dilutes.
I3D_STRIDED_SMALL = dataclasses.replace(
    I3D_SMALL, temporal_strides=(1, 2, 2), head_kernel=3, pool="max"
)
# For clips of `training.data.abilities`: the receptive field is 15 pixels, and
# 5 frames, so that only a block connects what is farther apart.
C2D_LOCAL_SMALL = ConvNetConfig(
    widths=(16, 32, 64, 64),
    temporal_kernels=((1,), (1,), (1,), (1,)),
    temporal_strides=(1, 1, 1, 1),
    spatial_strides=(2, 2, 1, 1),
    spatial_kernels=(3, 3, 3, 1),
    head_kernel_px=1,
)
I3D_LOCAL_SMALL = dataclasses.replace(
    C2D_LOCAL_SMALL, temporal_kernels=((1,), (3,), (3,), (1,))
)
# Stages that a non-local block follows, by number of blocks.
SMALL_PLACES: dict[int, tuple[int, ...]] = {1: (2,), 2: (2, 3), 3: (1, 2, 3)}
# At 16 x 112 x 112, stage 2 has 64 times as many affinities as stage 3.
STRIDED_PLACES: dict[int, tuple[int, ...]] = {1: (3,)}
LOCAL_PLACES: dict[int, tuple[int, ...]] = {
    1: (2,),
    2: (2, 3),
    4: (1, 2, 3, 4),
}
# Network and places of its blocks, by the name before "[_nl<blocks>]_small".
SMALL_BACKBONES = {
    "c2d": (C2D_SMALL, SMALL_PLACES),
    "i3d": (I3D_SMALL, SMALL_PLACES),
    "i3d_strided": (I3D_STRIDED_SMALL, STRIDED_PLACES),
    "c2d_local": (C2D_LOCAL_SMALL, LOCAL_PLACES),
    "i3d_local": (I3D_LOCAL_SMALL, LOCAL_PLACES),
}


# ------------------------------------------------------- residual networks

STAGES = ("res2", "res3", "res4", "res5")
# Residual blocks of res2 to res5 by depth. A new depth is a line here.
DEPTHS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}


@dataclasses.dataclass(frozen=True)
class Backbone:
    """Temporal kernel sizes of a residual network.

    Attributes:
        stem_kernel_t: temporal size of the first kernel.
        kernels_t: for res2 to res5, temporal kernel sizes of the residual
            blocks, repeated over them.
    """

    stem_kernel_t: int
    kernels_t: tuple[tuple[int, ...], ...]


# A new backbone is a line here.
BACKBONES = {
    # Convolutions of single frames: the logits ignore the order of frames.
    "c2d": Backbone(1, ((1,), (1,), (1,), (1,))),
    # The paper's "every second block" holds from res3 on.
    "i3d": Backbone(5, ((3,), (3, 1), (3, 1), (1, 3))),
}
# Networks of other software whose files are read; they are not registered.
OTHER_BACKBONES = {
    # mmaction2's "heavy" I3D: every block is inflated.
    "i3d_heavy": Backbone(5, ((3,), (3,), (3,), (3,))),
}
# Convolution of a residual block that is inflated to three frames.
Inflation = Literal["3x1x1", "3x3x3"]
INFLATIONS = get_args(Inflation)

Places = dict[str, tuple[int, ...]]
# Residual blocks, from 0, that a non-local block follows, by (number of
# non-local blocks, depth). A single one comes right before the last block of a
# stage, by default res4 (table 2b). The ten of ResNet-101 are not published:
# these are spread evenly.
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
    """Strides of the first convolution, and the max pools around res2.

    Attributes:
        stride_t: temporal stride of the convolution; in space it is 2.
        pool: pool size, `(time, height, width)`.
        pool_strides: strides of the pool.
        pool_padding: padding of the pool in height and width.
        pool2_t: frames of the pool behind res2, 1 for none.
    """

    stride_t: int
    pool: tuple[int, int, int]
    pool_strides: tuple[int, int, int]
    pool_padding: int = 0
    pool2_t: int = 2


STEMS = {
    # The authors' code for its faster models (8x8, 32x4).
    "official": Stem(1, (1, 3, 3), (1, 2, 2)),
    # The authors' code for the paper's models (32x2, 128x1).
    "official_strided": Stem(2, (2, 3, 3), (2, 2, 2)),
    "slowfast": Stem(1, (1, 3, 3), (1, 2, 2), 1),
    # C2D without pools over time, of SlowFast and mmaction2.
    "slowfast_nopool": Stem(1, (1, 3, 3), (1, 2, 2), 1, pool2_t=1),
    "mmaction2": Stem(2, (1, 3, 3), (2, 2, 2), 1),
}


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Sampling of clips from a video, with the authors' network for it.

    Attributes:
        frames: frames per clip.
        frame_stride: distance of the frames in the video; 2 takes every second.
        stem: name in `STEMS`.
        groups: `temporal_group_size` of the non-local blocks, by stage.
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
class ResNetConfig:
    """Residual network for clips; for images the temporal sizes are ignored.

    Attributes:
        stem_kernel_t: temporal size of the first kernel.
        kernels_t: for res2 to res5, the temporal kernel size of each residual
            block.
        nonlocal_after: for res2 to res5, the residual blocks, from 0, that a
            non-local block follows.
    """

    stem_kernel_t: int
    kernels_t: tuple[tuple[int, ...], ...]
    nonlocal_after: tuple[tuple[int, ...], ...]

    @property
    def is_inflated(self) -> bool:
        """True if any kernel has a temporal extent."""
        return max(self.stem_kernel_t, *map(max, self.kernels_t)) > 1

    @property
    def has_blocks(self) -> bool:
        """True if the network has non-local blocks."""
        return any(self.nonlocal_after)

    def with_blocks(self, places: Places) -> "ResNetConfig":
        """Return the network with non-local blocks at these places only.

        Args:
            places: for each stage, the residual blocks that one follows.

        Raises:
            ValueError: unknown stage or block.
        """
        blocks = dict(zip(STAGES, map(len, self.kernels_t), strict=True))
        for stage, indices in places.items():
            if stage not in blocks:
                raise ValueError(unknown("stage", stage, STAGES))
            invalid = [i for i in indices if i not in range(blocks[stage])]
            if invalid:
                raise ValueError(
                    f"Expected places in {stage} from 0 to "
                    f"{blocks[stage] - 1}. Received: {invalid}"
                )
        after = tuple(tuple(sorted(set(places.get(s, ())))) for s in STAGES)
        return dataclasses.replace(self, nonlocal_after=after)

    def with_one_block(self, stage: str) -> "ResNetConfig":
        """Return the network with one block before the last of a stage."""
        if stage not in STAGES:
            raise ValueError(unknown("stage", stage, STAGES))
        last = len(self.kernels_t[STAGES.index(stage)]) - 1
        return self.with_blocks({stage: (last - 1,)})


def resnet_config(
    backbone: str,
    depth: int | tuple[int, ...],
    places: Places | None = None,
) -> ResNetConfig:
    """Return the network of a backbone, a depth and places of blocks.

    Args:
        backbone: name in `BACKBONES` or `OTHER_BACKBONES`.
        depth: key of `DEPTHS`, or the number of residual blocks of each stage.
        places: for each stage, the residual blocks that a non-local block
            follows. Default: no non-local blocks.

    Raises:
        ValueError: unknown stage or block.
    """
    kernels = {**BACKBONES, **OTHER_BACKBONES}[backbone]
    counts = DEPTHS[depth] if isinstance(depth, int) else depth
    kernels_t = tuple(
        tuple(itertools.islice(itertools.cycle(pattern), count))
        for pattern, count in zip(kernels.kernels_t, counts, strict=True)
    )
    no_blocks = ((),) * len(STAGES)
    config = ResNetConfig(kernels.stem_kernel_t, kernels_t, no_blocks)
    return config.with_blocks(places or {})
