"""Evaluate networks on views of videos."""

from ..data.sampling_config import ViewsConfig
from .classifier import Classifier
from .model_evaluation import Evaluation, evaluate

__all__ = ["Classifier", "Evaluation", "ViewsConfig", "evaluate"]
