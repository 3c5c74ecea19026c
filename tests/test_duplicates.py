"""Near-duplicates across shards: found exactly, whatever the distance, and soon, however alike the hashes are."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.quality.gates import GateSettings
from factory.sample import HASH_BITS
from factory.shards import duplicates
from factory.shards.duplicates import DuplicateSearch, earlier_duplicates
from factory.shards.finalise import FinishSettings


def by_brute_force(hashes: np.ndarray, shards: np.ndarray, distance: int) -> list[int]:
    found = []
    for row in range(len(hashes)):
        near = np.bitwise_count(hashes ^ hashes[row]).sum(axis=1) <= distance
        earlier = np.flatnonzero(near & (shards < shards[row]))
        found.append(int(earlier[0]) if earlier.size else -1)
    return found


def words(values: list[int], count: int = 1) -> np.ndarray:
    """(N, count) whole words of as many numbers."""
    data = b"".join(value.to_bytes(8 * count, "big") for value in values)
    return np.frombuffer(data, np.uint64).reshape(-1, count)


def look_alikes(number: int, centres: int, flips: int, seed: int = 0) -> np.ndarray:
    """(number, 1) hashes, each in up to so many bits off one of a few centres."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, centres, np.uint64)[random.integers(0, centres, number)]
    for _ in range(flips):
        hashes ^= np.uint64(1) << random.integers(0, 64, number, np.uint64)
    return hashes[:, None]


@given(
    seeds=st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=6),
    flips=st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 127), max_size=9)), max_size=60),
    shape=st.tuples(st.sampled_from([1, 2]), st.integers(1, 9), st.sampled_from([5, 16, 1000])),
    distance=st.integers(0, 9),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_duplicates_are_just_those_of_comparing_all_pairs(
    seeds: list[int],
    flips: list[tuple[int, set[int]]],
    shape: tuple[int, int, int],
    distance: int,
    tmp_path: Path,
) -> None:
    count, size, piece = shape
    values = [seeds[number % len(seeds)] ^ sum(1 << bit for bit in bits) for number, bits in flips]
    hashes, shards = words([value % 2 ** (64 * count) for value in values], count), np.arange(len(values)) // size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "PIECE", piece)
        found = earlier_duplicates(hashes, shards, distance, tmp_path)
    assert found.tolist() == by_brute_force(hashes, shards, distance)


@pytest.mark.parametrize("distance", [1, 4, 8])
def test_crowds_of_look_alikes_are_searched_exactly(distance: int, tmp_path: Path) -> None:
    hashes = np.concatenate([look_alikes(1500, 3, 3), look_alikes(1500, 1500, 0)])
    hashes[::3] &= np.uint64(2**40 - 1)  # bits that tell nothing
    hashes = np.random.default_rng(1).permutation(hashes)
    shards = np.arange(len(hashes)) // 100
    assert earlier_duplicates(hashes, shards, distance, tmp_path).tolist() == by_brute_force(hashes, shards, distance)


@pytest.mark.parametrize("number", [1_000, 4_000, 16_000])
def test_a_look_alike_is_compared_with_few_however_many_there_are(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    count = np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda bits: compared.append(len(bits)) or count(bits))
    earlier_duplicates(look_alikes(number, 1, 3), np.arange(number), 4, tmp_path)
    assert sum(compared) < 20 * number


def test_a_sample_is_no_duplicate_of_its_own_shard_or_of_a_later_one(tmp_path: Path) -> None:
    found = earlier_duplicates(words([5, 5, 7, 5]), np.array([0, 0, 1, 1]), 1, tmp_path)
    assert found.tolist() == [-1, -1, 0, 0]


@pytest.mark.parametrize("bits", [8, 64, 80, 256])
def test_hashes_of_any_width_are_collected_from_their_digits(bits: int, tmp_path: Path) -> None:
    one, other = "a" * (bits // 4), "5" * (bits // 4)
    search = DuplicateSearch(tmp_path)
    search.take(pa.array(["0000000000", "0000000001", "0000000002"]), pa.array([one, "", other]))
    search.take(pa.array([], pa.string()), pa.array([], pa.string()))
    search.take(pa.array(["0000020000", "0000020001", "0000020002"]), pa.array([one[:-1] + "b", other, one]))
    assert search.found(1).tolist() == [[20000, 0], [20001, 2], [20002, 0]]
    assert search.found(0).tolist() == [[20001, 2], [20002, 0]]
    assert search.found(-1).tolist() == search.found(0).tolist()
    assert search.found(10**9).tolist() == [[20000, 0], [20001, 0], [20002, 0]]
    with pytest.raises(ValueError, match="hexadecimal"):
        search.take(pa.array(["0000030000"]), pa.array([one + "0"]))
    with pytest.raises(ValueError, match="hexadecimal"):
        search.take(pa.array(["0000030000"]), pa.array(["x" * (bits // 4)]))


def test_hashes_of_two_widths_are_compared_with_their_own_kind_alone(tmp_path: Path) -> None:
    old, new = "0" * 16, "0" * (HASH_BITS // 4)
    search = DuplicateSearch(tmp_path)
    search.take(pa.array(["0000000000", "0000000001"]), pa.array([old, new]))
    search.take(pa.array(["0000010000", "0000010001"]), pa.array([new, old[:-1] + "1"]))
    assert search.found(4).tolist() == [[10000, 1], [10001, 0]]


def test_nothing_repeats_nothing(tmp_path: Path) -> None:
    assert DuplicateSearch(tmp_path).found(4).tolist() == []


def test_finalisation_marks_what_the_gate_inside_a_shard_refuses() -> None:
    assert FinishSettings().duplicate_distance == GateSettings().duplicate_distance
