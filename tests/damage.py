"""Ways to damage a copy of the small set, and to ask verify what it finds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_set import small_plan

from factory.shards.commit import CommitRecord, commit, digest_file, read_commit
from factory.shards.finalise import mark_finished
from factory.shards.layout import Layout
from factory.shards.reader import read_members
from factory.shards.verify import verify
from factory.shards.verify_shard import Fault
from factory.shards.writer import ShardWriter

PLAN = small_plan()
TAR = "data/train-000001.tar"
KEY = "0000010004"
Members = dict[str, dict[str, bytes]]


def check(root: Path, workers: int = 1) -> list[Fault]:
    return verify(root, fingerprints=PLAN.fingerprints, shards=PLAN.shards, workers=workers)


def found(root: Path) -> set[tuple[str, str]]:
    """(place, kind) of all faults."""
    return {(fault.place, fault.kind) for fault in check(root)}


def record_of(root: Path, shard: int) -> CommitRecord:
    record = read_commit(Layout(root).commit(shard).read_bytes())
    assert record is not None
    return record


def reseal(root: Path, shard: int) -> None:
    """Make commit record and finalisation agree with the damaged tar: only its contents are left to tell."""
    record = record_of(root, shard)
    tar = digest_file(root / "data" / record.tar.name, record.tar.name)
    part = digest_file(root / "manifest" / record.part.name, record.part.name)
    commit(Layout(root), replace(record, tar=tar, part=part), root / ".tmp")
    shards = len(list(Layout(root).commits.iterdir()))
    mark_finished(Layout(root), [record_of(root, number) for number in range(shards)])


def rewrite(root: Path, change: Callable[[Members], None]) -> None:
    """Write shard 1's tar anew with changed members."""
    members = dict(read_members(root / TAR))
    change(members)
    (root / TAR).unlink()
    with ShardWriter(root / TAR) as writer:
        for key, files in members.items():
            writer.add(key.partition("#")[0], files)
    reseal(root, 1)


def edit_json(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the JSON of one sample; where the length allows it, nothing in the tar moves."""

    def edit(members: Members) -> None:
        before = members[KEY]["json"]
        meta = json.loads(before)
        change(meta)
        after = json.dumps(meta, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        members[KEY]["json"] = after.ljust(len(before))

    rewrite(root, edit)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
