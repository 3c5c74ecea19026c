"""The rejected attempts that a set kept, as further samples that its slots may be filled with."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.engine.inputs import ATTEMPTS, HOLE
from factory.engine.made import is_handed_on, made_shards
from factory.engine.plan import read_plan
from factory.jobs.input_set import NO_KEYS, InputSet, files_of
from factory.shards.keys import KEY_DIGITS
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_rows, read_manifest
from factory.shards.members import JSON, column

IS_STORED = column(JSON, "offset")
MAX_ATTEMPTS = 2**15


def with_kept_attempts(data: Path, given: InputSet, without: pa.Array = NO_KEYS) -> InputSet:
    """The set with, for each slot, its accepted sample and then its rejected attempts in their order.

    Itself where the set kept none, or came without its records. without: keys whose slots stay empty.
    """
    if not _keeps_attempts(Layout(data)):
        return given
    plan, records = made_shards(data)
    names, hashes = [""] * plan.shards, [""] * plan.shards
    for record in records:
        names[record.shard], hashes[record.shard] = record.attempts_tar.name, record.attempts_tar.sha256
    tars = given.tars.append_column("attempts", pa.array(names)).append_column("attempts_sha256", pa.array(hashes))
    is_there = (pc.field("status") == "accepted") | ((pc.field("status") == "rejected") & (pc.field(IS_STORED) >= 0))
    columns = ["key", "slot", "attempt", "status", IS_STORED]
    rows = manifest_rows(files_of(Layout(data), records), columns, is_there)
    rows = rows.filter(pc.invert(pc.is_in(rows["key"], value_set=without)))
    slots, attempts = rows["slot"].to_numpy(), rows["attempt"].to_numpy()
    order = np.lexsort((attempts, pc.not_equal(rows["status"], "accepted").to_numpy(), slots))
    slots, attempts, keys = slots[order], attempts[order], rows["key"].to_numpy()[order]
    samples, first, most = [], 0, 1
    for segment in plan.segments:
        bounds = np.searchsorted(slots, np.arange(first, first + segment.slots + 1))
        samples.append(_table(keys, attempts, bounds))
        most = max(most, int(np.diff(bounds).max(initial=0)))
        first += segment.slots
    return replace(given, tars=tars, samples=tuple(samples), attempts=most)


def _keeps_attempts(layout: Layout) -> bool:
    """Whether a set has its rejected attempts, and the records that say where."""
    return layout.plan.exists() and not is_handed_on(layout) and read_plan(layout.plan).keep_rejected


def _table(keys: NDArray[np.object_], attempts: NDArray[np.int16], bounds: NDArray[np.int64]) -> pa.Table:
    """A row per slot.  bounds: slot i has the attempts from bounds[i] to bounds[i + 1]."""
    is_hole = np.diff(bounds) == 0
    own = np.full(len(is_hole), "", f"U{KEY_DIGITS}")
    own[~is_hole] = keys[bounds[:-1][~is_hole]]
    offsets = pa.array((bounds - bounds[0]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(attempts[bounds[0] : bounds[-1]]))
    return pa.table({HOLE: is_hole, "key": own, ATTEMPTS: lists})


def taken_back(data: Path, out: Path) -> Sequence[str]:
    """A line that says how many samples of a set are attempts that the one it was made of had rejected."""
    if not _keeps_attempts(Layout(data)):
        return ()
    now, before = (_accepted(Layout(root)) for root in (out, data))
    count = len(np.setdiff1d(now, before, assume_unique=True))
    verb = "is an attempt" if count == 1 else "are attempts"
    return (f"{count:,} of them {verb} that {data} had rejected.",)


def _accepted(layout: Layout) -> NDArray[np.int64]:
    """Slot and attempt of each accepted sample, as one number."""
    rows = read_manifest(layout, ["key", "slot", "attempt"], pc.field("status") == "accepted")
    return np.asarray(rows["slot"].to_numpy() * MAX_ATTEMPTS + rows["attempt"].to_numpy(), np.int64)
