"""Durable publication: temp file → fsync → rename → fsync of the folder; a shard's JSON record is its commit point."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

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


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, durably: a power cut must not take it with all that is inside."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def publish(temporary: Path, final: Path) -> None:
    """Move a finished, already fsynced file to its final name; atomic on one file system."""
    make_folder(final.parent)
    temporary.replace(final)
    fsync_folder(final.parent)


def write_durably(path: Path, data: bytes, scratch: Path) -> None:
    """Write a small file so that a reader sees all of it or nothing, even after a power cut."""
    scratch.mkdir(parents=True, exist_ok=True)
    temporary = scratch / f"{path.name}.{uuid4().hex}.tmp"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    publish(temporary, path)


def write_json(path: Path, value: Any, scratch: Path) -> None:
    """Canonical, indented JSON, written durably."""
    write_durably(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(), scratch)


def commit(layout: Layout, record: CommitRecord, scratch: Path) -> None:
    """Publish the record: from here on the shard is done."""
    write_json(layout.commit(record.shard), asdict(record), scratch)


def read_commit(path: Path) -> CommitRecord | None:
    """The record in a file; None where it is torn or of another schema: the shard then counts as absent."""
    try:
        return CommitRecord.from_json(json.loads(path.read_bytes()))
    except (ValueError, TypeError, KeyError):
        return None


def sizes(folder: Path) -> dict[str, int]:
    """File name → size of all files in a folder, in one pass ({} where it does not exist)."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def valid_commits(layout: Layout, fingerprint: str) -> Iterator[CommitRecord]:
    """Records of this plan whose files lie there with the recorded size, in shard order.

    A foreign, torn or unbacked record counts as absent: its shard is made again.
    """
    commits, folders = layout.commits, (layout.data, layout.parts, layout.rejected)
    for name in sorted(sizes(commits)):
        record = read_commit(commits / name)
        if record is None or record.fingerprint != fingerprint or name != f"{record.shard:06d}.json":
            continue
        if all(map(_lies_there, folders, (record.tar, record.part, record.rejected_tar))):
            yield record


def _lies_there(folder: Path, file: FileRecord) -> bool:
    try:
        return not file.name or (folder / file.name).stat().st_size == file.bytes
    except FileNotFoundError:
        return False
