"""Ablations, the model zoo, synthetic data, and stored results."""
