"""All that one committed shard promises, checked against the bytes that lie there. Faults are named, not raised."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.equation import TERMS, residual
from factory.errors import DataError, some
from factory.sample import ASKED_SCORES
from factory.shards.commit import CommitRecord, FileRecord, sha256_of
from factory.shards.encoding import pixel_hash
from factory.shards.indexes import dali_index
from factory.shards.keys import attempt_name, is_key, shard_of
from factory.shards.layout import Layout
from factory.shards.manifest import SCORES, UNREADABLE, is_as, schema
from factory.shards.marking import SOURCE_TYPE, SYSTEM, SYSTEM_VERSION, read_marks
from factory.shards.members import JSON, Members, column, extensions
from factory.shards.reader import Stored, decode
from factory.shards.schema import metadata_schema, misfits
from factory.shards.tar_check import Entry, walk
from factory.shards.writer import Extent

LEVELS = 1.0  # by which a recomputed residual may differ

_COLUMNS = {  # manifest column → place in the sample's JSON
    **{name: (name,) for name in ("key", "slot", "attempt", "class", "caption", "prompt", "kind", "source", "licence")},
    **{name: (name,) for name in ("attribution", "soft_alpha", "model", "width", "height", "phash")},
    **{name: (name,) for name in ("ai_generated", "digital_source_type", "foreground", "colour")},
    **{name: ("scores", name) for name in SCORES},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. place: a file's path in the set, or a sample's key.  kind: a short word to count."""

    place: str
    kind: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence} [{self.kind}]"


