"""Checkpoint formats: their names and layouts of a residual network's weights.

To add a format, add a `Format` to `FORMATS`. Reading, inference of the
architecture, loading and saving are the same for all formats.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping

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
        templates: possible names of a weight in a file, separated by spaces,
            the current one first; by "stem", "conv", "shortcut", "nonlocal" or
            "logits". Such a part and "norm", or a layer of a non-local block,
            comes before.
        roles: names of roles in a file; None for the same.
        markers: names that identify the format if a file has all of them; of
            alternatives, separated by spaces, one.
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
    templates: Mapping[str, str]
    roles: Mapping[str, str] | None
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

    def matches(self, names: Collection[str]) -> bool:
        """Tell if a file with these names has this format."""
        return all(
            any(name in names for name in marker.split(" "))
            for marker in self.markers
        )

    def names(self, weight: Weight) -> tuple[str, ...]:
        """Return the possible names of a weight; none if it has no place."""
        role = (
            weight.role if self.roles is None else self.roles.get(weight.role)
        )
        part = weight.part.rstrip("123")
        special = f"{part} {'norm' if weight.is_norm else weight.inner}"
        template = self.templates.get(special) or self.templates.get(part)
        if role is None or template is None:
            return ()
        number = weight.part.removeprefix("conv")
        fields = {
            **vars(weight),
            "role": role,
            "layer": weight.stage - 1,
            "layer_with_pool": 1 if weight.stage == 2 else weight.stage,
            "stage_from_0": weight.stage - 2,
            "block_from_1": weight.block + 1,
            "number": number,
            "index": {"1": 0, "2": 1, "3": 2}.get(number),
            "letter": {"1": "a", "2": "b", "3": "c"}.get(number),
            "projection": {"out": "conv_out"}.get(weight.inner, weight.inner),
            "kind": "bn" if weight.is_norm else "conv",
            "bn": "_bn" if weight.is_norm else "",
        }
        return tuple(template.format(**fields).split(" "))


CAFFE2 = {
    "stem": "conv1_{role}",
    "stem norm": "res_conv1_bn_{role}",
    "conv": "res{stage}_{block}_branch2{letter}{bn}_{role}",
    "shortcut": "res{stage}_{block}_branch1{bn}_{role}",
    "nonlocal": "nonlocal_conv{stage}_{block}_{inner}_{role}",
    "nonlocal norm": "nonlocal_conv{stage}_{block}_bn_{role}",
    "logits": "pred_{role} fc1000_{role}",
}
CAFFE2_ROLES = {
    "kernel": "w",
    "bias": "b",
    "gamma": "s",
    "beta": "b",
    "moving_mean": "rm",
    "moving_variance": "riv",  # despite its name, the variance
}
SLOWFAST = {
    "stem": "s1.pathway0_stem.{kind}.{role}",
    "conv": "s{stage}.pathway0_res{block}.branch2.{letter}{bn}.{role}",
    "shortcut": "s{stage}.pathway0_res{block}.branch1{bn}.{role}",
    "nonlocal": "s{stage}.pathway0_nonlocal{block}.conv_{inner}.{role}",
    "nonlocal norm": "s{stage}.pathway0_nonlocal{block}.bn.{role}",
    "logits": "head.projection.{role}",
}
# Its layers are res2, the pool behind it, and res3 to res5.
PYTORCHVIDEO_BLOCK = "blocks.{layer_with_pool}.res_blocks.{block}"
PYTORCHVIDEO = {
    "stem": "blocks.0.conv.{role}",
    "stem norm": "blocks.0.norm.{role}",
    "conv": PYTORCHVIDEO_BLOCK + ".branch2.conv_{letter}.{role}",
    "conv norm": PYTORCHVIDEO_BLOCK + ".branch2.norm_{letter}.{role}",
    "shortcut": PYTORCHVIDEO_BLOCK + ".branch1_conv.{role}",
    "shortcut norm": PYTORCHVIDEO_BLOCK + ".branch1_norm.{role}",
    "logits": "blocks.6.proj.{role}",
}
MMACTION2_BLOCK = "backbone.layer{layer}.{block}"
MMACTION2 = {
    "stem": "backbone.conv1.{kind}.{role}",
    "conv": MMACTION2_BLOCK + ".conv{number}.{kind}.{role}",
    "shortcut": MMACTION2_BLOCK + ".downsample.{kind}.{role}",
    # With a pool behind it, a projection is the first of a sequence.
    "nonlocal": MMACTION2_BLOCK
    + ".non_local_block.{projection}.conv.{role} "
    + MMACTION2_BLOCK
    + ".non_local_block.{projection}.0.conv.{role}",
    "nonlocal norm": MMACTION2_BLOCK + ".non_local_block.conv_out.bn.{role}",
    "nonlocal pairwise": MMACTION2_BLOCK
    + ".non_local_block.concat_project.conv.{role}",
    "logits": "cls_head.fc_cls.{role}",
}
TORCHVISION = {
    "stem": "{kind}1.{role}",
    "conv": "layer{layer}.{block}.{kind}{number}.{role}",
    "shortcut": "layer{layer}.{block}.downsample.0.{role}",
    "shortcut norm": "layer{layer}.{block}.downsample.1.{role}",
    "logits": "fc.{role}",
}
# Files of the network without its classifier lack the first part.
HUGGINGFACE_LAYER = "encoder.stages.{stage_from_0}.layers.{block}"
HUGGINGFACE = {
    **{
        part: f"resnet.{name} {name}"
        for part, name in {
            "stem": "embedder.embedder.convolution.{role}",
            "stem norm": "embedder.embedder.normalization.{role}",
            "conv": HUGGINGFACE_LAYER + ".layer.{index}.convolution.{role}",
            "conv norm": HUGGINGFACE_LAYER
            + ".layer.{index}.normalization.{role}",
            "shortcut": HUGGINGFACE_LAYER + ".shortcut.convolution.{role}",
            "shortcut norm": HUGGINGFACE_LAYER
            + ".shortcut.normalization.{role}",
        }.items()
    },
    "logits": "classifier.1.{role}",
}
TORCH_ROLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KERAS_RESNET = {
    "stem": "conv1_{kind}/{role}",
    "conv": "conv{stage}_block{block_from_1}_{number}_{kind}/{role}",
    "shortcut": "conv{stage}_block{block_from_1}_0_{kind}/{role}",
    # The name in Keras, and the older one in its files.
    "logits": "predictions/{role} probs/{role}",
}
OWN_BLOCK = "res{stage}_block{block}_{part}"
OWN = {
    "stem": "conv1/{role}",
    "stem norm": "conv1_bn/{role} conv1_affine/{role}",
    **dict.fromkeys(("conv", "shortcut"), OWN_BLOCK + "/{role}"),
    **dict.fromkeys(
        ("conv norm", "shortcut norm"),
        f"{OWN_BLOCK}_bn/{{role}} {OWN_BLOCK}_affine/{{role}}",
    ),
    "nonlocal": OWN_BLOCK + "/{inner}/{role}",
    "nonlocal norm": f"{OWN_BLOCK}/bn/{{role}} {OWN_BLOCK}/affine/{{role}}",
    "logits": "logits/{role}",
}
FORMATS = {
    file_format.name: file_format
    for file_format in (
        Format(
            "caffe2",
            CAFFE2,
            CAFFE2_ROLES,
            markers=("conv1_w", "res2_0_branch2a_w"),
            ignored_pattern=r"model_iter|lr|.*_momentum",
            has_temporal_groups=True,
        ),
        Format(
            "slowfast",
            SLOWFAST,
            TORCH_ROLES,
            markers=("s1.pathway0_stem.conv.weight",),
            ignored_pattern=r".*num_batches_tracked|.*bn\.split_bn\..*",
            stem="slowfast",
            sampling="8x8",
        ),
        Format(
            "pytorchvideo",
            PYTORCHVIDEO,
            TORCH_ROLES,
            markers=(
                "blocks.0.conv.weight",
                "blocks.3.res_blocks.0.branch2.conv_a.weight",
            ),
            ignored_pattern=r".*num_batches_tracked",
            stem="slowfast",
            sampling="8x8",
            scale=None,
        ),
        Format(
            "mmaction2",
            MMACTION2,
            {**TORCH_ROLES, "w_f": "weight"},
            markers=("backbone.conv1.conv.weight",),
            ignored_pattern=r".*num_batches_tracked|data_preprocessor\..*",
            stem="mmaction2",
            pool_position="after",
            scale=1.0,
            has_global_pool=True,
        ),
        Format(
            "torchvision",
            TORCHVISION,
            TORCH_ROLES,
            markers=("conv1.weight", "layer1.0.conv1.weight"),
            scale=None,
            ignored_pattern=r".*num_batches_tracked",
        ),
        Format(
            "huggingface",
            HUGGINGFACE,
            TORCH_ROLES,
            markers=tuple(
                f"resnet.{name} {name}"
                for name in (
                    "embedder.embedder.convolution.weight",
                    "encoder.stages.0.layers.0.layer.0.convolution.weight",
                )
            ),
            scale=None,
            ignored_pattern=r".*num_batches_tracked",
        ),
        Format(
            "keras_resnet",
            KERAS_RESNET,
            None,
            markers=("conv1_conv/kernel", "conv2_block1_1_conv/kernel"),
            scale=None,
            is_torch=False,
            stride_on="1x1",
            conv_bias=True,
        ),
        Format(
            "nonlocal_tf",
            OWN,
            None,
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
