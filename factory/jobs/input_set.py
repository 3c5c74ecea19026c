"""An existing data set as a job's input: its plan, its tars, its accepted samples by slot, its corrected captions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.engine.draft import Draft
from factory.engine.inputs import HOLE, InputTable, make_table
from factory.engine.made import is_handed_on, made_shards, records_of, what_is_missing
from factory.engine.plan import Plan, Segment, read_plan
from factory.errors import UsageError
from factory.jobs.base import DerivedSet
from factory.jobs.handed_on import read_handed_on
from factory.quality.gates import GateSettings, check_limits
from factory.settings import changed, said, settings
from factory.shards.commit import CommitRecord
from factory.shards.finalise import content_digest, read_finished
from factory.shards.keys import KEY_DIGITS
from factory.shards.layout import Layout
from factory.shards.manifest import DUPLICATE_OF, manifest_rows
from factory.shards.marking import MarkingSettings
from factory.sources.captioning import corrections
from factory.sources.stored import StoredSamples

STORED = "dataset"  # what the source of stored samples is called in plans
SAMPLES = "samples"  # tables of an input set, one a segment
NO_KEYS = pa.array([], pa.string())

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class InputSet:
    """What refine, filter and captions take over.

    plan: the one the set was made by.
    tars: row k has the name and SHA-256 of shard k's tar, "" where it has none.
    samples: one table per segment of the plan, one row per slot with its sample's key; a hole where it has none.
    attempts: how many samples a slot has at most to choose from.
    """

    plan: Plan
    tars: pa.Table
    samples: tuple[pa.Table, ...]
    attempts: int = 1
    remarks: tuple[str, ...] = ()


def read_set(data: Path, without: pa.Array = NO_KEYS) -> InputSet:
    """Read the records and manifest of a set, finished or not.  without: keys of samples to leave out."""
    layout = Layout(data)
    if is_handed_on(layout):
        plan, tars, accepted = read_handed_on(data)
        gates = "" if layout.plan.exists() else "; its gates are not known, so the usual ones apply"
        remarks = [f"{data} came without its records: it is taken as its manifest and its tars are{gates}."]
    else:
        plan, records = made_shards(data)
        tars, accepted = _tars(records, plan.shards), _accepted(layout, records)
        remarks = [remark] if (remark := what_is_missing(data)) else []
    accepted = accepted.filter(pc.invert(pc.is_in(accepted["key"], value_set=without)))
    samples, first = [], 0
    for segment in plan.segments:
        samples.append(_by_slot(accepted, first, segment.slots))
        first += segment.slots
    return InputSet(plan=plan, tars=tars, samples=tuple(samples), remarks=tuple(remarks))


def duplicates(data: Path) -> pa.Array:
    """Keys that finalisation marked as duplicates of another shard's sample. Needs a finished set."""
    layout = Layout(data)
    if not is_handed_on(layout):
        records = list(records_of(read_plan(layout.plan), layout))
        if not _is_finalised(layout, records):
            raise UsageError(
                f"--drop-duplicates: {data} is not finished, so its duplicates are unknown: finish it first."
            )
    table = layout.manifest if layout.manifest.exists() else layout.duplicates
    if not table.exists():  # an earlier version left out those of large sets
        raise UsageError(f"--drop-duplicates: {data} was not searched for duplicates: run its own command again first.")
    marked = manifest_rows([table], ["key"], pc.field(DUPLICATE_OF.name) != "")
    return marked["key"].combine_chunks()


def _accepted(layout: Layout, records: Sequence[CommitRecord]) -> pa.Table:
    """Key and slot of the accepted samples of these shards, from the one manifest if it is of just these."""
    return manifest_rows(files_of(layout, records), ["key", "slot"], pc.field("status") == "accepted")


def files_of(layout: Layout, records: Sequence[CommitRecord]) -> list[Path]:
    """Where the manifest's rows of these shards lie."""
    parts = [layout.parts / record.part.name for record in records]
    return [layout.manifest] if _is_finalised(layout, records) and layout.manifest.exists() else parts


def _is_finalised(layout: Layout, records: Sequence[CommitRecord]) -> bool:
    finished = read_finished(layout)
    return finished is not None and finished.shards == content_digest(records)


def _tars(records: Sequence[CommitRecord], shards: int) -> pa.Table:
    rows = [{"tar": "", "tar_sha256": ""} for _ in range(shards)]
    for record in records:
        rows[record.shard] = {"tar": record.tar.name, "tar_sha256": record.tar.sha256}
    return make_table(rows)


def _by_slot(accepted: pa.Table, first: int, slots: int) -> pa.Table:
    """Scattered in numpy, into fresh buffers: their hash must not depend on how the manifest was cut."""
    place = accepted["slot"].to_numpy() - first
    ours = (place >= 0) & (place < slots)
    keys = np.full(slots, "", f"U{KEY_DIGITS}")
    keys[place[ours]] = accepted["key"].filter(pa.array(ours)).to_numpy()
    return pa.table({HOLE: keys == "", "key": keys})


def derive(recipe: DerivedSet, given: InputSet, gates: Mapping[str, Any]) -> Draft:
    """Shard k maps to shard k and keys are kept: one table row per slot, holes where the set has none.

    gates: what differs from the set's own.
    """
    own_gates = changed("gates", _own(given, "gates", GateSettings), gates)
    check_limits(own_gates)
    draft = Draft(members=given.plan.members, shard_size=given.plan.shard_size, remarks=list(given.remarks))
    draft.settings = {
        "input": {"fingerprint": given.plan.fingerprint},
        "gates": said(own_gates),
        "marking": asdict(changed("marking", _own(given, "marking", MarkingSettings), recipe.marking)),
    }
    draft.places["input"] = str(recipe.data.resolve())
    draft.tables["tars"] = given.tars
    for number, (old, table) in enumerate(zip(given.plan.segments, given.samples, strict=True)):
        name = f"{SAMPLES}-{number}"
        draft.tables[name] = table
        segment = Segment(
            source=STORED, split=old.split, slots=old.slots, attempts=given.attempts, table=name, rows=old.slots
        )
        draft.segments.append(segment)
    return draft


def _own(given: InputSet, group: str, kind: type[S]) -> S:
    """A group of settings as the set itself was made with."""
    return settings(kind, given.plan.settings.get(group, {}))


def open_stored(plan: Plan, root: Path) -> StoredSamples:
    """The samples of the set that a plan was derived from, in a worker."""
    return StoredSamples(Path(plan.places["input"]), InputTable(Layout(root).inputs / "tars.arrow").table)


def hand_on_changes(recipe: DerivedSet, corrected: Sequence[corrections.Correction] = (), by: str = "") -> None:
    """Who changed which caption, and when, stays with a set through all sets that are made of it.

    A run that goes on leaves the record as the first one wrote it.
    """
    if (recipe.out / corrections.CHANGES).exists():
        return
    if corrected or corrections.read_changes(recipe.data).num_rows:
        corrections.write_changes(recipe.data, recipe.out, corrected, by, datetime.now(UTC))
