"""Weights by name: `list_weights` and their table.

Those of this project are files of the package. Others are downloaded: their
addresses, accuracies and licenses are those of the projects' own pages. A file
whose name ends in eight hexadecimal digits has them of its SHA-256, by the rule
of torchvision and mmaction2; the other projects publish no digest.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nonlocal_tf.choices import unknown
from nonlocal_tf.pretrained.weights_sources import INCLUDED, SOURCES

KINETICS = "Kinetics-400 top-1 / top-5 in %"
IMAGENET = "ImageNet top-1 in %"
# Detectors with ResNet-50-FPN; they are built by recipes, not by name.
DETECTORS = {
    "mask_rcnn_r50": "COCO box / mask AP",
    "keypoint_rcnn_r50": "COCO keypoint AP",
}
OF_INCLUDED = {
    "made_motion": "mean average precision on generated clips, in %",
}
PREFIX = re.compile(r"[-_]([0-9a-f]{8})\.\w+$")


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """File of weights that a project has published.

    Attributes:
        network: name in `list_models`; or a key of `DETECTORS`, whose weights
            the recipes of detectors take.
        name: as `create_model(network, weights=name)` takes it.
        source: key in `SOURCES`.
        path: of the file below the address of its source.
        clip: frames x stride of its clips; "" for images.
        accuracy: as its source reports it, in the unit of `accuracy_text`.
        num_classes: of the classifier.
        arguments: of `create_model` that the file's network needs.
        inflates: True if it also starts networks on clips of its depth.
    """

    network: str
    name: str
    source: str
    path: str
    clip: str
    accuracy: str
    num_classes: int = 400
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inflates: bool = False

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.path.rpartition("/")[2]

    @property
    def address(self) -> str:
        """URL of the file; "" if it is part of the package."""
        if self.is_included:
            return ""
        return SOURCES[self.source].base + self.path

    @property
    def sha256(self) -> str:
        """First digits of its SHA-256, "" where none are published."""
        match = PREFIX.search(self.file)
        return match[1] if match else ""

    @property
    def is_included(self) -> bool:
        """Whether the file is part of the package."""
        return self.source == INCLUDED

    @property
    def license(self) -> str:
        """License of the weights."""
        return SOURCES[self.source].license

    @property
    def pixels(self) -> str:
        """What its network takes, of pixels from 0 to 255."""
        return SOURCES[self.source].pixels

    @property
    def accuracy_text(self) -> str:
        """Accuracy with its test set and its views."""
        if self.is_included:
            return f"{self.accuracy} ({OF_INCLUDED[self.name]})"
        if not self.clip:
            unit = DETECTORS.get(self.network, IMAGENET)
            return f"{self.accuracy} ({unit})"
        return f"{self.accuracy} ({KINETICS}, {SOURCES[self.source].test})"


class WeightsTable(tuple[PublishedWeights, ...]):
    """Rows of `list_weights`; printed as a table."""

    def __repr__(self) -> str:
        rows = [("network", "weights", "license", "accuracy")]
        rows += [
            (row.network, row.name, row.license, row.accuracy_text)
            for row in self
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                text.ljust(width)
                for text, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        )


def _authors() -> Iterable[PublishedWeights]:
    """Yield the files of the paper's authors, of ResNet-50s."""
    for stem, clip, baseline, nonlocal_ in (
        ("c2d", "32x2", "72.0 / 90.0", "73.9 / 91.0"),
        ("i3d", "32x2", "73.6 / 90.8", "74.9 / 91.6"),
        ("i3d", "128x1", "75.2 / 92.0", "76.5 / 92.7"),
        ("c2d", "8x8", "71.9 / 90.0", "74.4 / 91.4"),
        ("i3d", "8x8", "73.4 / 90.9", "74.7 / 91.6"),
        ("i3d", "32x4", "75.5 / 92.0", "76.5 / 92.6"),
    ):
        is_long = clip in ("128x1", "32x4")
        start = "I3D" if is_long else "IN"
        arguments = {"sampling": clip} | ({"norm": "affine"} if is_long else {})
        for kind, blocks, accuracy in (
            ("baseline", "", baseline),
            ("nonlocal", "_nl5", nonlocal_),
        ):
            yield PublishedWeights(
                f"{stem}{blocks}_r50",
                f"k400_{clip}_authors",
                "authors",
                f"{stem}_{kind}_{clip}_{start}_pretrain_400k.pkl",
                clip,
                accuracy,
                arguments=arguments,
            )
    for suffix, accuracy in (
        ("300k", "73.2 / 90.8"),
        ("600k_4gpu", "73.0 / 90.4"),
        ("300k_4gpu", "72.0 / 90.1"),
    ):
        yield PublishedWeights(
            "i3d_r50",
            f"k400_8x8_authors_{suffix}",
            "authors",
            f"i3d_baseline_8x8_IN_pretrain_{suffix}.pkl",
            "8x8",
            accuracy,
            arguments={"sampling": "8x8"},
        )


