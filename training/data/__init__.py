"""Datasets and input pipelines."""

from training.data import digits  # fills the table
from training.data.datasets import (
    DATASETS,
    BadVideo,
    Dataset,
    dataset_of,
    load_dataset,
)

__all__ = [
    "DATASETS",
    "BadVideo",
    "Dataset",
    "dataset_of",
    "digits",
    "load_dataset",
]
