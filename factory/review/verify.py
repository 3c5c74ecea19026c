"""All faults of a data set: of what it was to be made from, then of what was made."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from factory.engine.inputs import content_hash, read_frozen
from factory.engine.plan import Plan, read_plan
from factory.errors import some
from factory.shards.counting import Counting, silent
from factory.shards.keys import SHARD_PATTERN, is_key, shard_of
from factory.shards.layout import Layout
from factory.shards.verify import verify as verify_shards
from factory.shards.verify_shard import Fault

OF_SHARDS = ("data", "manifest", "commits", "rejected")  # folders with a file a shard
MADE_BEFORE = ("recipe.yaml", "inputs")  # what a run writes before its first shard


def verify_set(data: Path, workers: int, progress: Counting = silent) -> list[Fault]:
    """All faults of a data set: of what it was to be made from, then of what was made."""
    layout = Layout(data)
    plan = read_plan(layout.plan)
    faults = list(_check_inputs(plan, layout))
    return faults + verify_shards(
        data,
        shards=plan.shards,
        fingerprints=plan.fingerprints,
        members=plan.members,
        workers=workers,
        progress=progress,
    )


def advice(data: Path, faults: Sequence[Fault]) -> str:
    """What to do about these faults, for people: only what is broken is made again."""
    layout = Layout(data)
    extra = sorted({fault.place for fault in faults if fault.kind == "extra"})
    broken = [fault for fault in faults if fault.kind != "extra"]
    shards = sorted({shard for fault in broken if (shard := _shard_in(fault.place)) is not None})
    records = [path for shard in shards if (path := layout.commit(shard)).exists()]
    spanning = [fault for fault in broken if fault.place.partition("/")[0] not in (*OF_SHARDS, *MADE_BEFORE)]
    spans_broken = any(not is_key(fault.place) for fault in spanning)
    finished = [layout.finished] if spans_broken and layout.finished.exists() else []
    stale = [str(path) for path in (*records, *finished)]
    steps = [f"Remove what is not of the set: {some(extra)}."] if extra else []
    if stale:
        anew = "these shards are made anew, bit for bit" if records else "the shards stay, what spans them is made anew"
        steps.append(f"Delete {some(stale)} and run the set's command again: {anew}.")
    elif broken:
        steps.append("Run the set's command again.")
    return " ".join(steps)


def _shard_in(place: str) -> int | None:
    """The shard whose own file, or one of whose samples, is at fault."""
    if is_key(place):
        return shard_of(place)
    folder, _, name = place.partition("/")
    found = re.search(SHARD_PATTERN, name) if folder in OF_SHARDS else None
    return int(found[0]) if found else None


def _check_inputs(plan: Plan, layout: Layout) -> Iterator[Fault]:
    """The recipe, and the frozen tables against their hashes in the plan."""
    if not layout.recipe.exists():
        yield Fault(layout.recipe.name, "missing", "the file is missing")
    for name, digest in plan.inputs.items():
        path = layout.inputs / f"{name}.arrow"
        place = f"inputs/{path.name}"
        if not path.exists():
            yield Fault(place, "missing", "the file is missing: run the set's command again")
        elif (table := read_frozen(path)) is None:
            yield Fault(place, "unreadable", "it is not a readable Arrow file: run the set's command again")
        elif content_hash(table) != digest:
            yield Fault(place, "sha256", "its rows are not those that were planned: run the set's command again")
