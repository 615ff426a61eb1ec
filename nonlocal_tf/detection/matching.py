"""Which object a candidate stands for, and which candidates are trained on."""

from keras import ops

from nonlocal_tf.typing import Tensor

BELOW, BETWEEN = -1, -2


def match(
    quality: Tensor,
    low: float,
    high: float,
    keep_best: bool = False,
    is_object: Tensor | None = None,
) -> Tensor:
    """Gives each candidate the object that it overlaps most.

    Args:
        quality: overlap, `(..., objects, candidates)`, in [0, 1].
        low: below it a candidate is background.
        high: from it on a candidate is an object's.
        keep_best: whether the candidates that overlap an object most, ties
            included, are an object's whatever their overlap, if there is any.
            Each goes to the object that it overlaps most itself.
        is_object: bool `(..., objects)`, False where a row is padding.

    Returns:
        int32 `(..., candidates)`: the number of an object, `BELOW` or
        `BETWEEN` the two.
    """
    if quality.shape[-2] == 0:
        none = ops.zeros_like(ops.sum(quality, axis=-2), dtype="int32")
        return none + BELOW
    if is_object is not None:
        quality = ops.where(ops.expand_dims(is_object, -1), quality, -1.0)
    best = ops.max(quality, axis=-2)
    of = ops.argmax(quality, axis=-2)
    found = ops.where(best >= low, BETWEEN, BELOW)
    is_found = best >= high
    if keep_best:
        most = ops.max(quality, axis=-1, keepdims=True)
        is_best = (quality == most) & (most > 0)
        is_found = is_found | ops.any(is_best, axis=-2)
    return ops.cast(ops.where(is_found, of, found), "int32")


def sample(
    labels: Tensor, uniform: Tensor, count: int, positives: int
) -> tuple[Tensor, Tensor]:
    """Chooses candidates at random, positive ones first.

    Args:
        labels: `(..., candidates)`: 1 positive, 0 negative, others ignored.
        uniform: random numbers in [0, 1) of the same shape. Of numbers from
            a seed and a step alone, a resumed training chooses the same.
        count: how many, at most.
        positives: how many of them may be positive, at most.

    Returns:
        Places int32 `(..., count)` and weights float32 `(..., count)`: 0.0
        where there were too few.
    """
    candidates = labels.shape[-1]
    parts = []
    for label, most in ((1, positives), (0, count)):
        keys = ops.where(labels == label, uniform, -1.0)
        values, places = ops.top_k(keys, min(most, candidates))
        # Positive ones sort before all others, what is not there behind.
        parts.append((ops.where(values >= 0, values + label, -1.0), places))
    values, places = (
        ops.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    count = min(count, values.shape[-1])
    values, order = ops.top_k(values, count)
    places = ops.take_along_axis(places, order, axis=-1)
    return ops.cast(places, "int32"), ops.cast(values >= 0, "float32")
