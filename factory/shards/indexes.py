"""Indexes for readers with random access, made from the manifest's offsets: no shard is read back for them."""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from factory.shards.commit import CommitRecord
from factory.shards.manifest import extents
from factory.shards.members import Members, column, extensions

MAIN_SPLIT = "train"


def dali_index(accepted: pa.Table, members: Members) -> bytes:
    """NVIDIA DALI's text index v1.2 of one tar: a line a sample, of `extension offset size name` for each member.

    accepted: the shard's accepted rows, in key order.
    """
    columns = {name: accepted[name].to_pylist() for name in ("key", *extents(members))}
    lines = [f"v1.2 {accepted.num_rows}"]
    for row, key in enumerate(columns["key"]):
        places = []
        for name in extensions(members):
            offset, size = columns[column(name, "offset")][row], columns[column(name, "size")][row]
            places.append(f"{name} {offset} {size} {key}.{name}")
        lines.append(" ".join(places))
    return ("\n".join(lines) + "\n").encode()


def shard_indexes(records: Sequence[CommitRecord]) -> Mapping[str, bytes]:
    """File name → wids index (v1, relative URLs) of one split.

    wids reads all that one index lists, so each split has its own: `shardindex.json` is the training split's (or the
    first split's, where there is none), the others are `shardindex-SPLIT.json`.
    """
    splits = sorted({record.split for record in records}, key=lambda split: (split != MAIN_SPLIT, split))
    indexes = {}
    for number, split in enumerate(splits or [MAIN_SPLIT]):
        shards = [
            {"url": f"data/{record.tar.name}", "nsamples": record.accepted, "filesize": record.tar.bytes}
            for record in records
            if record.split == split and record.tar.name
        ]
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": shards}
        file_name = f"shardindex-{split}.json" if number else "shardindex.json"
        indexes[file_name] = (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode()
    return indexes
