"""Annotated images as rows of a table: file, annotations and size in words."""

import collections
import hashlib
from collections.abc import Sequence

from ..data import data_files
from ..data.data_files import DataFile, size_of
from ..io import paths
from .annotations import Annotations, Picture


def rows(annotations: Annotations, folder: str) -> list[DataFile]:
    """A row for each image, in the order of the annotations.

    Args:
        annotations: of the images.
        folder: that names are relative to.
    """
    root = str(paths.as_path(folder))  # written as the paths are
    classes = [category.name for category in annotations.categories]
    return [
        DataFile(
            data_files.relative(str(picture.path), root),
            _annotated(picture, classes),
            f"{picture.width}x{picture.height}, "
            f"{size_of(str(picture.path)) or 'no local file'}",
        )
        for picture in annotations.pictures
    ]


def _annotated(picture: Picture, classes: Sequence[str]) -> str:
    """How many objects of each class there are, and a digest of them all."""
    counts = collections.Counter(
        classes[instance.label - 1] for instance in picture.instances
    )
    words = [f"{count} {name}" for name, count in sorted(counts.items())]
    digest = hashlib.sha256(repr(picture.instances).encode()).hexdigest()[:8]
    return f"{', '.join(words) or 'nothing'} (digest {digest})"
