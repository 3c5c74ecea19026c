"""From committed shards to a finished set: one manifest, indexes, duplicates, card, Croissant. Idempotent and atomic.

Everything made here follows from the committed shards alone, so it is the same bytes after any crash, in any order of
commits. `finished.json` is taken away first and written last: while it is absent, the next run finalises again.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from factory.errors import MachineError
from factory.sample import HASH_BITS
from factory.shards.card import Contents, SourceLine, dataset_card
from factory.shards.commit import CommitRecord, FileRecord, digest_file
from factory.shards.croissant import croissant
from factory.shards.duplicates import DuplicateSearch, KeyPairs
from factory.shards.durable import fsync, json_bytes
from factory.shards.indexes import dali_index, shard_indexes
from factory.shards.keys import SHARD_PATTERN, key_of_number
from factory.shards.layout import Layout
from factory.shards.manifest import (
    DUPLICATE_OF,
    DUPLICATES,
    ROWS_IN_ONE_FILE,
    UNREADABLE,
    completed,
    final_schema,
    schema,
)
from factory.shards.members import MATTING, Members

SCHEMA_VERSION = 1
FILE_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"  # of files that lie in the set's folder itself
ROW_GROUP = 65_536  # rows; a part each would make the file's footer larger than its data

_OURS = {  # what a killed run may have left behind; anything else in these folders is somebody's, and verify names it
    "data": re.compile(rf"[a-z]+-{SHARD_PATTERN}\.tar"),
    "parts": re.compile(rf"part-{SHARD_PATTERN}\.parquet"),
    "rejected": re.compile(rf"(attempts-)?{SHARD_PATTERN}\.tar"),
    "index": re.compile(rf"[a-z]+-{SHARD_PATTERN}\.idx"),
}


@dataclass(frozen=True, kw_only=True)
class FinishSettings:
    """What finalisation depends on besides the shards.

    title: the set's name in its card.
    duplicate_distance: bits in which two perceptual hashes may differ and still be one picture.
    sources: beside the paper's table; () says nothing of it.
    excluded: benchmark → pictures left out because they are its own.
    """

    title: str = "Image matting pairs"
    duplicate_distance: Annotated[int, Field(ge=0, le=HASH_BITS)] = 4  # as the gate inside a shard
    sources: tuple[SourceLine, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)


DEFAULTS = FinishSettings()


@dataclass(frozen=True, kw_only=True)
class FinishedSet:
    """finished.json: what a finished set was made from, and the files that span its shards.

    shards: content_digest of the records.  files: by name, in the set's folder.
    """

    schema_version: int = SCHEMA_VERSION
    shards: str
    settings: FinishSettings
    files: Mapping[Annotated[str, Field(pattern=FILE_PATTERN)], FileRecord]


def rows_of(records: Sequence[CommitRecord]) -> int:
    """Rows in the manifest: one per attempt."""
    return sum(r.accepted + sum(r.rejected.values()) + sum(r.failed.values()) for r in records)


def content_digest(records: Sequence[CommitRecord]) -> str:
    """SHA-256 over what the records say of their files; not over times and machines, which a rerun changes."""
    digest = hashlib.sha256()
    for record in records:
        files = [record.tar.sha256, record.part.sha256, record.rejected_tar.sha256]
        files += [record.attempts_tar.sha256] if record.kept else []
        digest.update(f"{record.shard}:{record.split}:{','.join(files)};".encode())
    return digest.hexdigest()


def read_finished(layout: Layout) -> FinishedSet | None:
    """The content of finished.json; None where it is absent, torn or of another schema."""
    try:
        finished = TypeAdapter(FinishedSet).validate_json(layout.finished.read_bytes())
    except (OSError, ValidationError):
        return None
    return finished if finished.schema_version == SCHEMA_VERSION else None


def is_finished(layout: Layout, records: Sequence[CommitRecord], settings: FinishSettings = DEFAULTS) -> bool:
    """Whether finalisation completed for just these shards and settings, and its files still lie there."""
    finished = read_finished(layout)
    if finished is None or finished.settings != settings or finished.shards != content_digest(records):
        return False
    on_disk = layout.store.sizes(layout.root)
    whole = all(on_disk.get(name) == file.bytes for name, file in finished.files.items())
    searched = rows_of(records) <= ROWS_IN_ONE_FILE or layout.duplicates.name in finished.files
    return (
        whole
        and searched
        and layout.card.exists()
        and layout.croissant.exists()
        and layout.store.sizes(layout.index).keys() >= index_names(layout, records)
    )


def finalise(
    layout: Layout,
    records: Sequence[CommitRecord],
    settings: FinishSettings = DEFAULTS,
    members: Members = MATTING,
    asked: tuple[str, ...] = (),
) -> None:
    """Make the finished set of these committed shards (valid ones, in shard order).

    members: of their samples.  asked: which of ASKED_SCORES they have.

    Call it under the folder's lock and with no worker alive: files that no record names are removed.
    `mark_finished` follows, when whatever else belongs to a finished set is written too.
    """
    layout.finished.unlink(missing_ok=True)
    remove_stale(layout, records)
    scratch = layout.scratch / "finalise"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    contents = Contents(members, asked)
    columns = schema(members, asked).names
    search = DuplicateSearch(scratch)
    for record, part in zip(records, _parts(layout, records, columns), strict=True):
        accepted = part.filter(pc.equal(part["status"], "accepted"))
        contents.count(record, accepted)
        search.take(accepted["key"], accepted["phash"])
        if record.tar.name:
            _replace(layout, layout.idx(record.shard, record.split), dali_index(accepted, members), scratch)
    for name, data in shard_indexes(records).items():
        _replace(layout, layout.root / name, data, scratch)
    duplicates = search.found(settings.duplicate_distance)
    if rows_of(records) <= ROWS_IN_ONE_FILE:
        rows = merged(_parts(layout, records, columns), duplicates)
        _write_table(layout, layout.manifest, final_schema(members, asked), rows, scratch)
        layout.duplicates.unlink(missing_ok=True)
    else:
        _write_table(layout, layout.duplicates, DUPLICATES, _listed(duplicates), scratch)
        layout.manifest.unlink(missing_ok=True)
    card = dataset_card(contents, settings.title, settings.sources, settings.excluded)
    _replace(layout, layout.card, card.encode(), scratch)
    files = [digest_file(layout.root / name, name) for name in _spanning(layout, records)]
    _replace(layout, layout.croissant, croissant(contents, records, files, settings.title, _day(records)), scratch)
    shutil.rmtree(scratch)


def mark_finished(layout: Layout, records: Sequence[CommitRecord], settings: FinishSettings = DEFAULTS) -> None:
    """Write finished.json: from here on a run in this folder has nothing to do."""
    names = [*_spanning(layout, records), layout.croissant.name]
    files = {name: digest_file(layout.root / name, name) for name in names}
    finished = FinishedSet(shards=content_digest(records), settings=settings, files=files)
    layout.store.write(layout.finished, json_bytes(asdict(finished)), layout.scratch)


def _spanning(layout: Layout, records: Sequence[CommitRecord]) -> list[str]:
    """The files over all shards that readers take data from."""
    tables = [path.name for path in (layout.manifest, layout.duplicates) if path.exists()]
    return [*shard_indexes(records), *tables]


def remove_stale(layout: Layout, records: Sequence[CommitRecord]) -> None:
    """Remove published files that no record names: a run killed before its shard's commit leaves them."""
    named = {
        "data": {record.tar.name for record in records},
        "parts": {record.part.name for record in records},
        "rejected": {file.name for record in records for file in (record.rejected_tar, record.attempts_tar)},
        "index": index_names(layout, records),
    }
    folders = {"data": layout.data, "parts": layout.parts, "rejected": layout.rejected, "index": layout.index}
    for kind, folder in folders.items():
        stale = [name for name in layout.store.sizes(folder) if _OURS[kind].fullmatch(name) and name not in named[kind]]
        layout.store.remove(folder / name for name in stale)
    indexes = set(shard_indexes(records))
    layout.store.remove(old for old in layout.root.glob("shardindex*.json") if old.name not in indexes)


