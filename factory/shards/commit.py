"""A shard's record: what happened to it, and its commit point. Where the record lies, the shard is done."""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from factory.shards.durable import json_bytes
from factory.shards.keys import MAX_SHARDS, SPLIT_PATTERN
from factory.shards.layout import Layout

SCHEMA_VERSION: Literal[1] = 1


Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]
Amount: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One published file. name "" means that the shard has none."""

    name: str = ""
    bytes: Count = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRecord:
    """What happened to one shard. Whatever depends on the machine's day (times, device) stands here alone."""

    schema_version: Literal[1] = SCHEMA_VERSION
    shard: Annotated[int, Field(ge=0, lt=MAX_SHARDS)]
    split: Annotated[str, Field(pattern=SPLIT_PATTERN)]
    fingerprint: str  # of the plan
    run: str  # id of the run that made it
    slots: Count
    attempts: Count
    accepted: Count
    rejected: Mapping[str, Count] = field(default_factory=dict)  # by reason
    failed: Mapping[str, Count] = field(default_factory=dict)  # by kind of error
    seconds: Mapping[str, Amount] = field(default_factory=dict)  # by stage
    tar: FileRecord = field(default_factory=FileRecord)
    part: FileRecord = field(default_factory=FileRecord)
    rejected_tar: FileRecord = field(default_factory=FileRecord)  # thumbnails
    kept: Count = 0  # rejected attempts that are stored
    attempts_tar: FileRecord = field(default_factory=FileRecord)  # where they are
    software: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    finished_at: Annotated[float, Field(ge=0, lt=2**37, allow_inf_nan=False)] = 0.0  # seconds since the epoch

    @classmethod
    def from_json(cls, data: bytes) -> "CommitRecord":
        """Raises ValueError where it is no JSON, a field is missing or of another kind or range, or a file is not one
        of this shard: a record may come from anybody, and its names become paths.

        What many records have in common is held once: a driver keeps hundreds of thousands of them.
        """
        record = _adapter().validate_json(data, strict=True)
        layout, shard = Layout(Path()), record.shard
        for file, usual, may_lack in (
            (record.tar, layout.tar(shard, record.split), True),
            (record.part, layout.part(shard), False),
            (record.rejected_tar, layout.rejected_tar(shard), True),
            (record.attempts_tar, layout.attempts_tar(shard), True),
        ):
            if file.name != usual.name and not (may_lack and file.name == ""):
                raise ValueError(f"it names {file.name!r}, not {usual.name}")
        return replace(
            record,
            split=sys.intern(record.split),
            fingerprint=sys.intern(record.fingerprint),
            run=sys.intern(record.run),
            device=sys.intern(record.device),
            rejected=_interned(record.rejected),
            failed=_interned(record.failed),
            seconds=_interned(record.seconds),
            software=_one_mapping(tuple(record.software.items())),
        )

    def to_json(self) -> dict[str, Any]:
        """Kept attempts go without saying where there are none, as in sets that keep none."""
        content = asdict(self)
        if not self.kept:
            del content["kept"], content["attempts_tar"]
        return content

    def files(self, layout: Layout) -> tuple[tuple[Path, FileRecord], ...]:
        """What was published of the shard, each file with its folder."""
        return (
            (layout.data, self.tar),
            (layout.parts, self.part),
            (layout.rejected, self.rejected_tar),
            (layout.rejected, self.attempts_tar),
        )


@cache
def _adapter() -> TypeAdapter[CommitRecord]:
    return TypeAdapter(CommitRecord)


def _interned(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in counts.items()}


@cache
def _one_mapping(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(items)


def total_of(records: Iterable[CommitRecord], what: Literal["rejected", "failed"]) -> Counter[str]:
    """How often each gate, or each kind of error, was met."""
    total: Counter[str] = Counter()
    for record in records:
        total.update(getattr(record, what))
    return total


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_file(path: Path, name: str) -> FileRecord:
    """The record of a file as it lies there, forced to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return FileRecord(name=name, bytes=file.tell(), sha256=digest.hexdigest())


def commit(layout: Layout, record: CommitRecord, scratch: Path) -> None:
    """Publish the record: from here on the shard is done."""
    layout.store.write(layout.commit(record.shard), json_bytes(record.to_json()), scratch)


def read_commit(data: bytes) -> CommitRecord | None:
    """The record in a file's bytes; None where it is torn or of another schema: the shard then counts as absent."""
    try:
        return CommitRecord.from_json(data)
    except ValueError:
        return None


def valid_commits(layout: Layout, fingerprints: Collection[str]) -> Iterator[CommitRecord]:
    """Records of a plan, and of those that it extends, whose files lie there with the recorded size, in shard order.

    A foreign, torn or unbacked record counts as absent: its shard is made again.
    """
    store = layout.store
    for name in sorted(store.sizes(layout.commits)):
        record = read_commit(store.read(layout.commits / name))
        if record is None or record.fingerprint not in fingerprints or name != layout.commit(record.shard).name:
            continue
        files = record.files(layout)
        if all(not file.name or store.size(folder / file.name) == file.bytes for folder, file in files):
            yield record
