"""What distinguishes one network from another, as data."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ConvNetSpec:
    """A plain network of 3x3 convolutions for small clips.

    Stage s has one convolution a kernel size in `temporal_kernels[s]`; its
    first has stride 2 in space. A non-local block follows each stage whose
    number (from 1) is in `nonlocal_after`. One more convolution, of temporal
    size `head_kernel`, comes before the global average pooling.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    temporal_kernels: tuple[tuple[int, ...], ...] = ((1, 1), (1, 1), (1, 1))
    head_kernel: int = 1
    nonlocal_after: tuple[int, ...] = ()


C2D_SMALL = ConvNetSpec()
C2D_NL1_SMALL = dataclasses.replace(C2D_SMALL, nonlocal_after=(2,))
# As in the paper, every second convolution is inflated; here to 3x3x3.
I3D_SMALL = dataclasses.replace(
    C2D_SMALL, temporal_kernels=((3, 1), (3, 1), (3, 1))
)
I3D_NL1_SMALL = dataclasses.replace(I3D_SMALL, nonlocal_after=(2,))
