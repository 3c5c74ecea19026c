"""Recipe → plan: freeze everything the work depends on, before anything is made."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from factory.engine.draft import Draft, Prepared, changed
from factory.engine.inputs import content_hash
from factory.engine.plan import Plan, Segment
from factory.engine.software import software
from factory.engine.survey import Memory, Surveyor
from factory.errors import UsageError
from factory.jobs.input_set import NO_KEYS, InputSet, duplicates, read_set
from factory.jobs.prompt_planning import plan_prompts
from factory.jobs.recipes import BuildRecipe, CaptionsRecipe, DatasetRecipe, FilterRecipe, GenerateRecipe, RefineRecipe
from factory.jobs.source_planning import plan_sources
from factory.quality.gates import GateSettings
from factory.quality.scores import ScoreSettings
from factory.shards.marking import MarkingSettings
from factory.sources.captioning import corrections as captions

NAMED_REASONS = 3  # for an empty run
SAMPLES = "samples"  # tables of an input set, one a segment
NO_MEMORY = Memory(None)


def prepare(recipe: DatasetRecipe, memory: Memory = NO_MEMORY) -> Prepared:
    """Read and hash all inputs. Writes nothing but what the memory of earlier looks keeps.

    Raises UsageError for whatever is wrong with the inputs.
    """
    draft = Draft()
    match recipe:
        case GenerateRecipe():
            plan_prompts(recipe, draft)
        case BuildRecipe():
            plan_sources(recipe, Surveyor(recipe.executor, recipe.workers, memory), draft)
        case RefineRecipe():
            given = read_set(recipe.data)
            _input_set(recipe.data, given, draft)
            draft.settings |= {
                "greenpost": asdict(recipe.greenpost),
                "scores": asdict(ScoreSettings()),
                "gates": _gates(given, recipe.gates),
                "marking": _marking(given, recipe.marking),
            }
        case FilterRecipe():
            given = read_set(recipe.data, duplicates(recipe.data) if recipe.drop_duplicates else NO_KEYS)
            _input_set(recipe.data, given, draft)
            # no scores: those recorded are judged
            draft.settings |= {"gates": _gates(given, recipe.gates), "marking": _marking(given, recipe.marking)}
        case CaptionsRecipe():
            given = read_set(recipe.data)
            _input_set(recipe.data, given, draft)
            corrections = captions.read_corrections(recipe.data, recipe.table)
            if not corrections:
                raise UsageError(f"{recipe.table} changes no caption of {recipe.data}: there is nothing to make.")
            draft.tables |= {
                name: captions.with_captions(table, corrections)
                for name, table in draft.tables.items()
                if name.startswith(SAMPLES)
            }
            draft.settings |= {"gates": _gates(given, {}), "marking": _marking(given, recipe.marking)}
    if not any(segment.slots for segment in draft.segments):
        reasons = [*draft.remarks[:NAMED_REASONS], "…"][: len(draft.remarks)]
        raise UsageError(" ".join(["there is nothing to make: every source is empty.", *reasons]))
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
        inputs={name: content_hash(table) for name, table in draft.tables.items()},
        weights=draft.weights,
        places=draft.places,
        software=dict(software()),
    )
    return Prepared(plan, draft.tables, draft.remarks)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that a fresh plan equals a stored one."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def _input_set(data: Path, given: InputSet, draft: Draft) -> None:
    """Shard k maps to shard k and keys are kept: one table row per slot, holes where the set has none."""
    draft.shard_size = given.plan.shard_size
    draft.settings["input"] = {"fingerprint": given.plan.fingerprint}
    draft.places["input"] = str(data.resolve())
    draft.remarks += given.remarks
    draft.tables["tars"] = given.tars
    for number, (old, table) in enumerate(zip(given.plan.segments, given.samples, strict=True)):
        name = f"{SAMPLES}-{number}"
        draft.tables[name] = table
        draft.segments.append(Segment(source="dataset", split=old.split, slots=old.slots, table=name, rows=old.slots))


def _gates(given: InputSet, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The set's own gates and what the recipe changes of them."""
    own = TypeAdapter(GateSettings).validate_python(given.plan.settings.get("gates", {}))
    return asdict(changed("gates", own, changes))


def _marking(given: InputSet, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The set's own marking and what the recipe changes of it."""
    own = TypeAdapter(MarkingSettings).validate_python(given.plan.settings.get("marking", {}))
    return asdict(changed("marking", own, changes))
