"""Annotated images as rows of a table: file, annotations and size."""

import collections
import hashlib
from collections.abc import Sequence

from ..coco.annotations import AnnotatedImage, Annotations
from ..io import paths
from . import data_files
from .data_files import DataFile, size_of


def rows(annotations: Annotations, folder: str) -> list[DataFile]:
    """Describe each image in a row, in the order of the annotations.

    Args:
        annotations: annotations of the images.
        folder: folder that file names are relative to.
    """
    root = str(paths.as_path(folder))  # written as the paths are
    classes = [category.name for category in annotations.categories]
    return [
        DataFile(
            data_files.relative(str(image.path), root),
            _describe(image, classes),
            f"{image.width}x{image.height}, "
            f"{size_of(str(image.path)) or 'no local file'}",
        )
        for image in annotations.images
    ]


def _describe(image: AnnotatedImage, classes: Sequence[str]) -> str:
    """Count the objects of each class, and add a digest of all of them."""
    counts = collections.Counter(
        classes[instance.label - 1] for instance in image.instances
    )
    words = [f"{count} {name}" for name, count in sorted(counts.items())]
    digest = hashlib.sha256(repr(image.instances).encode()).hexdigest()[:8]
    return f"{', '.join(words) or 'nothing'} (digest {digest})"
