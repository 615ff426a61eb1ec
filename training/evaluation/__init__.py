"""Evaluation: multi-view scores of videos and their metrics."""
