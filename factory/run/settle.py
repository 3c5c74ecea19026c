"""A folder and its plan: written in a new folder, in a started one compared with the stored plan or extending it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from factory.diffusion.row_pictures import changed_pictures
from factory.engine.draft import Prepared
from factory.engine.events import read_events
from factory.engine.extend import extended, reasons_not_to_extend
from factory.engine.inputs import changed_rows, content_hash, read_frozen, write_inputs
from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError, count_of, some
from factory.jobs.base import RunSettings
from factory.jobs.recipes import from_anywhere, to_yaml
from factory.run.say import Say, say_on_stderr
from factory.shards.durable import json_bytes
from factory.shards.layout import Layout

NAMED_CHANGES = 3  # changed items that an error names; the rest it counts


def settle(layout: Layout, prepared: Prepared, recipe: RunSettings, run: str, say: Say = say_on_stderr) -> Plan:
    """The folder's plan: written now in a new folder, else compared with the stored one, which may be extended.

    Raises UsageError with the differing fields where the folder was started with other ones.
    """
    plan = prepared.plan
    scratch = layout.scratch / run
    if not layout.plan.exists():
        freeze_inputs(layout, prepared, scratch)
        layout.store.write(layout.recipe, to_yaml(from_anywhere(recipe)).encode(), scratch)
        layout.store.write(layout.plan, json_bytes(plan.to_json()), scratch)
        return plan
    stored = read_plan(layout.plan)
    grown = stored if stored.fingerprint == plan.fingerprint else extended(stored, plan)
    if grown is None:
        if stored.job != plan.job:
            raise UsageError(f"{layout.root} is a set of job {stored.job!r}, not {plan.job!r}: use a new --out.")
        if changed := changed_files(layout, stored, prepared):
            told = f"{some(changed, NAMED_CHANGES)} changed since {layout.root} was begun"
            raise UsageError(f"{told}: restore {'it' if len(changed) == 1 else 'them'}, or use a new --out.")
        changes = [*changed_inputs(layout, stored, prepared), *reasons_not_to_extend(stored, plan)]
        raise UsageError(
            f"{layout.root} was started with other settings ({'; '.join(changes)}): use them, or a new --out."
        )
    if not recipe.accept_software:
        check_software(layout, stored.software, plan.software)
    freeze_inputs(layout, prepared, scratch)
    if grown.slots > stored.slots:
        say(
            f"{layout.root} is extended from {stored.slots:,} to {grown.slots:,} samples: "
            f"{count_of(grown.shards - stored.shards, 'new shard', 'new shards')}; those that it has stay as they are."
        )
    if grown.slots > stored.slots or not layout.recipe.exists():
        layout.store.write(layout.recipe, to_yaml(from_anywhere(recipe)).encode(), scratch)
    kept = replace(grown, census=plan.census)  # more failures may be allowed now, or another count be compared
    if kept != stored:
        layout.store.write(layout.plan, json_bytes(kept.to_json()), scratch)
    return replace(kept, places=plan.places)


def check_software(layout: Layout, begun: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises UsageError under versions of libraries that no run of the set was started or accepted under."""
    changed = [f"{name} {old} → {now.get(name)}" for name, old in begun.items() if now.get(name) != old]
    accepted = [event.get("software") for event in read_events(layout.events) if event.get("event") == "started"]
    if changed and dict(now) not in accepted:
        raise UsageError(
            f"{layout.root} was started under other software ({'; '.join(changed)}), so bytes may differ: "
            "use that, or --accept-software."
        )


def changed_files(layout: Layout, stored: Plan, prepared: Prepared) -> list[str]:
    """Weights and pictures of prompts that lie in the same places with other content; [] where more has changed."""
    plan, told = prepared.plan, list[str]()
    weights, inputs = dict(plan.weights), dict(plan.inputs)
    for name in weights.keys() & stored.weights.keys():
        files = {Path(one.places[name]).name for one in (stored, plan) if name in one.places}
        if weights[name] != stored.weights[name] and name in plan.places and len(files) == 1:
            told.append(plan.places[name])
            weights[name] = stored.weights[name]
    for name, rows in prepared.tables.items():
        old = read_frozen(layout.inputs / f"{name}.arrow")
        if old is not None and (pictures := changed_pictures(old.to_pylist(), rows.to_pylist())):
            told += pictures
            inputs[name] = stored.inputs[name]
    as_begun = replace(plan, weights=weights, inputs=inputs)
    same = stored.fingerprint == as_begun.fingerprint or extended(stored, as_begun) is not None
    return sorted(set(told)) if same else []


def changed_inputs(layout: Layout, stored: Plan, prepared: Prepared) -> Iterator[str]:
    """Names what differs in an input table that both plans have, as "changed in NAME: …"."""
    for name, rows in prepared.tables.items():
        old = read_frozen(layout.inputs / f"{name}.arrow")
        if old is not None and name in stored.inputs and stored.inputs[name] != prepared.plan.inputs[name]:
            changed = sorted(set(changed_rows(old, rows)))
            yield f"changed in {name}: {some(changed, NAMED_CHANGES)}"


def freeze_inputs(layout: Layout, prepared: Prepared, scratch: Path) -> None:
    """Write the input tables that are not there yet, or no longer as they were."""
    scratch.mkdir(parents=True, exist_ok=True)
    for name, rows in prepared.tables.items():
        path = layout.inputs / f"{name}.arrow"
        frozen = read_frozen(path)
        if frozen is None or content_hash(frozen) != prepared.plan.inputs[name]:
            write_inputs(rows, scratch / path.name)
            layout.store.publish(scratch / path.name, path)
