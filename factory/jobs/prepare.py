"""Recipe → plan: freeze everything the work depends on, before anything is made."""

import json
from collections.abc import Mapping
from typing import Any

from factory.engine.draft import Draft, Prepared
from factory.engine.inputs import content_hash, holes
from factory.engine.plan import Plan
from factory.engine.software import software
from factory.engine.survey import Memory
from factory.errors import UsageError
from factory.jobs.base import RunSettings
from factory.jobs.registry import job_of
from factory.quality.gates import check_asked
from factory.quality.scorers.scorers import ASKED

NAMED_REASONS = 3  # for an empty run
NO_MEMORY = Memory(None)


def prepare(recipe: RunSettings, memory: Memory = NO_MEMORY) -> Prepared:
    """Read and hash all inputs. Writes nothing but what the memory of earlier looks keeps.

    Raises UsageError for whatever is wrong with the inputs.
    """
    job = job_of(recipe)
    draft = job.plan(recipe, memory)
    if not any(segment.slots for segment in draft.segments):
        reasons = [*draft.remarks[:NAMED_REASONS], "…"][: len(draft.remarks)]
        mend = (
            "put files where the recipe says, or correct its paths (`factory recipes copy NAME` copies one that ships)"
        )
        raise UsageError(" ".join([f"there is nothing to make, for every source is empty: {mend}.", *reasons]))
    check_asked(draft.settings.get("gates", {}), draft.settings.get(ASKED, ()))
    shard_size = draft.shard_size or recipe.shard_size
    fullest = min(shard_size, max(segment.slots for segment in draft.segments))
    plan = Plan(
        job=recipe.job,
        seed=recipe.seed,
        shard_size=shard_size,
        batch_size=min(recipe.batch, fullest),  # batches never cross a shard: more would only be padding
        threads=recipe.threads,
        segments=tuple(draft.segments),
        settings=_plain(draft.settings),
        members=draft.members or job.members,
        keep_rejected=draft.keep_rejected,
        census=_plain(_with_lost_slots(draft)),
        inputs={name: content_hash(table) for name, table in draft.tables.items()},
        weights=draft.weights,
        places=draft.places,
        software=dict(software()),
    )
    return Prepared(plan, draft.tables, draft.remarks, draft.unusable)


def _with_lost_slots(draft: Draft) -> dict[str, dict[str, Any]]:
    """The census, with what each source's slots can never give."""
    counts = {name: dict(count) for name, count in draft.census.items()}
    for segment in draft.segments:
        for name, rows in (
            ("padding", holes(draft.tables.get(segment.table))),
            ("unusable", draft.unusable.get(segment.table, 0)),
        ):
            if rows:
                count = counts.setdefault(segment.source, {})
                count[name] = count.get(name, 0) + rows * (segment.slots // segment.rows)
    return counts


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that a fresh plan equals a stored one."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
