"""Evaluate networks on views of videos."""

from ..data.sampling_config import ViewsConfig
from .average_precision import AveragePrecision, evaluate_detector
from .classifier import Classifier
from .model_evaluation import Evaluation, evaluate

__all__ = [
    "AveragePrecision",
    "Classifier",
    "Evaluation",
    "ViewsConfig",
    "evaluate",
    "evaluate_detector",
]
