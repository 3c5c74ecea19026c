"""Checks a whole set: bytes against commit records, samples against their promises, files against the plan."""

import multiprocessing
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.errors import MachineError, some
from factory.sample import ASKED_SCORES
from factory.shards.commit import CommitRecord, read_commit, sha256_of
from factory.shards.counting import Counting, silent
from factory.shards.duplicates import DuplicateSearch
from factory.shards.finalise import content_digest, index_names, read_finished, rows_of
from factory.shards.indexes import shard_indexes
from factory.shards.keys import key_of_number
from factory.shards.layout import Layout
from factory.shards.manifest import DUPLICATES, ROWS_IN_ONE_FILE, UNREADABLE, as_manifest, final_schema, is_as
from factory.shards.members import MATTING, Members
from factory.shards.verify_shard import Fault, check_shard


def verify(
    root: Path,
    *,
    fingerprints: Collection[str],
    shards: int,
    members: Members = MATTING,
    workers: int = 1,
    progress: Counting = silent,
) -> list[Fault]:
    """All faults of a data set folder; an empty list means that it is whole.

    fingerprints, shards, members: of the plan.  workers: processes (1 checks in this one).  progress: in shards.
    """
    layout = Layout(root)
    records, faults = _read_records(layout, fingerprints, shards)
    faults += _check_folders(layout, records)
    faults += _check_finished(layout, records)
    manifest = None
    if layout.manifest.exists():
        unusable = list(_check_schema(layout.manifest, final_schema(members, ASKED_SCORES)))
        faults += unusable or _check_manifest(layout, records)
        manifest = None if unusable else layout.manifest
    elif layout.duplicates.exists():
        faults += list(_check_schema(layout.duplicates, DUPLICATES)) or _check_table_of_duplicates(layout, records)
    for done, found in enumerate(_check_shards(root, manifest, members, records, workers), start=1):
        faults += found
        progress(done, len(records))
    return faults


def _read_records(layout: Layout, fingerprints: Collection[str], shards: int) -> tuple[list[CommitRecord], list[Fault]]:
    """The records to check, in shard order, and what is wrong with commits/ itself."""
    records, faults = [], []
    present = layout.store.sizes(layout.commits)
    expected = {layout.commit(number).name: number for number in range(shards)}
    for name, number in expected.items():
        place = f"commits/{name}"
        if name not in present:
            faults.append(
                Fault(place, "missing_shard", f"shard {number} was not committed: run the set's command again")
            )
            continue
        record = read_commit(layout.store.read(layout.commits / name))
        if record is None:
            faults.append(Fault(place, "unreadable", "it is not a commit record"))
        elif record.fingerprint not in fingerprints:
            faults.append(Fault(place, "foreign", "its fingerprint is not that of plan.json: it is of another run"))
        elif record.shard != number:
            faults.append(Fault(place, "foreign", f"it is the record of shard {record.shard}"))
        else:
            records.append(record)
    faults += [
        Fault(f"commits/{name}", "extra", "no shard of the plan has it")
        for name in sorted(set(present) - set(expected))
    ]
    return records, faults


def _check_folders(layout: Layout, records: Sequence[CommitRecord]) -> Iterator[Fault]:
    """Files that no record names. The missing ones are found shard by shard."""
    named = {
        layout.data: {record.tar.name for record in records},
        layout.parts: {record.part.name for record in records},
        layout.rejected: {file.name for record in records for file in (record.rejected_tar, record.attempts_tar)},
        layout.index: index_names(layout, records),
    }
    for folder, names in named.items():
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        yield from (
            Fault(f"{folder.name}/{name}", "extra", "no commit record names it") for name in sorted(found - names)
        )


def _check_shards(
    root: Path, manifest: Path | None, members: Members, records: Sequence[CommitRecord], workers: int
) -> Iterator[list[Fault]]:
    check = partial(check_shard, root, manifest, members)
    if workers == 1 or len(records) < 2:
        yield from map(check, records)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, len(records)), context) as pool:
            yield from pool.map(check, records)
    except BrokenProcessPool as error:
        raise MachineError("a verifying process was killed: use fewer --workers, then verify again.") from error


