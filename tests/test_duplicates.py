"""Near-duplicates across shards: found exactly, whatever the distance."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.shards.duplicates import earlier_duplicates


def by_brute_force(hashes: np.ndarray, shards: np.ndarray, distance: int) -> list[int]:
    found = []
    for row in range(len(hashes)):
        near = np.bitwise_count(hashes ^ hashes[row]) <= distance
        earlier = np.flatnonzero(near & (shards < shards[row]))
        found.append(int(earlier[0]) if earlier.size else -1)
    return found


@given(
    seeds=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 63), max_size=9)), max_size=60),
    distance=st.integers(0, 9),
    size=st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_duplicates_are_just_those_of_comparing_all_pairs(
    seeds: list[int], flips: list[tuple[int, set[int]]], distance: int, size: int
) -> None:
    values = [seeds[number % len(seeds)] ^ sum(1 << bit for bit in bits) for number, bits in flips]
    hashes, shards = np.array(values, np.uint64), np.arange(len(values)) // size
    assert earlier_duplicates(hashes, shards, distance).tolist() == by_brute_force(hashes, shards, distance)


def test_a_sample_is_no_duplicate_of_its_own_shard_or_of_a_later_one() -> None:
    hashes = np.array([5, 5, 7, 5], np.uint64)
    assert earlier_duplicates(hashes, np.array([0, 0, 1, 1]), 1).tolist() == [-1, -1, 0, 0]
