"""Metadata of a data set, and its labelled examples."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class LabelledExample:
    """One labelled example, with positions to visualize where known.

    Attributes:
        pixels: uint8, of the data set's `element_shape`.
        label: index of the class, the first of several; -1 without a label.
        query: (frame, y, x) in pixels, a query position on the labelled object.
        target: (frame, y, x) in pixels, the position that the query has to
            attend to.
    """

    pixels: np.ndarray
    label: int
    query: tuple[int, int, int] | None = None
    target: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Metadata of a data set, stored with trained networks.

    Attributes:
        classes: as in `Dataset`.
        element_shape: as in `Dataset`.
        multi_label: as in `Dataset`.
        description: as in `Dataset`.
        summary: result of `Dataset.overview`.
    """

    classes: tuple[str, ...]
    element_shape: tuple[int, ...]
    multi_label: bool = False
    description: str = ""
    summary: str = ""

    def overview(self) -> str:
        """Return the summary of the data set that the network trained on."""
        return self.summary
