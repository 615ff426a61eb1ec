"""Datasets and input pipelines."""

from training.data import digits, media_sequence  # fill the table
from training.data.datasets import DATASETS, Dataset, load_dataset

__all__ = ["DATASETS", "Dataset", "digits", "load_dataset", "media_sequence"]
