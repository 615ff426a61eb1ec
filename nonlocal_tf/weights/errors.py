"""What can be wrong with a checkpoint."""


class CheckpointError(ValueError):
    """A file that cannot be read as weights, or not as those of a model."""
