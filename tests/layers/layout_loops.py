"""The block on a clip by loops over queries, in float64."""

import numpy as np

from tests.layers.blocks import attend_by_loops, dense, embed_by_loops


def pooled_by_loops(x, pool, mask):
    """Max-pool the positions of a clip `(t, h, w, c)` that count.

    Returns:
        Values by position, of the windows with a position that counts.
    """
    counts = [size // p for size, p in zip(x.shape, pool, strict=False)]
    pooled = {}
    for position in np.ndindex(*counts):
        window = tuple(
            slice(i * p, i * p + p) for i, p in zip(position, pool, strict=True)
        )
        if mask[window].any():
            pooled[position] = np.max(x[window][mask[window]], axis=0)
    return pooled


def attends(query, key, options, pool):
    """Return True if the query position attends to the pooled key."""
    if options.get("causal") and key[0] > query[0]:
        return False
    if options.get("axes") == "space":
        return query[0] == key[0]
    if options.get("axes") == "time":
        return query[1:] == key[1:]
    frames = options.get("temporal_group_size", query[0] + 10**6)
    return query[0] // frames == key[0] * pool[0] // frames


def clip_by_loops(block, x, pairwise, options, mask=None):
    """Compute the block on a clip `(t, h, w, c)` by queries, in float64.

    Args:
        block: block without normalization.
        x: float64.
        pairwise: name of the pairwise function.
        options: arguments of the block.
        mask: `(t, h, w)`, True for the positions that count. Default: all.
    """
    mask = np.ones(x.shape[:3], bool) if mask is None else mask
    pool = options.get("subsample", 1)
    pool = (1, pool, pool) if isinstance(pool, int) else pool

    def embed(x):
        return embed_by_loops(block, x)[1]

    if options.get("pool_position") == "after":
        phi = pooled_by_loops(embed(x), pool, mask)
        g = pooled_by_loops(dense(x, block.g), pool, mask)
    else:
        pooled = pooled_by_loops(x, pool, mask)
        phi = {position: embed(v) for position, v in pooled.items()}
        g = {position: dense(v, block.g) for position, v in pooled.items()}
    z = x.copy()
    for query in zip(*np.nonzero(mask), strict=True):
        keys = [key for key in phi if attends(query, key, options, pool)]
        theta, _ = embed_by_loops(block, x[query])
        y = np.zeros(block.g.kernel.shape[1])
        if keys:
            attended = [phi[key] for key in keys], [g[key] for key in keys]
            y = attend_by_loops(block, pairwise, [theta], *attended)[0]
        z[query] += dense(y, block.out)
    return z
