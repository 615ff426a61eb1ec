"""A validation loss that rises again, from the rows of a run's metrics.csv."""

import math
from collections.abc import Mapping, Sequence

from ..io import tables

VALIDATION_LOSS = "val_loss"
# A smaller rise is noise.
LEAST_RISE = 0.01


def rising_loss(rows: Sequence[Mapping[str, float | None]]) -> str:
    """Describe a validation loss that ends above its lowest value.

    Args:
        rows: of metrics.csv; those without a finite validation loss are left
            out.

    Returns:
        Such as "lowest at epoch 3 (1.66), 49.4 % above it at the end (2.48)";
        "" if it ends at its lowest, or within 1 % of it.
    """
    losses = [
        (loss, round(row["epoch"] or 0))
        for row in rows
        if (loss := row.get(VALIDATION_LOSS)) is not None
        and math.isfinite(loss)
    ]
    if not losses:
        return ""
    lowest, epoch = min(losses)
    last, _ = losses[-1]
    if last <= lowest * (1 + LEAST_RISE):
        return ""
    above = "above it"
    if lowest > 0:
        above = f"{tables.percent(last / lowest - 1)} above it"
    return (
        f"lowest at epoch {epoch} ({lowest:.4g}), {above} at the end "
        f"({last:.4g})"
    )
