"""Provenance of start weights, and the license that comes with them."""

import dataclasses
import pathlib

from nonlocal_tf.pretrained import list_weights
from nonlocal_tf.pretrained.weights_sources import SOURCES

CC_BY_NC = "CC-BY-NC 4.0"
# Owners of the files of a format, as reports on loaded weights name it.
OWNERS = {
    "caffe2": "the paper's authors, or SlowFast's in their format",
    "slowfast": "PySlowFast's",
    "pytorchvideo": "pytorchvideo's",
    "mmaction2": "mmaction2's",
    "torchvision": "torchvision's",
    "huggingface": "Hugging Face's",
    "detectron2": "detectron2's",
    "keras_resnet": "Keras Applications'",
}


@dataclasses.dataclass(frozen=True)
class WeightSource:
    """File of weights that a network starts from.

    Attributes:
        file: its name.
        format: of `weights.load_weights`.
    """

    file: str
    format: str

    @property
    def licence(self) -> str:
        """License terms that hold for models made from the weights."""
        file = pathlib.PurePath(self.file).name
        name = f"`{file}`"
        published = [row for row in list_weights() if row.file == file]
        if published and published[0].is_included:
            return (
                f"The weights started from {name}, which comes with "
                f"nonlocal_tf under {published[0].license}."
            )
        if published:
            source = SOURCES[published[0].source]
            rule = "the authors must be named"
            if not source.is_commercial:
                rule = f"it must not be used commercially, and {rule}"
            return (
                f"The weights started from {name}, published by "
                f"{source.title} ({source.page}) under {source.license}. **The "
                f"license holds for this model: {rule}.**"
            )
        if self.format == "caffe2":
            return (
                f"The weights started from {name}, a Caffe2 file, as "
                f"{OWNERS[self.format]}. **The authors' weights are "
                f"{CC_BY_NC}: so is this model, if the file is theirs. It must "
                "not be used commercially, and the authors must be named.**"
            )
        if self.format in OWNERS:
            return (
                f"The weights started from {name}, a file in "
                f"{OWNERS[self.format]} format: the licence of its source "
                "holds for this model."
            )
        return (
            f"The weights started from {name}, made with nonlocal_tf: the "
            "licence of what it was made from holds for this model "
            f"(**{CC_BY_NC}, if it was converted from the authors' weights**)."
        )


def licences(sources: list[WeightSource] | None) -> str:
    """Write the licenses of a run's start weights as Markdown.

    Args:
        sources: of the weights; None where they were not recorded.
    """
    if sources is None:
        return (
            "What the weights started from was not recorded. **If they came "
            f"from the paper's authors, this model is {CC_BY_NC}.**"
        )
    if not sources:
        return (
            "The weights started from random numbers: the licence of the "
            "training data, if any, is all that comes with them."
        )
    return "\n\n".join(source.licence for source in sources)
