"""Division of a training run's steps into epochs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """Division of a training run's steps into epochs.

    Attributes:
        steps: of the whole run.
        epoch_steps: steps per epoch; the last epoch has fewer where they do
            not divide `steps`.
    """

    steps: int
    epoch_steps: int

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return -(-self.steps // self.epoch_steps)

    def steps_after(self, epochs: int) -> int:
        """Number of training steps in the first `epochs` epochs."""
        return min(epochs * self.epoch_steps, self.steps)