def _check_finished(layout: Layout, records: Sequence[CommitRecord]) -> Iterator[Fault]:
    """finished.json, the files it vouches for, and the wids indexes."""
    finished = read_finished(layout)
    if finished is None:
        yield Fault(layout.finished.name, "unfinished", "finalisation did not complete: run the set's command again")
        return
    if finished.shards != content_digest(records):
        sentence = "the set was finalised with other shards than those committed: run its command again"
        yield Fault(layout.finished.name, "unfinished", sentence)
    names = set(finished.files) | {layout.card.name, layout.croissant.name}
    if rows_of(records) <= ROWS_IN_ONE_FILE:
        names.add(layout.manifest.name)
    for name in sorted(names):
        if not (layout.root / name).is_file():
            yield Fault(name, "missing", "the file is missing")
    for name, file in finished.files.items():
        path = layout.root / name
        if path.is_file() and sha256_of(path) != file.sha256:
            yield Fault(name, "sha256", "its bytes are not those that finalisation wrote")
    indexes = shard_indexes(records)
    for path in sorted(layout.root.glob("shardindex*.json")):
        if path.name not in indexes:
            yield Fault(path.name, "extra", "the set has no such split")
        elif not path.is_file() or path.read_bytes() != indexes[path.name]:
            yield Fault(path.name, "index", "it does not list just the committed shards of its split")


def _check_schema(table: Path, wanted: pa.Schema) -> Iterator[Fault]:
    try:
        found = pq.read_schema(table)
    except UNREADABLE as error:
        yield Fault(table.name, "unreadable", f"it is not a readable Parquet file ({error})")
        return
    if not is_as(found, wanted):
        yield Fault(table.name, "columns", "its columns are not those of a finished set")


def _check_manifest(layout: Layout, records: Sequence[CommitRecord]) -> list[Fault]:
    """What no single shard can tell: rows of no shard, their order, duplicates across shards."""
    place = layout.manifest.name
    try:
        columns = ["key", "shard", "attempt", "status", "phash", "duplicate_of"]
        table = as_manifest(pq.read_table(layout.manifest, columns=columns))
    except UNREADABLE as error:
        return [Fault(place, "unreadable", f"its rows cannot be read ({error})")]
    faults = []
    known = np.array([record.shard for record in records], np.int32)
    shards = table["shard"].to_numpy()
    unknown = [str(number) for number in np.unique(shards[~np.isin(shards, known)])]
    if unknown:
        faults.append(Fault(place, "manifest", f"it has rows of shards that are not committed: {some(unknown)}"))
    order = zip(table["key"].to_pylist(), table["attempt"].to_pylist(), strict=True)
    twisted = [later[0] for earlier, later in pairwise(order) if later <= earlier]
    if twisted:
        faults.append(Fault(place, "manifest", f"its rows are not in the order of key and attempt, at {some(twisted)}"))
    finished = read_finished(layout)
    if finished is not None:
        marked = table.filter(pc.not_equal(table["duplicate_of"], ""))
        faults += _check_duplicates([table], marked, finished.settings.duplicate_distance, place)
    return faults


def _check_table_of_duplicates(layout: Layout, records: Sequence[CommitRecord]) -> list[Fault]:
    """The table beside a manifest that stays a folder of parts."""
    finished = read_finished(layout)
    if finished is None:
        return []  # named already
    place, columns = layout.duplicates.name, ["key", "status", "phash"]
    parts = (pq.read_table(layout.parts / record.part.name, columns=columns, partitioning=None) for record in records)
    try:
        marked = pq.read_table(layout.duplicates)
        return _check_duplicates(parts, marked, finished.settings.duplicate_distance, place)
    except UNREADABLE as error:
        return [Fault(place, "unreadable", f"it cannot be compared with the parts ({error})")]


def _check_duplicates(rows: Iterable[pa.Table], marked: pa.Table, distance: int, place: str) -> list[Fault]:
    """rows: of all attempts, in order.  marked: those said to repeat another."""
    with TemporaryDirectory() as folder:
        search = DuplicateSearch(Path(folder))
        try:
            for table in rows:
                accepted = table.filter(pc.equal(table["status"], "accepted"))
                search.take(accepted["key"], accepted["phash"])
        except (ValueError, OverflowError):
            return [Fault(place, "duplicates", "its keys or perceptual hashes are no numbers")]
        expected = {key_of_number(key): key_of_number(original) for key, original in search.found(distance).tolist()}
    found = dict(zip(marked["key"].to_pylist(), marked["duplicate_of"].to_pylist(), strict=True))
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    return [Fault(place, "duplicates", f"duplicate_of is wrong for {some(wrong)}")] if wrong else []