def index_names(layout: Layout, records: Sequence[CommitRecord]) -> set[str]:
    """The DALI indexes that these shards have."""
    return {layout.idx(record.shard, record.split).name for record in records if record.tar.name}


def _parts(layout: Layout, records: Sequence[CommitRecord], columns: Sequence[str]) -> Iterator[pa.Table]:
    """In today's columns, whenever they were made."""
    for record in records:
        try:
            with pq.ParquetFile(layout.parts / record.part.name) as file:
                yield completed(file.read(use_threads=False), columns)
        except UNREADABLE as error:
            raise MachineError(
                f"{layout.parts / record.part.name} cannot be read: delete {layout.commit(record.shard)} "
                "and run the same command again; the shard is made anew."
            ) from error


def _day(records: Sequence[CommitRecord]) -> str:
    """When the last shard was made, an ISO date."""
    last = max((record.finished_at for record in records), default=0.0)
    return datetime.fromtimestamp(last, UTC).date().isoformat()


def _replace(layout: Layout, path: Path, data: bytes, scratch: Path) -> None:
    """Publish a file unless it already holds just this."""
    if layout.store.size(path) != len(data) or layout.store.read(path) != data:
        layout.store.write(path, data, scratch)


def merged(parts: Iterable[pa.Table], duplicates: KeyPairs) -> Iterator[pa.Table]:
    """The rows of all parts with the column duplicate_of, in chunks of at least ROW_GROUP rows."""
    repeated = np.ascontiguousarray(duplicates[:, 0])  # to be searched in once a part
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(_with_duplicates(part, repeated, duplicates))
        if sum(table.num_rows for table in waiting) >= ROW_GROUP:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _listed(duplicates: KeyPairs) -> Iterator[pa.Table]:
    """The pairs as rows of a table, in chunks of ROW_GROUP rows."""
    for begin in range(0, len(duplicates), ROW_GROUP):
        columns = duplicates[begin : begin + ROW_GROUP].T.tolist()
        yield pa.table([pa.array(map(key_of_number, column), pa.string()) for column in columns], schema=DUPLICATES)


def _write_table(layout: Layout, path: Path, schema: pa.Schema, rows: Iterable[pa.Table], scratch: Path) -> None:
    temporary = scratch / path.name
    with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for chunk in rows:
            writer.write_table(chunk)
    fsync(temporary)
    layout.store.publish(temporary, path)


def _with_duplicates(part: pa.Table, repeated: NDArray[np.int64], duplicates: KeyPairs) -> pa.Table:
    keys, states = part["key"].to_pylist(), part["status"].to_pylist()
    first, last = np.searchsorted(repeated, [int(keys[0]), int(keys[-1]) + 1]) if keys else (0, 0)
    originals = dict(duplicates[first:last].tolist())
    column = [
        key_of_number(originals[int(key)]) if status == "accepted" and int(key) in originals else ""
        for key, status in zip(keys, states, strict=True)
    ]
    return part.append_column(DUPLICATE_OF, pa.array(column, pa.string()))
