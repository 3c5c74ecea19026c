"""All faults of a data set: of what it was to be made from, then of what was made."""

from collections.abc import Iterator
from pathlib import Path

from factory.engine.inputs import content_hash, read_frozen
from factory.engine.plan import Plan, read_plan
from factory.shards.counting import Counting, silent
from factory.shards.layout import Layout
from factory.shards.verify import verify as verify_shards
from factory.shards.verify_shard import Fault


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
