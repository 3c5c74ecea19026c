"""A shard's record: what happened to it, and its commit point. Where the record lies, the shard is done."""

import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from factory.shards.durable import json_bytes
from factory.shards.layout import Layout

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One published file. name "" means that the shard has none."""

    name: str = ""
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRecord:
    """What happened to one shard. Whatever depends on the machine's day (times, device) stands here alone."""

    schema_version: int = SCHEMA_VERSION
    shard: int
    split: str
    fingerprint: str  # of the plan
    run: str  # id of the run that made it
    slots: int
    attempts: int
    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict)  # by reason
    failed: Mapping[str, int] = field(default_factory=dict)  # by kind of error
    seconds: Mapping[str, float] = field(default_factory=dict)  # by stage
    tar: FileRecord = field(default_factory=FileRecord)
    part: FileRecord = field(default_factory=FileRecord)
    rejected_tar: FileRecord = field(default_factory=FileRecord)
    software: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    finished_at: float = 0.0  # seconds since the epoch

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CommitRecord":
        """Raises TypeError, KeyError or ValueError where fields are missing, unknown or of another kind.

        What many records have in common is held once: a driver keeps hundreds of thousands of them.
        """
        files = {name: FileRecord(**data[name]) for name in ("tar", "part", "rejected_tar")}
        words = {name: sys.intern(data[name]) for name in ("split", "fingerprint", "run", "device")}
        counts = {name: _interned(data[name]) for name in ("rejected", "failed", "seconds")}
        software = _one_mapping(tuple(dict(data["software"]).items()))
        return cls(**{**data, **files, **words, **counts, "software": software})


def _interned(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in dict(counts).items()}


@cache
def _one_mapping(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(items)


def digest_file(path: Path, name: str) -> FileRecord:
    """The record of a file as it lies there, forced to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return FileRecord(name=name, bytes=file.tell(), sha256=digest.hexdigest())


def commit(layout: Layout, record: CommitRecord, scratch: Path) -> None:
    """Publish the record: from here on the shard is done."""
    layout.store.write(layout.commit(record.shard), json_bytes(asdict(record)), scratch)


def read_commit(data: bytes) -> CommitRecord | None:
    """The record in a file's bytes; None where it is torn or of another schema: the shard then counts as absent."""
    try:
        return CommitRecord.from_json(json.loads(data))
    except (ValueError, TypeError, KeyError):
        return None


def valid_commits(layout: Layout, fingerprints: Collection[str]) -> Iterator[CommitRecord]:
    """Records of a plan, and of those that it extends, whose files lie there with the recorded size, in shard order.

    A foreign, torn or unbacked record counts as absent: its shard is made again.
    """
    store, folders = layout.store, (layout.data, layout.parts, layout.rejected)
    for name in sorted(store.sizes(layout.commits)):
        record = read_commit(store.read(layout.commits / name))
        if record is None or record.fingerprint not in fingerprints or name != layout.commit(record.shard).name:
            continue
        files = zip(folders, (record.tar, record.part, record.rejected_tar), strict=True)
        if all(not file.name or store.size(folder / file.name) == file.bytes for folder, file in files):
            yield record
