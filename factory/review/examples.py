"""What did not make it: pictures of rejected attempts, and the first items that failed. Only a few shards are read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.shards.commit import CommitRecord
from factory.shards.layout import Layout
from factory.shards.reader import read_members

PICTURES = 100  # in all
PICTURES_PER_REASON = 8
FAILURES_PER_KIND = 10


@dataclass(frozen=True, slots=True)
class RejectedPicture:
    """A rejected attempt. row: its line of the manifest.  png: rgb | alpha as the worker drew them."""

    reason: str
    row: dict[str, Any]
    png: bytes

    @property
    def name(self) -> str:
        return f"{self.row['key']}-{self.row['attempt']}"


def rejected_pictures(layout: Layout, records: Sequence[CommitRecord], seed: int) -> list[RejectedPicture]:
    """A few of each reason, from shards drawn by the seed; the most frequent reason first."""
    total = sum((Counter(record.rejected) for record in records), Counter[str]())
    if not total:
        return []
    each = max(1, min(PICTURES_PER_REASON, PICTURES // len(total)))
    order = np.random.default_rng(seed).permutation(len(records))
    wanted: dict[int, list[str]] = {}
    for reason in total:
        having = [
            index for index in order.tolist() if reason in records[index].rejected and records[index].rejected_tar.name
        ]
        for index in having[:each]:
            wanted.setdefault(index, []).append(reason)
    found: dict[str, list[RejectedPicture]] = {reason: [] for reason, _ in total.most_common(PICTURES)}
    for index, reasons in sorted(wanted.items()):
        for picture in _pictures_of(layout, records[index].shard):
            if picture.reason in reasons and len(found.get(picture.reason, [None] * each)) < each:
                found[picture.reason].append(picture)
    return [picture for pictures in found.values() for picture in pictures]


def failed_items(layout: Layout, records: Sequence[CommitRecord]) -> dict[str, list[dict[str, Any]]]:
    """Kind of error → the manifest rows of its first items."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if all(len(found.get(kind, [])) >= FAILURES_PER_KIND for kind in record.failed):
            continue
        for row in _rows(layout, record.shard, "failed"):
            rows = found.setdefault(row["reason"], [])
            if len(rows) < FAILURES_PER_KIND:
                rows.append(row)
    return found


def _pictures_of(layout: Layout, shard: int) -> list[RejectedPicture]:
    rows = {f"{row['key']}-{row['attempt']}": row for row in _rows(layout, shard, "rejected")}
    pictures = []
    for name, members in read_members(layout.rejected_tar(shard)):
        for extension, png in members.items():
            pictures.append(RejectedPicture(extension.removesuffix(".png"), rows[name], png))
    return pictures


def _rows(layout: Layout, shard: int, status: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(layout.part(shard), filters=pc.field("status") == status).to_pylist()
    return rows
