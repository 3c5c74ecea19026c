"""Near-duplicates across shards: exact search for 64-bit hashes within a Hamming distance.

Blocked tables (Manku, Jain and Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007): cut the 64 bits
into d + k blocks; hashes that differ in at most d bits agree in at least k whole blocks. For each choice of k blocks
a sort on their bits brings every such pair into one group. Long keys (large k) keep groups small also where the
hashes of a set are far from uniform, which 16-bit bands do not.
"""

from collections.abc import Iterable
from itertools import combinations, pairwise
from math import comb, log2
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.shards.keys import MAX_SHARD_SIZE

KeyPairs: TypeAlias = NDArray[np.int64]  # (M, 2): a sample's key, and that of the sample it repeats

HASH_BITS = 64


class DuplicateSearch:
    """Collects keys and hashes as numbers, so that millions fit in memory."""

    def __init__(self) -> None:
        self._keys = [np.empty(0, np.int64)]
        self._hashes = [np.empty(0, np.uint64)]

    def take(self, keys: Iterable[str], phashes: Iterable[str]) -> None:
        """The accepted samples of the next shard. Those without a hash take no part."""
        pairs = [(int(key), int(phash, 16)) for key, phash in zip(keys, phashes, strict=True) if phash]
        self._keys.append(np.array([key for key, _ in pairs], np.int64))
        self._hashes.append(np.array([phash for _, phash in pairs], np.uint64))

    def found(self, distance: int) -> KeyPairs:
        """Each sample that repeats one of an earlier shard, by ascending key, with the earliest it repeats."""
        keys = np.concatenate(self._keys)
        originals = earlier_duplicates(np.concatenate(self._hashes), keys // MAX_SHARD_SIZE, distance)
        marked = originals >= 0
        return np.stack([keys[marked], keys[originals[marked]]], axis=1)


def _blocks_to_agree(distance: int, hashes: int) -> int:
    """Choose k with the least work: tables to sort × (sorting + pairs to compare, were the hashes uniform)."""

    def work(k: int) -> float:
        key_bits = HASH_BITS * k / (distance + k)
        return comb(distance + k, k) * (log2(hashes + 2) + hashes / 2**key_bits)

    return min(range(1, 5), key=work)


def _masks(distance: int, agree: int) -> list[np.uint64]:
    """The bits of each choice of `agree` out of distance + agree blocks."""
    edges = [HASH_BITS * i // (distance + agree) for i in range(distance + agree + 1)]
    blocks = [sum(1 << bit for bit in range(low, high)) for low, high in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, agree)]


def earlier_duplicates(hashes: NDArray[np.uint64], shards: NDArray[np.integer], distance: int) -> NDArray[np.int64]:
    """For each row the earliest row of an earlier shard whose hash differs in at most `distance` bits, or −1.

    hashes, shards: (N,), in shard order.  distance: 0..15 bits.
    Rows of the same shard are not compared: a gate did that when the shard was made.
    """
    if not len(hashes):
        return np.empty(0, np.int64)
    # A hash's earliest neighbour is the same for all rows that share the hash, so each is searched once.
    unique, earliest, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    nearest = earliest.astype(np.int64)
    for mask in _masks(distance, _blocks_to_agree(distance, len(unique))):
        _lower_to_neighbours(nearest, unique, earliest, mask, distance)
    found = nearest[inverse]
    # The earliest neighbour of all may be of the row's own shard: then no earlier shard has one.
    return np.where(shards[found] < shards, found, -1)


def _lower_to_neighbours(
    nearest: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    earliest: NDArray[np.int64],
    mask: np.uint64,
    distance: int,
) -> None:
    """Take into `nearest` the earliest row of every close pair of hashes that agree under the mask."""
    order = np.argsort(hashes & mask, kind="stable")
    keys = (hashes & mask)[order]
    first = np.flatnonzero(keys[1:] == keys[:-1])
    lag = 1
    while first.size:  # pairs at distance `lag` in the sorted order, as long as any group is so long
        a, b = order[first], order[first + lag]
        close = np.bitwise_count(hashes[a] ^ hashes[b]) <= distance
        a, b = a[close], b[close]
        np.minimum.at(nearest, a, earliest[b])
        np.minimum.at(nearest, b, earliest[a])
        lag += 1
        first = first[first + lag < len(keys)]
        first = first[keys[first + lag] == keys[first]]
