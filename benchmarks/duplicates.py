"""Near-duplicates across shards: time and memory of the search among many hashes, half of them look-alikes.

    python benchmarks/duplicates.py [--hashes 10000000] [--centres 1000] [--distance 4]

Half of the hashes differ in up to 3 bits from one of the centres, the others are drawn alike from all; they come in the
order of a shuffle, in shards of 1,000. The way is that of finalisation: digits in, pairs of keys out, files between.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from figures import exit_code, within
from numpy.typing import NDArray

from factory.sample import HASH_BITS
from factory.shards.duplicates import DuplicateSearch
from factory.shards.keys import MAX_SHARD_SIZE, make_key

SHARD = 1000
FLIPS = 3
MINUTES, GIGABYTES = 10, 2
CHECKED = 1000  # of the pairs found, spread over all


def main() -> int:
    """Search once; also check that what is said to be alike is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, default=10_000_000)
    parser.add_argument("--centres", type=int, default=1000)
    parser.add_argument("--distance", type=int, default=4)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        begin = time.monotonic()
        search = DuplicateSearch(Path(folder))
        for keys, digits in shards(arguments.hashes, arguments.centres):
            search.take(keys, digits)
        taken = time.monotonic()
        pairs = search.found(arguments.distance)
        seconds = time.monotonic() - begin
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        wrong = sum(not alike(pair, arguments) for pair in pairs[:: max(1, len(pairs) // CHECKED)].tolist())
    print(f"{arguments.hashes:,} hashes, {len(pairs):,} of them repeat another; taken up in {taken - begin:.0f} s")
    return exit_code(
        within("duplicates, time", seconds / 60, MINUTES, "minutes"),
        within("duplicates, peak memory", memory, GIGABYTES, "GB"),
        within("duplicates, wrong ones among those checked", wrong, 0.5, "pairs"),
    )


def shards(number: int, centres: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Keys and hashes, as a manifest has them."""
    for shard in range(-(-number // SHARD)):
        count = min(SHARD, number - shard * SHARD)
        digits, width = hashes(shard, centres)[:count].tobytes().hex(), HASH_BITS // 4
        keys = pa.array([make_key(shard, index) for index in range(count)])
        yield keys, pa.array([digits[i : i + width] for i in range(0, len(digits), width)])


def hashes(shard: int, centres: int) -> NDArray[np.uint8]:
    """(SHARD, bytes) those of one shard."""
    random, width = np.random.default_rng([1, shard]), HASH_BITS // 8
    drawn = random.integers(0, 256, (SHARD, width), np.uint8)
    all_centres = np.random.default_rng(0).integers(0, 256, (centres, width), np.uint8)
    centre, rows = all_centres[random.integers(0, centres, SHARD)], np.arange(SHARD)
    for _ in range(FLIPS):  # a bit that is flipped twice makes fewer
        bit = random.integers(0, HASH_BITS, SHARD)
        centre[rows, bit // 8] ^= (1 << (bit % 8)).astype(np.uint8)
    return np.where(random.random((SHARD, 1)) < 0.5, centre, drawn)


def alike(pair: list[int], arguments: argparse.Namespace) -> bool:
    """Whether the hashes of two keys lie within the distance, the second in an earlier shard."""
    (later, one), (earlier, other) = (divmod(key, MAX_SHARD_SIZE) for key in pair)
    bits = hashes(later, arguments.centres)[one] ^ hashes(earlier, arguments.centres)[other]
    return bool(earlier < later and np.bitwise_count(bits).sum() <= arguments.distance)


if __name__ == "__main__":
    sys.exit(main())