def _slowfast() -> Iterable[PublishedWeights]:
    """Yield the files of PySlowFast, and of pytorchvideo with its graphs."""
    slowfast, pytorchvideo = "slowfast", "pytorchvideo"
    for source, network, file, accuracy in (
        (slowfast, "c2d_r50", "C2D_NOPOOL_8x8_R50.pkl", "67.2 / 87.8"),
        (slowfast, "i3d_r50", "I3D_8x8_R50.pkl", "73.5 / 90.8"),
        (slowfast, "i3d_nl5_r50", "I3D_NLN_8x8_R50.pkl", "74.0 / 91.1"),
        (pytorchvideo, "c2d_r50", "C2D_8x8_R50.pyth", "71.46 / 89.68"),
        (pytorchvideo, "i3d_r50", "I3D_8x8_R50.pyth", "73.27 / 90.70"),
    ):
        stem = "slowfast_nopool" if "NOPOOL" in file else "slowfast"
        yield PublishedWeights(
            network,
            f"k400_8x8_{source}",
            source,
            file,
            "8x8",
            accuracy,
            # The names in a .pkl are those of the authors' files.
            arguments={"sampling": "8x8", "stem": stem},
        )


def _mmaction2() -> Iterable[PublishedWeights]:
    for variant, suffix, accuracy in (
        ("nl-dot-product_8xb8", "20220812-8e1f2148", "74.80 / 92.07"),
        ("nl-embedded-gaussian_8xb8", "20220812-afd8f562", "74.73 / 91.80"),
        ("nl-gaussian_8xb8", "20220812-0c5cbf5a", "73.97 / 91.33"),
        ("_8xb8", "20220812-e213c223", "73.47 / 91.27"),
        ("_8xb8-dense", "20220812-9f46003f", "73.77 / 91.35"),
    ):
        pairwise = ""
        if variant.startswith("nl-"):
            pairwise = variant[3:].partition("_")[0].replace("-", "_")
            variant = f"-{variant}"
        folder = f"i3d_imagenet-pretrained-r50{variant}-32x2x1-100e"
        folder += "_kinetics400-rgb"
        names = ["k400_32x2_mmaction2", *[pairwise] * bool(pairwise)]
        names += ["dense"] * variant.endswith("dense")
        arguments: dict[str, Any] = {"sampling": "32x2"}
        yield PublishedWeights(
            "i3d_nl5_r50" if pairwise else "i3d_r50",
            "_".join(names),
            "mmaction2",
            f"i3d/{folder}/{folder}_{suffix}.pth",
            "32x2",
            accuracy,
            arguments=arguments | ({"pairwise": pairwise} if pairwise else {}),
        )
    for depth, variant, clip, suffix, accuracy in (
        (50, "", "8x8", "20221027-3ca304fa", "73.89 / 91.21"),
        (50, "", "16x4", "20221027-5f382a43", "74.97 / 91.91"),
        (50, "nopool", "8x8", "20221027-e0227b22", "73.44 / 91.00"),
        (101, "nopool", "8x8", "20221027-557bd8bc", "74.97 / 91.77"),
    ):
        start = "-".join(["pre", *[variant] * bool(variant)])
        folder = (
            f"c2d_r{depth}-in1k-{start}_8xb32-{clip}x1-100e_kinetics400-rgb"
        )
        arguments = {"sampling": "8x8"}
        if variant:
            arguments["stem"] = "slowfast_nopool"
        if clip != "8x8":
            frames = int(clip.partition("x")[0])
            arguments["clip_shape"] = (frames, 224, 224, 3)
        yield PublishedWeights(
            f"c2d_r{depth}",
            "_".join([f"k400_{clip}_mmaction2", *[variant] * bool(variant)]),
            "mmaction2",
            f"c2d/{folder}/{folder}_{suffix}.pth",
            clip,
            accuracy,
            arguments=arguments,
        )


