"""Laying the frames of clips out over shards so that a shard begins where decoding can begin."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def pack(stretches: Sequence[Sequence[T]], shard_size: int) -> list[T | None]:
    """Rows in order, with holes (None) where a stretch would not fit into the rest of a shard and starts a new one.

    Row i belongs to shard i // shard_size. A stretch longer than a shard is cut at the borders of shards.
    No holes after the last row.
    """
    rows: list[T | None] = []
    for stretch in stretches:
        room = -len(rows) % shard_size
        if room < len(stretch):
            rows += [None] * room
        rows += stretch
    return rows
