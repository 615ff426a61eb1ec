"""Spans of queries that see a prefix of the keys, for causal matrices.

Without spans, a causal operation computes the affinities of all pairs and
discards those of later keys, which are almost half.
"""

import dataclasses

from nonlocal_tf.ops._visible_keys import visible_keys
from nonlocal_tf.typing import Tensor

# Each span is a program of its own, and k of equal size compute (1 + 1/k) / 2
# of all pairs. Matrices of few rows make slow products.
MAX_SPANS = 8
MIN_QUERIES = 64


@dataclasses.dataclass(frozen=True)
class Span:
    """Consecutive queries, and the keys that at least one of them sees.

    Attributes:
        first: first query.
        end: query after the last one.
        keys: number of keys, from the first on; None for all.
        steps: number of groups of the operation; None if each query of the
            span sees the same keys.
        sizes: numbers of queries and keys of the operation.
    """

    first: int
    end: int | Tensor
    keys: int | None
    steps: int | Tensor | None
    sizes: tuple[int | Tensor, int | Tensor]

    def queries_of(self, x: Tensor) -> Tensor:
        """Slice `(batch, n, ...)`."""
        return x if self.keys is None else x[:, self.first : self.end]

    def keys_of(self, x: Tensor) -> Tensor:
        """Slice `(batch, m, ...)`."""
        return x if self.keys is None else x[:, : self.keys]

    def visible_keys(
        self,
        mask: Tensor | None,
        first: int | Tensor | None = None,
        rows: int | Tensor | None = None,
    ) -> Tensor | None:
        """Return which keys of the span each of some of its queries sees.

        Args:
            mask: of all keys, `(batch, m)`, or None.
            first: first of the queries, among all. Default: that of the span.
            rows: number of queries. Default: those of the span.

        Returns:
            Booleans that broadcast to `(batch, rows, keys)`, or None.
        """
        n, m = self.sizes
        mask = None if mask is None else self.keys_of(mask)
        first = self.first if first is None else first
        rows = self.end - self.first if rows is None else rows
        return visible_keys(mask, self.steps, n, m, first, rows, self.keys)


def causal_spans(
    steps: int | Tensor | None, n: int | Tensor, m: int | Tensor
) -> list[Span]:
    """Split queries into spans of whole groups.

    Args:
        steps: number of groups of queries and keys in time, or None.
        n: number of queries.
        m: number of keys.

    Returns:
        At most `MAX_SPANS`, of groups of about equal number; one where a size
        is unknown, or without `steps`.
    """
    if not (
        isinstance(steps, int) and isinstance(n, int) and isinstance(m, int)
    ):
        return [Span(0, n, None, steps, (n, m))]
    count = max(1, min(steps, MAX_SPANS, n // MIN_QUERIES))
    if count == 1:
        return [Span(0, n, None, None if steps == 1 else steps, (n, m))]
    ends = [steps * (index + 1) // count for index in range(count)]
    return [
        Span(
            first * n // steps,
            end * n // steps,
            end * m // steps,
            None if end - first == 1 else steps,
            (n, m),
        )
        for first, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
