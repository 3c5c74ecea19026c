"""A set that was handed on without its plan or its records, as a job's input: its manifest and tars speak for it."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.engine.plan import SCHEMA_VERSION, Plan, read_plan
from factory.errors import DataError, UsageError, some
from factory.sample import ASKED_SCORES
from factory.shards.commit import sha256_of
from factory.shards.keys import MAX_SHARD_SIZE, SHARD_DIGITS
from factory.shards.layout import Layout
from factory.shards.lookup import find, read_row
from factory.shards.manifest import columns_of, manifest_files, manifest_rows
from factory.shards.members import MATTING, OWN, Member, Members


def read_handed_on(data: Path) -> tuple[Plan, pa.Table, pa.Table]:
    """The plan that made it, as far as its manifest tells; its tars, as InputSet has them; key and slot of its samples.

    A plan.json that is there counts as it stands. Raises UsageError that says what is missing.
    """
    layout = Layout(data)
    files = manifest_files(layout)
    rows = manifest_rows(files, ["key", "slot", "split", "status"])
    accepted = rows.filter(pc.equal(rows["status"], "accepted"))
    if not accepted.num_rows:
        raise UsageError(f"{data} has no accepted sample: there is nothing to make of it.")
    plan = read_plan(layout.plan) if layout.plan.exists() else _plan(data, files, rows, accepted["key"][0].as_py())
    return plan, _tars(layout, plan, accepted), accepted.select(["key", "slot"])


def _plan(data: Path, files: Sequence[Path], rows: pa.Table, key: str) -> Plan:
    """As far as the manifest tells.  key: of any sample."""
    columns = columns_of(files[0])
    content = {
        "schema_version": SCHEMA_VERSION,
        "job": "handed on",
        **{"seed": 0, "batch_size": 1, "threads": 1},
        "settings": {"asked_scores": asked} if (asked := sorted(set(columns).intersection(ASKED_SCORES))) else {},
        **_shape(data, rows),
        "members": [asdict(member) for member in _members(data, columns, key)],
        "inputs": {"manifest": hashlib.sha256(b"".join(bytes.fromhex(sha256_of(file)) for file in files)).hexdigest()},
    }
    try:
        return Plan.from_json(content)
    except ValueError as error:
        raise UsageError(f"the manifest of {data} is of no set that this factory knows ({error}).") from error


def _shape(data: Path, rows: pa.Table) -> dict[str, Any]:
    """Size of the shards, and the segments: a new one begins where the split changes, or a shard before was short."""
    numbers = rows["key"].cast(pa.int64()).to_numpy()
    order = np.argsort(numbers, kind="stable")
    numbers, slots = numbers[order], rows["slot"].to_numpy()[order]
    shards, begins = np.unique(numbers // MAX_SHARD_SIZE, return_index=True)
    index = numbers % MAX_SHARD_SIZE
    ends = np.maximum.reduceat(index, begins) + 1
    first = (slots - index)[begins]  # slot of each shard's first sample
    splits = rows["split"].take(pa.array(order[begins])).to_pylist()
    apart, between = np.diff(first), np.diff(shards)
    size = int(max(ends.max(), (-(-apart // between)).max(initial=1)))
    goes_on = (apart == between * size) & np.array([a == b for a, b in pairwise(splits)], bool)
    heads = [0, *(np.flatnonzero(~goes_on) + 1)]
    first_shards, first_slots = [0, *shards[heads[1:]]], [0, *first[heads[1:]]]
    lengths = np.diff([*first_slots, first[-1] + ends[-1]])
    counts = np.diff([*first_shards, shards[-1] + 1])
    in_order = np.array_equal(slots - index, np.repeat(first, np.diff([*begins, len(index)])))
    if size > MAX_SHARD_SIZE or not in_order or np.any(-(-lengths // size) != counts):
        raise UsageError(f"the manifest of {data} does not say how its slots lie in shards: ask for its plan.json too.")
    segments = [
        {"source": "dataset", "split": splits[head], "slots": int(length)}
        for head, length in zip(heads, lengths, strict=True)
    ]
    return {"shard_size": size, "segments": segments}


def _members(data: Path, columns: list[str], key: str) -> Members:
    """Those that the manifest has columns for; what kind a further one is, a sample shows."""
    names = [name.removesuffix("_sha256") for name in columns if name.endswith("_sha256")]
    further = [name for name in names if name not in OWN]
    if not further:
        return MATTING
    try:
        pictures = read_row(data, find(data, key)).pictures
        told = "As in the set that this one was made of."
        return (*MATTING, *(Member(name, 1 if pictures[name].ndim == 2 else 3, told) for name in further))
    except (DataError, KeyError, ValueError) as error:
        raise UsageError(f"{data} cannot be read ({error}): its manifest tells of {some(further)}.") from error


def _tars(layout: Layout, plan: Plan, accepted: pa.Table) -> pa.Table:
    numbers = pc.unique(pc.utf8_slice_codeunits(accepted["key"], 0, SHARD_DIGITS)).cast(pa.int64()).to_pylist()
    if strange := [number for number in numbers if number >= plan.shards]:
        raise UsageError(f"{layout.root} has samples of shard {strange[0]}, and its plan has {plan.shards:,} shards.")
    tars = {number: layout.tar(number, plan.shard(number).segment.split) for number in numbers}
    there = layout.store.sizes(layout.data)
    if missing := [tar.name for tar in tars.values() if tar.name not in there]:
        raise UsageError(f"{layout.data} lacks {some(missing)}, of which the manifest has samples: ask for them too.")
    names, digests = [""] * plan.shards, [""] * plan.shards
    for number, tar in tars.items():
        names[number], digests[number] = tar.name, sha256_of(tar)
    return pa.table({"tar": names, "tar_sha256": digests})