def _torchvision() -> Iterable[PublishedWeights]:
    for depth, version, digits, accuracy in (
        (50, "v1", "0676ba61", "76.13"),
        (50, "v2", "11ad3fa6", "80.86"),
        (101, "v1", "63fe2227", "77.37"),
        (101, "v2", "cd907fc2", "81.89"),
    ):
        yield PublishedWeights(
            f"image_r{depth}",
            f"imagenet_torchvision_{version}",
            "torchvision",
            f"resnet{depth}-{digits}.pth",
            "",
            accuracy,
            num_classes=1000,
            inflates=True,
        )
    for network, file, accuracy in (
        (
            "mask_rcnn_r50",
            "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "37.9 / 34.6",
        ),
        (
            "keypoint_rcnn_r50",
            "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
            "65.0",
        ),
    ):
        yield PublishedWeights(
            network, "coco_torchvision", "torchvision", file, "", accuracy, 91
        )


def _included() -> Iterable[PublishedWeights]:
    """Yield the files of the package, made by recipes of their names."""
    yield PublishedWeights(
        "i3d_strided_nl1_small",
        "made_motion",
        INCLUDED,
        "i3d_strided_nl1_small-made_motion.safetensors",
        "16 frames",
        "61.9",
        num_classes=63,
        arguments={"clip_shape": (16, 112, 112, 3)},
    )


ROWS = (
    *_included(),
    *_authors(),
    *_slowfast(),
    *_mmaction2(),
    *_torchvision(),
)


def list_weights(network: str = "*") -> WeightsTable:
    """List the published weights of networks whose names match a pattern.

    Args:
        network: shell-style pattern, such as "i3d*".

    Returns:
        Rows of a table, a `PublishedWeights` each: network, name, address,
        clip, accuracy with its test, license, pixels and digest.

    Example:

    >>> import nonlocal_tf as nl
    >>> nl.list_weights("i3d_nl5*")[0].accuracy_text
    '74.9 / 91.6 (Kinetics-400 top-1 / top-5 in %, 10 clips x 3 crops)'
    """
    return WeightsTable(
        row for row in ROWS if fnmatch.fnmatchcase(row.network, network)
    )


def find(network: str, name: str) -> PublishedWeights:
    """Return the weights of a name that a network takes.

    Raises:
        ValueError: there are none.
    """
    rows = of_network(network)
    if name in rows:
        return rows[name]
    if rows:
        raise ValueError(unknown(f"weights of {network}", name, rows))
    raise ValueError(
        f"No weights of {network!r} are published. nl.list_weights() has all "
        f"that are. Received: weights={name!r}"
    )


def of_network(network: str) -> dict[str, PublishedWeights]:
    """Return the weights that a network takes, by name."""
    backbone, _, depth = network.rpartition("_")
    kind = backbone.partition("_")[0]
    return {
        row.name: row
        for row in ROWS
        if row.network == network
        or (
            row.inflates
            and kind in ("c2d", "i3d")
            and row.network.endswith(f"_{depth}")
        )
    }
