"""Checkpoint formats: their names and layouts of a residual network's weights.

To add a format, add a `Format` to `FORMATS`. Reading, inference of the
architecture, loading and saving are the same for all formats.
"""

import dataclasses
import re
from collections.abc import Callable

import numpy as np

NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
BN_EPSILON = 1e-5
KERAS_EPSILON = 1.001e-5

LAYER = re.compile(
    r"(?:conv1|res(?P<stage>\d)_block(?P<block>\d+)"
    r"_(?P<part>conv1|conv2|conv3|shortcut|nonlocal)|(?P<logits>logits))"
    r"(?P<norm>_bn|_affine)?(?:/(?P<inner>\w+))?/(?P<role>\w+)"
)


@dataclasses.dataclass(frozen=True)
class Weight:
    """Identity of a weight, independent of the format.

    Attributes:
        part: "stem", "conv1" to "conv3", "shortcut", "nonlocal" or "logits".
        stage: 2 to 5, or 0 outside of the residual blocks.
        block: index of the residual block in its stage, from 0.
        inner: layer of a non-local block: theta, phi, g, out, bn, affine or
            pairwise.
        is_norm: True if it belongs to a normalization.
        role: kernel, bias, gamma, beta, moving_mean, moving_variance or w_f.
    """

    part: str
    stage: int = 0
    block: int = 0
    inner: str = ""
    is_norm: bool = False
    role: str = "kernel"


def parse_path(path: str) -> Weight | None:
    """Parse a variable path such as "res3_block1_conv2_bn/gamma", or None."""
    match = LAYER.fullmatch(path)
    if match is None:
        return None
    inner = match["inner"] or ""
    return Weight(
        part=match["part"] or match["logits"] or "stem",
        stage=int(match["stage"] or 0),
        block=int(match["block"] or 0),
        inner=inner,
        is_norm=bool(match["norm"]) or inner in ("bn", "affine"),
        role=match["role"],
    )


@dataclasses.dataclass(frozen=True)
class Format:
    """Checkpoint format of a software.

    Attributes:
        name: as in `LoadReport.format`.
        names: maps a weight to its possible names in a file, the current one
            first.
        markers: names that identify the format if a file has all of them.
        is_torch: True for kernels `(out, in, ...)`, else `(..., in, out)`.
        ignored_pattern: matches names that are not weights of the network.
        stem: stem of its networks on clips; None for the authors', which
            depends on the sampling.
        sampling: default sampling.
        pool_position: of its non-local blocks.
        scale: of its embedded Gaussian; None if it has no non-local networks.
        has_temporal_groups: True if affine networks attend within groups of
            frames at res3.
        has_global_pool: True if frames larger than the training crop are
            pooled globally, else the head is fully convolutional.
        stride_on: convolution of a residual block with the stride.
        conv_bias: True if convolutions have biases and the normalization has
            the epsilon of Keras' ResNets.
    """

    name: str
    names: Callable[[Weight], tuple[str, ...]]
    markers: tuple[str, ...]
    is_torch: bool = True
    ignored_pattern: str = "(?!)"
    stem: str | None = None
    sampling: str = "32x2"
    pool_position: str = "before"
    scale: str | float | None = "rsqrt"
    has_temporal_groups: bool = False
    has_global_pool: bool = False
    stride_on: str = "3x3"
    conv_bias: bool = False


def _caffe2(weight: Weight) -> tuple[str, ...]:
    suffixes = {
        "kernel": "w",
        "bias": "b",
        "gamma": "s",
        "beta": "b",
        "moving_mean": "rm",
        "moving_variance": "riv",  # despite its name, the variance
    }
    if weight.role not in suffixes:
        return ()
    suffix = suffixes[weight.role]
    if weight.part == "logits":
        return f"pred_{suffix}", f"fc1000_{suffix}"
    if weight.part == "stem":
        base = "res_conv1" if weight.is_norm else "conv1"
    elif weight.part == "nonlocal":
        base = f"nonlocal_conv{weight.stage}_{weight.block}"
        if not weight.is_norm:
            base += f"_{weight.inner}"
    else:
        branch = "1"
        if weight.part != "shortcut":
            branch = "2" + "abc"[int(weight.part[-1]) - 1]
        base = f"res{weight.stage}_{weight.block}_branch{branch}"
    norm = "bn_" if weight.is_norm else ""
    return (f"{base}_{norm}{suffix}",)


def _torch_role(weight: Weight) -> str:
    return {
        "kernel": "weight",
        "bias": "bias",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
        "w_f": "weight",
    }[weight.role]


def _slowfast(weight: Weight) -> tuple[str, ...]:
    role = _torch_role(weight)
    if weight.part == "logits":
        return (f"head.projection.{role}",)
    if weight.part == "stem":
        return (
            f"s1.pathway0_stem.{'bn' if weight.is_norm else 'conv'}.{role}",
        )
    base = f"s{weight.stage}.pathway0_"
    if weight.part == "nonlocal":
        if weight.role == "w_f":
            return ()
        inner = "bn" if weight.is_norm else f"conv_{weight.inner}"
        return (f"{base}nonlocal{weight.block}.{inner}.{role}",)
    branch = "branch1"
    if weight.part != "shortcut":
        branch = "branch2." + "abc"[int(weight.part[-1]) - 1]
    norm = "_bn" if weight.is_norm else ""
    return (f"{base}res{weight.block}.{branch}{norm}.{role}",)


