"""Run folders: what a training run stores, and its report."""
