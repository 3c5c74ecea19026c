"""Near-duplicates across shards: for each sample the earliest that looks like it, found exactly and out of core.

Blocked tables (Manku, Jain and Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007): cut the bits into
d + k blocks; hashes that differ in at most d bits agree in at least k whole blocks. For each choice of k blocks a sort
on their bits brings every such pair into one group. Bits that are nearly the same in all hashes tell nothing, so the
bits are dealt to the blocks by how much they tell.

Look-alikes crowd into one group whatever its key. But only the earliest counts: a hash is held against its group from
the earliest on and is done with the first that is near, or with one that is not before what it has found in another
table. In a crowd that is soon, where comparing all pairs is quadratic.

Arrays that are as long as the set lie in files; sorting takes a piece of them at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import combinations
from math import comb, log2
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.shards.keys import MAX_SHARD_SIZE

KeyPairs: TypeAlias = NDArray[np.int64]  # (M, 2): a sample's key, and that of the sample it repeats
Hashes: TypeAlias = NDArray[np.uint64]  # (N, W): each hash in whole words
Rows: TypeAlias = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

WORD_BYTES = 8
PIECE = 1 << 20  # rows that are sorted at a time, in some 300 MB
LOOKED_AT = 1 << 16  # hashes that tell how much each bit tells
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio: a product's high bits depend on all bits (Knuth)


class DuplicateSearch:
    """Collects keys and hashes in files of a folder, which stays the caller's to remove.

    Hashes are compared with those of their own width alone: shards that an earlier version made have another kind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._of_width: dict[int, _OneWidth] = {}

    def take(self, keys: pa.Array, phashes: pa.Array) -> None:
        """The accepted samples of the next shard, as text. Those without a hash take no part.

        Raises ValueError where a key is no number or a hash is not of whole bytes in hexadecimal digits.
        """
        widths = pc.binary_length(phashes)
        for width in pc.unique(widths).to_pylist():
            if width:
                if width not in self._of_width:
                    self._of_width[width] = _OneWidth(self._folder / str(width), width // 2)
                ours = pc.equal(widths, width)
                self._of_width[width].take(keys.filter(ours), phashes.filter(ours))

    def found(self, distance: int) -> KeyPairs:
        """Each sample that repeats one of an earlier shard, by ascending key, with the earliest it repeats.

        distance: in bits; beyond 0 and the hash's width there is nothing to tell.
        """
        pairs = [search.found(distance) for search in self._of_width.values()]
        if len(pairs) == 1:
            return pairs[0]
        together = np.concatenate([np.empty((0, 2), np.int64), *pairs])
        return together[np.argsort(together[:, 0])]


class _OneWidth:
    """The same for hashes of one number of bytes, in a folder of their own."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder = folder
        self._bytes = width
        self._words = -(-width // WORD_BYTES)
        folder.mkdir()
        for name in ("keys", "shards", "hashes"):
            (folder / name).write_bytes(b"")

    def take(self, keys: pa.Array, phashes: pa.Array) -> None:
        numbers = pc.cast(keys, pa.int64()).to_numpy(zero_copy_only=False)
        digits = bytes.fromhex("".join(phashes.to_pylist()))
        hashes = np.zeros((len(numbers), self._words * WORD_BYTES), np.uint8)
        hashes[:, : self._bytes] = np.frombuffer(digits, np.uint8).reshape(len(numbers), self._bytes)
        self._append("keys", numbers)
        self._append("shards", numbers // MAX_SHARD_SIZE)
        self._append("hashes", hashes)

    def found(self, distance: int) -> KeyPairs:
        distance = min(max(0, distance), 8 * self._bytes)
        keys, shards = _mapped(self._folder / "keys", np.int64), _mapped(self._folder / "shards", np.int64)
        hashes = _mapped(self._folder / "hashes", np.uint64).reshape(-1, self._words)
        originals = earlier_duplicates(hashes, shards, distance, self._folder)
        (self._folder / "pairs").unlink(missing_ok=True)
        (self._folder / "pairs").touch()
        for begin, end in _spans(len(keys)):
            original = originals[begin:end]
            marked = np.flatnonzero(original >= 0)
            self._append("pairs", np.stack([keys[begin:end][marked], keys[original[marked]]], axis=1))
        return _mapped(self._folder / "pairs", np.int64).reshape(-1, 2)

    def _append(self, name: str, values: NDArray[np.generic]) -> None:
        with (self._folder / name).open("ab") as file:
            values.tofile(file)


def earlier_duplicates(hashes: Hashes, shards: NDArray[np.integer], distance: int, scratch: Path) -> Rows:
    """For each row the earliest row of an earlier shard whose hash differs in at most `distance` bits, or −1.

    hashes: (N, W) in whole words.  shards: (N,), ascending.  distance: in bits.  scratch: a folder for files.
    Rows of the same shard are not compared: a gate did that when the shard was made.
    """
    if not len(hashes):
        return np.empty(0, np.int64)
    # A hash's earliest neighbour is the same for all rows that share the hash, so each is searched once.
    first = _first_of_equals(hashes, scratch)
    earliest = _gathered(scratch / "earliest", np.int64, len(hashes), lambda rows: rows[first[rows] == rows])
    words = _gathered(scratch / "different", np.uint64, len(earliest), lambda places: hashes[earliest[places]])
    different = words.reshape(-1, hashes.shape[1])
    nearest = _gathered(scratch / "nearest", np.int64, len(earliest), lambda places: places)
    for mask in _masks(different, distance):
        for places in _pieces(different, mask, scratch):
            _lower_to_neighbours(nearest, different, places, mask, distance)

    def original(rows: Rows) -> Rows:
        found = earliest[nearest[np.searchsorted(earliest, first[rows])]]
        # The earliest neighbour of all may be of the row's own shard: then no earlier shard has one.
        return np.where(shards[found] < shards[rows], found, -1)

    return _gathered(scratch / "originals", np.int64, len(hashes), original)


def _first_of_equals(hashes: Hashes, scratch: Path) -> Rows:
    """(N,) for each row the earliest that has just its hash."""
    first = _gathered(scratch / "first", np.int64, len(hashes), lambda rows: rows)
    every_bit = np.full(hashes.shape[1], np.iinfo(np.uint64).max)
    for rows in _pieces(hashes, every_bit, scratch):
        order, start = _grouped(hashes[rows])
        first[rows[order]] = rows[order[start]]
    return first


def _lower_to_neighbours(nearest: Rows, hashes: Hashes, rows: Rows, mask: Hashes, distance: int) -> None:
    """Take into `nearest` the earliest near hash among those of these rows that agree under the mask.

    nearest: (N,), what is known so far, at most the row itself.  rows: ascending.
    """
    # Groups may be too large, for only distances decide: one word is sorted many times as fast as all of them.
    order, start = _grouped(_mixed(hashes[rows] & mask)[:, None])
    ordered, own, best = rows[order], hashes[rows[order]], nearest[rows][order]
    target = np.flatnonzero(start < np.arange(len(start)))
    source = start[target]
    while target.size:
        helpful = ordered[source] < best[target]
        target, source = target[helpful], source[helpful]
        near = np.bitwise_count(own[target] ^ own[source]).sum(axis=1) <= distance
        best[target[near]] = ordered[source[near]]
        target, source = target[~near], source[~near] + 1  # the next of the group, at the latest the hash itself
    lowered = np.empty_like(best)
    lowered[order] = best
    nearest[rows] = lowered


def _grouped(keys: Hashes) -> tuple[Rows, Rows]:
    """A stable order that brings equal keys (N, W) together, and for each place in it the first one of its group."""
    order = np.lexsort(keys.T)
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    return order, np.repeat(begins, np.diff(begins, append=len(keys)))


def _masks(hashes: Hashes, distance: int) -> list[Hashes]:
    """The bits (W,) of each choice of k out of distance + k blocks that tell alike much."""
    looked_at = np.ascontiguousarray(hashes[:: -(-len(hashes) // LOOKED_AT)])
    ones = np.unpackbits(looked_at.view(np.uint8), axis=1).mean(axis=0)
    told = -np.log2(ones**2 + (1 - ones) ** 2)  # bits: two hashes agree in one bit by chance at 2 to the power of −told
    agree = _blocks_to_agree(distance, len(hashes), float(told.sum()))
    ranked = np.argsort(-told, kind="stable")
    blocks = [ranked[number :: distance + agree] for number in range(distance + agree)]
    masks = []
    for chosen in combinations(blocks, agree):
        bits = np.zeros(len(told), np.bool_)
        bits[np.concatenate(chosen)] = True
        masks.append(np.packbits(bits).view(np.uint64))
    return masks


def _blocks_to_agree(distance: int, hashes: int, told: float) -> int:
    """Choose k with the least work: tables to sort × (sorting + pairs to compare, were the bits independent)."""

    def work(k: int) -> float:
        key_bits = told * k / (distance + k)
        return comb(distance + k, k) * (log2(hashes + 2) + hashes / 2**key_bits)

    return min(range(1, 5), key=work)


def _pieces(hashes: Hashes, mask: Hashes, scratch: Path) -> Iterator[Rows]:
    """All rows in pieces of about PIECE, each ascending; hashes that agree under the mask lie in one."""
    count = -(-len(hashes) // PIECE)
    if count == 1:
        yield np.arange(len(hashes))
        return
    names = [scratch / f"piece-{number}" for number in range(count)]
    with ExitStack() as stack:
        files = [stack.enter_context(name.open("wb")) for name in names]
        for begin, end in _spans(len(hashes)):
            piece = (_mixed(hashes[begin:end] & mask) >> np.uint64(40)) % np.uint64(count)
            order = np.argsort(piece, kind="stable")
            bounds = np.searchsorted(piece[order], np.arange(1, count, dtype=np.uint64))
            for file, rows in zip(files, np.split(order + begin, bounds), strict=True):
                rows.tofile(file)
    for name in names:
        yield np.fromfile(name, np.int64)
        name.unlink()


def _mixed(hashes: Hashes) -> NDArray[np.uint64]:
    """(N,) a word for each hash (N, W), which depends on all of its bits."""
    factors = np.cumprod(np.full(hashes.shape[1], ODD))  # modulo 2⁶⁴, all odd
    return np.asarray(np.bitwise_xor.reduce(hashes * factors, axis=1), np.uint64)


def _spans(count: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, count, PIECE):
        yield begin, min(begin + PIECE, count)


def _gathered(path: Path, kind: type[Scalar], count: int, values: Callable[[Rows], NDArray[Scalar]]) -> NDArray[Scalar]:
    """What a function says of the rows 0 to count − 1, asked a piece at a time, as an array in a new file."""
    path.unlink(missing_ok=True)  # what an earlier search found may still be mapped
    with path.open("wb") as file:
        for begin, end in _spans(count):
            values(np.arange(begin, end)).tofile(file)
    return _mapped(path, kind)


def _mapped(path: Path, kind: type[Scalar]) -> NDArray[Scalar]:
    """The array in a file, writable there; of an empty file, which cannot be mapped, an empty one."""
    return np.memmap(path, kind, "r+") if path.stat().st_size else np.empty(0, kind)