def _mmaction2(weight: Weight) -> tuple[str, ...]:
    role = _torch_role(weight)
    if weight.part == "logits":
        return (f"cls_head.fc_cls.{role}",)
    kind = "bn" if weight.is_norm else "conv"
    if weight.part == "stem":
        return (f"backbone.conv1.{kind}.{role}",)
    base = f"backbone.layer{weight.stage - 1}.{weight.block}"
    if weight.part != "nonlocal":
        part = "downsample" if weight.part == "shortcut" else weight.part
        return (f"{base}.{part}.{kind}.{role}",)
    base += ".non_local_block"
    if weight.is_norm:
        return (f"{base}.conv_out.bn.{role}",)
    if weight.role == "w_f":
        return (f"{base}.concat_project.conv.{role}",)
    inner = {"out": "conv_out"}.get(weight.inner, weight.inner)
    plain = f"{base}.{inner}.conv.{role}"
    # With a pool behind it, a projection is the first of a sequence.
    return plain, f"{base}.{inner}.0.conv.{role}"


def _torchvision(weight: Weight) -> tuple[str, ...]:
    role = _torch_role(weight)
    if weight.part == "logits":
        return (f"fc.{role}",)
    if weight.part == "stem":
        return (f"{'bn1' if weight.is_norm else 'conv1'}.{role}",)
    if weight.part == "nonlocal":
        return ()
    base = f"layer{weight.stage - 1}.{weight.block}"
    if weight.part == "shortcut":
        return (f"{base}.downsample.{int(weight.is_norm)}.{role}",)
    kind = "bn" if weight.is_norm else "conv"
    return (f"{base}.{kind}{weight.part[-1]}.{role}",)


def _keras_resnet(weight: Weight) -> tuple[str, ...]:
    kind = "bn" if weight.is_norm else "conv"
    if weight.part == "logits":
        # The name in Keras, and the older one in its files.
        return f"predictions/{weight.role}", f"probs/{weight.role}"
    if weight.part == "stem":
        return (f"conv1_{kind}/{weight.role}",)
    if weight.part == "nonlocal":
        return ()
    index = 0 if weight.part == "shortcut" else int(weight.part[-1])
    block = f"conv{weight.stage}_block{weight.block + 1}"
    return (f"{block}_{index}_{kind}/{weight.role}",)


def _own(weight: Weight) -> tuple[str, ...]:
    layer = "conv1"
    if weight.part == "logits":
        layer = "logits"
    elif weight.part != "stem":
        layer = f"res{weight.stage}_block{weight.block}_{weight.part}"
    if weight.inner:
        inner = ("bn", "affine") if weight.is_norm else (weight.inner,)
        return tuple(f"{layer}/{name}/{weight.role}" for name in inner)
    if weight.is_norm:
        return tuple(
            f"{layer}_{norm}/{weight.role}" for norm in ("bn", "affine")
        )
    return (f"{layer}/{weight.role}",)


FORMATS = {
    file_format.name: file_format
    for file_format in (
        Format(
            "caffe2",
            _caffe2,
            markers=("conv1_w", "res2_0_branch2a_w"),
            ignored_pattern=r"model_iter|lr|.*_momentum",
            has_temporal_groups=True,
        ),
        Format(
            "slowfast",
            _slowfast,
            markers=("s1.pathway0_stem.conv.weight",),
            ignored_pattern=r".*num_batches_tracked|.*bn\.split_bn\..*",
            stem="slowfast",
            sampling="8x8",
        ),
        Format(
            "mmaction2",
            _mmaction2,
            markers=("backbone.conv1.conv.weight",),
            ignored_pattern=r".*num_batches_tracked|data_preprocessor\..*",
            stem="mmaction2",
            pool_position="after",
            scale=1.0,
            has_global_pool=True,
        ),
        Format(
            "torchvision",
            _torchvision,
            markers=("conv1.weight", "layer1.0.conv1.weight"),
            scale=None,
            ignored_pattern=r".*num_batches_tracked",
        ),
        Format(
            "keras_resnet",
            _keras_resnet,
            markers=("conv1_conv/kernel", "conv2_block1_1_conv/kernel"),
            scale=None,
            is_torch=False,
            stride_on="1x1",
            conv_bias=True,
        ),
        Format(
            "nonlocal_tf",
            _own,
            markers=("conv1/kernel", "res2_block0_conv1/kernel"),
            is_torch=False,
            ignored_pattern=r"dropout/.*|seed_generator/.*|optimizer/.*",
            has_temporal_groups=True,
        ),
    )
}


def to_keras_layout(
    array: np.ndarray, role: str, file_format: Format
) -> np.ndarray:
    """Transpose an array of a file to Keras' layout; singleton axes stay.

    Args:
        array: an array of the file.
        role: role of the weight.
        file_format: format of the file.
    """
    if not file_format.is_torch or array.ndim < 2:
        return array
    if role == "w_f":  # (1, 2 d, 1, 1)
        return array.reshape(-1, 1)
    return np.moveaxis(array, (1, 0), (-2, -1))


def from_keras_layout(
    array: np.ndarray, weight: Weight, file_format: Format
) -> np.ndarray:
    """Convert an array to the layout of a format; see `to_keras_layout`."""
    if not file_format.is_torch or array.ndim < 2:
        return array
    array = np.moveaxis(array, (-1, -2), (0, 1))
    if weight.part == "nonlocal":  # Dense layers here, convolutions there
        axes = (1, 1) if weight.role == "w_f" else (1, 1, 1)
        if weight.role == "w_f":
            array = array.reshape(1, -1)
        array = array.reshape(*array.shape, *axes)
    return np.ascontiguousarray(array)
