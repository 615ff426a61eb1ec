"""The paper's ablations: which runs, side by side, as tables."""
