"""Networks of other software that are refused by name.

Their files have some names of C2D, I3D or a ResNet-50, and weights that a
message about a missing name or a shape would not explain.
"""

import re
from collections.abc import Collection, Iterable

from nonlocal_tf.checkpoints.errors import CheckpointError

# Pattern of a name that only this network has, and what it is.
UNSUPPORTED = (
    (
        r"pathway1",
        "a network with two pathways (SlowFast); C2D and I3D have one",
    ),
    (
        r"multipathway_(blocks|fusion)\.",
        "a network with two pathways (pytorchvideo's SlowFast); C2D and I3D "
        "have one",
    ),
    (
        r"blocks\.0\.conv\.conv_t\.",
        "pytorchvideo's X3D, whose convolutions are depthwise; C2D and I3D "
        "have full ones",
    ),
    (
        r"\.branch2\.conv_b\.conv_(t|xy)\.",
        "pytorchvideo's R(2+1)D, whose 3x3x3 kernels are factorized; I3D has "
        "3x1x1 or 3x3x3 kernels",
    ),
    (
        r"blocks\.2\.res_blocks\.",
        "pytorchvideo's Slow, which has no pool between res2 and res3 and "
        "temporal kernels in res4 and res5 alone; C2D and I3D have the pool",
    ),
    (
        r"^(module\.|model\.)*conv1\.0\.weight$",
        "a ResNet with three convolutions in its stem (resnet50c, resnet50d, "
        "resnet50s or resnet50t of timm); ours, torchvision's and timm's "
        "resnet50 have one of 7x7",
    ),
    (
        r"layer1\.0\.(se|attn)\.",
        "a ResNet with channel attention (such as seresnet50 or ecaresnet50 "
        "of timm); ours and torchvision's have none",
    ),
)


def check(names: Collection[str]) -> None:
    """Raise a CheckpointError if the names are those of such a network."""
    network = find(names, UNSUPPORTED)
    if network is not None:
        raise CheckpointError(
            f"These are the weights of {network}. Give a checkpoint of C2D, "
            "I3D or a plain ResNet-50 or -101."
        )


def find(
    names: Collection[str], networks: Iterable[tuple[str, str]]
) -> str | None:
    """Return the network that names of weights are of, or None.

    Args:
        names: of the weights.
        networks: patterns of a name that only one network has, and what it is.
    """
    for pattern, network in networks:
        if any(re.search(pattern, name) for name in names):
            return network
    return None
