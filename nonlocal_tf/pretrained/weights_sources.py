"""Projects whose weights are in the table of `list_weights`."""

import dataclasses

# Source of the weights that are part of the package.
INCLUDED = "nonlocal_tf"


@dataclasses.dataclass(frozen=True)
class WeightsSource:
    """Project that published weights.

    Attributes:
        title: of the project.
        base: what the addresses of its files begin with.
        license: of the weights.
        page: with the license and the accuracies.
        pixels: what its networks take, of pixels from 0 to 255.
        test: views of the accuracies on Kinetics.
        is_commercial: False if the license forbids commercial use; it has to
            be accepted then.
    """

    title: str
    base: str
    license: str
    page: str
    pixels: str
    test: str = ""
    is_commercial: bool = True


NORMALIZED = "RGB, nonlocal_tf.preprocess.normalize: (x - 114.75) / 57.375"
OF_IMAGENET = "RGB, (x - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)"
SOURCES = {
    INCLUDED: WeightsSource("nonlocal_tf", "", "Apache-2.0", "", NORMALIZED),
    "authors": WeightsSource(
        "the paper's authors",
        "https://dl.fbaipublicfiles.com/video-nonlocal/",
        "CC-BY-NC 4.0",
        "https://github.com/facebookresearch/video-nonlocal-net",
        NORMALIZED,
        "10 clips x 3 crops",
        is_commercial=False,
    ),
    "slowfast": WeightsSource(
        "PySlowFast",
        "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/",
        "Apache-2.0",
        "https://github.com/facebookresearch/SlowFast",
        NORMALIZED,
        "10 clips x 3 crops",
    ),
    "pytorchvideo": WeightsSource(
        "pytorchvideo",
        "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/",
        "Apache-2.0",
        "https://github.com/facebookresearch/pytorchvideo",
        NORMALIZED,
        "10 clips x 3 crops",
    ),
    "mmaction2": WeightsSource(
        "mmaction2",
        "https://download.openmmlab.com/mmaction/v1.0/recognition/",
        "Apache-2.0",
        "https://github.com/open-mmlab/mmaction2",
        OF_IMAGENET,
        "10 clips x 3 crops",
    ),
    "torchvision": WeightsSource(
        "torchvision",
        "https://download.pytorch.org/models/",
        "BSD-3-Clause",
        "https://github.com/pytorch/vision",
        OF_IMAGENET,
    ),
}
