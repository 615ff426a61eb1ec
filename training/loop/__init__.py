"""The training loop: steps, schedules, checkpoints, exact resume."""
