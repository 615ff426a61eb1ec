"""Data sets of labelled videos (being written)."""

import abc
from typing import ClassVar

from training.data.datasets import Dataset
from training.data.listing import Listing
from training.recipe import DataConfig


class VideoDataset(Dataset):
    """What all video data sets share; one is a description and a reader."""

    source: ClassVar[str] = "videos"  # or "frames" or "records"

    @staticmethod
    @abc.abstractmethod
    def read_lists(data: DataConfig) -> Listing:
        """Reads the lists of the data set.

        Raises:
            UserError: a file of it is missing or not in its format.
        """
