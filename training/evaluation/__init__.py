"""Evaluate networks on views of videos."""

from .classifier import Classifier
from .model_evaluation import Evaluation, evaluate

__all__ = ["Classifier", "Evaluation", "evaluate"]
