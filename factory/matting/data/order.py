"""In which order samples are drawn: mixed by shares, weighted by trust, a few shards at a time.

An epoch is a pure function of (seed, epoch), whoever computes it: no random state is kept, and none of torch's is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SHARDS_AT_ONCE = 8  # whose samples are shuffled among each other: reads stay near each other
ORDER = 0x0DE2  # keeps the draws of orders apart from those of items

Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """The samples of one set.  shards: (N,) where each lies.  weights: (N,) ≥ 0, how often it is drawn."""

    share: float
    shards: NDArray[np.int32]
    weights: NDArray[np.float32]


def epoch_order(sets: Sequence[Ranked], length: int, seed: int, epoch: int) -> Indices:
    """(length,) positions in all sets laid end to end.

    Each set, and in it each sample, comes as often as it is expected to, rounded up or down: with equal weights and
    as many draws as samples, each comes once.
    """
    rng = np.random.default_rng((seed, epoch, ORDER))
    of_set = rng.permutation(systematic(np.array([each.share for each in sets]), length, rng))
    order, begin = np.empty(length, np.int64), 0
    for number, each in enumerate(sets):
        here = np.flatnonzero(of_set == number)
        order[here] = begin + _clustered(systematic(each.weights, len(here), rng), each.shards, rng)
        begin += len(each.shards)
    return order


def systematic(weights: NDArray[np.floating[Any]], count: int, rng: np.random.Generator) -> Indices:
    """(count,) ascending indices, each ⌊e⌋ or ⌈e⌉ times where e is its expected number (systematic sampling)."""
    ends = np.cumsum(weights, dtype=np.float64)
    marks = (np.arange(count) + rng.random()) * (ends[-1] / max(count, 1))
    return np.asarray(np.searchsorted(ends, marks, side="right").clip(max=len(weights) - 1), np.int64)


def _clustered(chosen: Indices, shards: NDArray[np.int32], rng: np.random.Generator) -> Indices:
    """The same in random order, some shards after the others."""
    names, shard = np.unique(shards[chosen], return_inverse=True)
    window = rng.permutation(len(names))[shard] // SHARDS_AT_ONCE
    return chosen[np.lexsort((rng.random(len(chosen)), window))]
