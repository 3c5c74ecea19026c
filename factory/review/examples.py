"""What did not make it: pictures of rejected attempts, and the first items that failed. Only a few shards are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from factory.errors import DataError, UsageError, quoted
from factory.review.digest import Digest, Group
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_rows
from factory.shards.reader import read_members

PICTURES = 100  # in all, as long as each reason of each source has one
PICTURES_PER_GROUP = 8
GROUPS = 250  # reasons of sources that are shown
FAILURES_PER_GROUP = 10


@dataclass(frozen=True, slots=True)
class RejectedPicture:
    """A rejected attempt. row: its line of the manifest.  png: rgb | alpha as the worker drew them."""

    reason: str
    row: dict[str, Any]
    png: bytes

    @property
    def name(self) -> str:
        return f"{self.row['key']}-{self.row['attempt']}"


def rejected_pictures(layout: Layout, digest: Digest) -> dict[Group, list[RejectedPicture]]:
    """A few of each reason in each source, from shards drawn by the seed; of very many groups the most frequent."""
    groups = [group for group, _ in digest.rejected.most_common(GROUPS)]
    each = max(1, min(PICTURES_PER_GROUP, PICTURES // max(1, len(groups))))
    left = dict.fromkeys(groups, each)
    wanted: dict[int, list[str]] = {}  # shard → reasons
    for index in np.random.default_rng(digest.plan.seed).permutation(len(digest.records)).tolist():
        record = digest.records[index]
        for reason in record.rejected:
            group = digest.source_of_shard(record.shard), reason
            if left.get(group, 0):
                left[group] -= 1
                wanted.setdefault(record.shard, []).append(reason)
    found: dict[Group, list[RejectedPicture]] = {group: [] for group in groups}
    for shard, reasons in sorted(wanted.items()):
        source = digest.source_of_shard(shard)
        for picture in _pictures_of(layout, shard):
            if picture.reason in reasons and len(found[source, picture.reason]) < each:
                found[source, picture.reason].append(picture)
    return found


def failed_items(layout: Layout, digest: Digest) -> dict[Group, list[dict[str, Any]]]:
    """The manifest rows of the first items that failed, of each kind in each source; of an item only the first.

    `times` says how often it was met in the shards that were read.
    """
    found: dict[Group, dict[str, dict[str, Any]]] = {}
    for record in digest.records:
        source = digest.source_of_shard(record.shard)
        if all(len(found.get((source, kind), {})) >= FAILURES_PER_GROUP for kind in record.failed):
            continue
        for row in _rows(layout, record.shard, "failed"):
            rows = found.setdefault((source, row["reason"]), {})
            item = row["item"] or (row["prompt"] and f"{row['prompt']}\n{row['detail']}") or row["key"]
            if item in rows:
                rows[item]["times"] += 1
            elif len(rows) < FAILURES_PER_GROUP:
                rows[item] = {**row, "times": 1}
    return {group: list(rows.values()) for group, rows in found.items()}


def _pictures_of(layout: Layout, shard: int) -> list[RejectedPicture]:
    rows = {f"{row['key']}-{row['attempt']}": row for row in _rows(layout, shard, "rejected")}
    try:
        return [
            RejectedPicture(extension.removesuffix(".png"), rows[name], png)
            for name, members in read_members(layout.rejected_tar(shard))
            for extension, png in members.items()
            if name in rows
        ]
    except (DataError, OSError) as error:
        raise UsageError(
            f"{layout.rejected_tar(shard)} cannot be read ({error}): `factory verify {quoted(layout.root)}` tells more."
        ) from error


def _rows(layout: Layout, shard: int, status: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = manifest_rows([layout.part(shard)], rows=pc.field("status") == status).to_pylist()
    return rows