@dataclass(slots=True)
class _Contents:
    """What was found in a tar, for the comparison with the manifest.

    members: declared.  status: of the rows whose samples lie in the tar.
    """

    members: Members
    status: Literal["accepted", "rejected"] = "accepted"
    extents: dict[str, dict[str, Extent]] = field(default_factory=dict)  # name → extension → place
    metas: dict[str, dict[str, Any]] = field(default_factory=dict)  # name → JSON, where it is as it should be

    def name(self, row: Mapping[str, Any]) -> str:
        """What a sample is called in the tar, by its row or its JSON."""
        return str(row["key"]) if self.status == "accepted" else attempt_name(row["key"], row["attempt"])

    def rows(self, part: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Those of whose samples the tar has to have the members, by name. Not every rejected attempt is kept."""
        ours = (row for row in part if row["status"] == self.status)
        is_stored = column(JSON, "offset")
        return {self.name(row): row for row in ours if self.status == "accepted" or row[is_stored] >= 0}


def check_shard(root: Path, manifest: Path | None, members: Members, record: CommitRecord) -> list[Fault]:
    """All faults of one shard: its files, its tar's samples, its part, its rows in the manifest, its index.

    manifest: the set's one file, or None where there is none to compare with.  members: that each sample must have.
    """
    layout = Layout(root)
    faults: list[Fault] = []
    try:
        for folder, file in record.files(layout):
            faults += _check_file(folder, file)
        accepted, kept = _Contents(members), _Contents(members, "rejected")
        for tar, contents in (
            (layout.data / record.tar.name, accepted),
            (layout.rejected / record.attempts_tar.name, kept),
        ):
            if tar.is_file():
                faults += _check_tar(tar, record, contents)
        part = _read_part(layout.parts / record.part.name, members, faults)
        if part is not None:
            faults += _check_part(part, f"manifest/{record.part.name}", record, accepted, kept)
            faults += _check_index(layout, part, members, record)
            if manifest is not None:
                faults += _check_manifest(manifest, part, record)
    except Exception as error:  # noqa: BLE001  (damage takes any shape: it is named, and the other shards are checked)
        name = f"commits/{layout.commit(record.shard).name}"
        faults.append(Fault(name, "unreadable", f"the shard cannot be checked ({type(error).__name__}: {error})"))
    return faults


def _check_file(folder: Path, file: FileRecord) -> Iterator[Fault]:
    if not file.name:
        return
    path, place = folder / file.name, f"{folder.name}/{file.name}"
    if not path.exists():
        yield Fault(place, "missing", "the file is missing")
        return
    size = path.stat().st_size
    if size != file.bytes:
        yield Fault(place, "size", f"it has {size:,} bytes, the commit record says {file.bytes:,}")
    if (digest := sha256_of(path)) != file.sha256:
        yield Fault(place, "sha256", f"its SHA-256 is {digest[:16]}…, the commit record says {file.sha256[:16]}…")


def _check_tar(path: Path, record: CommitRecord, contents: _Contents) -> Iterator[Fault]:
    place = f"{path.parent.name}/{path.name}"
    with path.open("rb") as file:
        members: list[Entry] = []
        try:
            for member in walk(file):
                if not member.plain:
                    yield Fault(
                        place, "header", f"the header of {member.name} is not plain USTAR with mode 0444 and no time"
                    )
                if members and member.name.partition(".")[0] != members[0].name.partition(".")[0]:
                    yield from _check_sample(place, members, record, contents)
                    members = []
                members.append(member)
        except DataError as error:
            yield Fault(place, error.kind, str(error))
        if members:
            yield from _check_sample(place, members, record, contents)
    keys = list(contents.extents)
    if keys != sorted(keys, key=_in_order):
        yield Fault(place, "order", "its samples are not in the order of their keys")


def _in_order(name: str) -> tuple[str, int]:
    """Key and attempt of a sample's name."""
    key, _, attempt = name.partition("-")
    return key, int(attempt) if attempt.isdecimal() else 0


def _check_sample(place: str, members: list[Entry], record: CommitRecord, contents: _Contents) -> Iterator[Fault]:
    """One run of members that share a name in front of the first dot."""
    key = members[0].name.partition(".")[0]
    names = [member.name.partition(".")[2] for member in members]
    if key in contents.extents:
        yield Fault(key, "duplicate_key", f"{place} holds this key twice, or its members do not lie together")
        return
    contents.extents[key] = {
        name: Extent(member.offset, len(member.body)) for name, member in zip(names, members, strict=True)
    }
    own_key = key.partition("-")[0]
    if not is_key(own_key) or shard_of(own_key) != record.shard:
        yield Fault(key, "key", f"it is no key of shard {record.shard}, in whose tar it lies")
    declared = extensions(contents.members)
    if tuple(names) != declared:
        yield Fault(key, "members", f"its members are {', '.join(names)}, not {', '.join(declared)}")
    try:
        stored = decode(key, {name: member.body for name, member in zip(names, members, strict=True)})
    except DataError as error:
        yield Fault(key, error.kind, str(error))
        return
    clauses = list(misfits(stored.meta, metadata_schema(contents.members)))
    if clauses:
        yield Fault(key, "schema", f"its JSON is not as it should be: {'; '.join(clauses)}")
        return
    contents.metas[key] = stored.meta
    if contents.name(stored.meta) != key:
        yield Fault(key, "key", f"its JSON is that of {contents.name(stored.meta)}")
    yield from _check_pictures(stored, contents.members)
    for name, member in zip(names, members, strict=True):
        if name.endswith(".png"):
            yield from _check_mark(stored, name, member.body)


def _check_pictures(stored: Stored, members: Members) -> Iterator[Fault]:
    """Sizes, pixel hashes and the compositing equation, against a JSON that fits the schema."""
    key, meta = stored.key, stored.meta
    for member in members:
        name, picture = member.name, stored.pictures.get(member.name)
        if picture is None:
            continue  # named already
        if picture.ndim != (2 if member.channels == 1 else 3):
            yield Fault(key, "channels", f"{name}.png is {'grey' if picture.ndim == 2 else 'RGB'}")
            return
        if picture.shape[:2] != (meta["height"], meta["width"]):
            height, width = picture.shape[:2]
            said = f"{meta['width']}×{meta['height']}"
            yield Fault(key, "sizes", f"{name}.png is {width}×{height}, its JSON says {said}")
            return
        if pixel_hash(picture) != meta["hashes"][name]:
            yield Fault(key, "pixels", f"the pixels of {name}.png are not those its JSON has the hash of")
    said = meta["scores"]["residual"]
    if said < 0:
        return
    if [len(channel) for channel in meta["plate"]] != [TERMS] * 3:
        yield Fault(key, "plate", f"its plate is not 3 channels of {TERMS} terms, so the residual cannot be recomputed")
        return
    found = residual(stored.rgb, stored.alpha, stored.foreground, meta["plate"])
    if abs(found - said) > LEVELS:
        yield Fault(key, "residual", f"I − αF − (1 − α)B leaves {found:.2f} levels, its JSON says {said:.2f}")


def _check_mark(stored: Stored, name: str, png: bytes) -> Iterator[Fault]:
    """What a picture says of itself, against its JSON."""
    meta, marks = stored.meta, read_marks(png)
    told = {SOURCE_TYPE: meta["digital_source_type"]}
    if meta["ai_generated"]:
        told |= {SYSTEM: meta["source"], SYSTEM_VERSION: meta["model"]}
    wrong = [field for field, value in told.items() if marks.get(field) != value]
    if wrong:
        yield Fault(stored.key, "mark", f"{name} does not say of itself in {', '.join(wrong)} what its JSON says")


def _read_part(path: Path, members: Members, faults: list[Fault]) -> pa.Table | None:
    if not path.exists():
        return None  # named already
    try:
        with pq.ParquetFile(path) as file:
            part = file.read(use_threads=False)
        part.validate(full=True)
    except UNREADABLE as error:
        faults.append(Fault(f"manifest/{path.name}", "unreadable", f"it is not a readable Parquet file ({error})"))
        return None
    if not is_as(part.schema, schema(members, ASKED_SCORES)):
        faults.append(Fault(f"manifest/{path.name}", "columns", "its columns are not those of a manifest"))
        return None
    return part


def _check_part(
    part: pa.Table, place: str, record: CommitRecord, accepted: _Contents, kept: _Contents
) -> Iterator[Fault]:
    """The part's rows against the commit record's counts and the samples in the tars."""
    rows = part.to_pylist()
    counts = (
        ("accepted", sum(row["status"] == "accepted" for row in rows), record.accepted),
        ("rejected", Counter(row["reason"] for row in rows if row["status"] == "rejected"), Counter(record.rejected)),
        ("kept", len(kept.rows(rows)), record.kept),
        ("failed", Counter(row["reason"] for row in rows if row["status"] == "failed"), Counter(record.failed)),
    )
    for what, found, said in counts:
        if found != said:
            yield Fault(
                place, "counts", f"its {what} rows ({_count(found)}) are not the commit record's ({_count(said)})"
            )
    strangers = sorted({row["key"] for row in rows if row["shard"] != record.shard or row["split"] != record.split})
    if strangers:
        yield Fault(place, "rows", f"rows of another shard or split: {some(strangers)}")
    for contents in (accepted, kept):
        yield from _check_rows(contents.rows(rows), place, contents)


def _check_rows(rows: Mapping[str, Mapping[str, Any]], place: str, contents: _Contents) -> Iterator[Fault]:
    """Rows by their samples' names against the tar that these should lie in."""
    found, status = contents.extents, contents.status
    article = "an" if status == "accepted" else "a"
    for sentence, names in (
        (f"samples of the tar without {article} {status} row", sorted(found.keys() - rows.keys())),
        (f"{status} rows without a sample in the tar", sorted(rows.keys() - found.keys())),
    ):
        if names:
            yield Fault(place, "rows", f"{sentence}: {some(names)}")
    for name in sorted(rows.keys() & found.keys()):
        wrong = [*_wrong_extents(rows[name], found[name]), *_wrong_columns(rows[name], contents.metas.get(name))]
        if wrong:
            yield Fault(name, "rows", f"its row in {place} differs from the tar in {', '.join(wrong)}")


def _count(value: int | Mapping[str, int]) -> str:
    return str(value) if isinstance(value, int) else ", ".join(f"{k} {n}" for k, n in sorted(value.items())) or "0"


def _wrong_extents(row: Mapping[str, Any], extents: Mapping[str, Extent]) -> Iterator[str]:
    for name, extent in extents.items():
        offset, size = column(name, "offset"), column(name, "size")
        if (row.get(offset), row.get(size)) != (extent.offset, extent.size):
            yield f"{offset}/size"


def _wrong_columns(row: Mapping[str, Any], meta: Mapping[str, Any] | None) -> Iterator[str]:
    if meta is None:
        return
    if str(row["seed"]) != meta["seed"]:
        yield "seed"
    hashes = {f"{name}_sha256": ("hashes", name) for name in meta["hashes"]}
    for name, (outer, *inner) in {**_COLUMNS, **hashes}.items():
        value = meta[outer].get(inner[0], -1.0) if inner else meta[outer]  # older sets lack scores added since
        if row.get(name, -1.0) != (float(np.float32(value)) if isinstance(value, float) else value):
            yield name


def _check_manifest(manifest: Path, part: pa.Table, record: CommitRecord) -> Iterator[Fault]:
    """The shard's rows in manifest.parquet, which must be the part's (duplicate_of is checked over the whole set)."""
    place = manifest.name
    try:
        rows = pq.read_table(manifest, filters=pc.field("shard") == record.shard, use_threads=False)
        rows.validate(full=True)
    except UNREADABLE as error:
        yield Fault(place, "unreadable", f"its rows of shard {record.shard} cannot be read ({error})")
        return
    if rows.select(part.schema.names).equals(part):
        return
    here, there = (Counter(table["key"].to_pylist()) for table in (rows, part))
    for sentence, keys in (("lacks rows of", there - here), ("has rows too many of", here - there)):
        if keys:
            yield Fault(place, "manifest", f"it {sentence} shard {record.shard}: {some(sorted(keys))}")
    if here == there:
        wrong = [name for name in part.schema.names if not rows[name].equals(part[name])]
        yield Fault(
            place, "manifest", f"its rows of shard {record.shard} differ from {record.part.name} in {', '.join(wrong)}"
        )


def _check_index(layout: Layout, part: pa.Table, members: Members, record: CommitRecord) -> Iterator[Fault]:
    if not record.tar.name or not layout.finished.exists():
        return
    path = layout.idx(record.shard, record.split)
    accepted = part.filter(pc.equal(part["status"], "accepted"))
    if not path.exists():
        yield Fault(f"index/{path.name}", "missing", "the file is missing")
    elif path.read_bytes() != dali_index(accepted, members):
        yield Fault(f"index/{path.name}", "index", "it is not the index of its tar")
