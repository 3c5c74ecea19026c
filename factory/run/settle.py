"""A folder and its plan: written in a new folder, compared with the stored one in a started one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from factory.engine.draft import Prepared
from factory.engine.inputs import changed_rows, content_hash, read_frozen, write_inputs
from factory.engine.plan import Plan, differences, read_plan
from factory.errors import UsageError, some
from factory.jobs.base import RunSettings
from factory.jobs.recipes import to_yaml
from factory.shards.durable import json_bytes
from factory.shards.layout import Layout

NAMED_CHANGES = 3  # changed items that an error names; the rest it counts


def settle(layout: Layout, prepared: Prepared, recipe: RunSettings, run: str) -> Plan:
    """The folder's plan: written now in a new folder, else compared with the stored one.

    Raises UsageError with the differing fields where the folder was started with other ones.
    """
    plan = prepared.plan
    scratch = layout.scratch / run
    if layout.plan.exists():
        stored = read_plan(layout.plan)
        if stored.fingerprint != plan.fingerprint:
            if stored.job != plan.job:
                raise UsageError(f"{layout.root} is a set of job {stored.job!r}, not {plan.job!r}: use a new --out.")
            changes = "; ".join([*changed_inputs(layout, stored, prepared), *differences(stored, plan)])
            raise UsageError(f"{layout.root} was started with other settings ({changes}): use them, or a new --out.")
        now = plan.software
        changed = [f"{name} {old} → {now.get(name)}" for name, old in stored.software.items() if now.get(name) != old]
        if changed and not recipe.accept_software:
            raise UsageError(
                f"{layout.root} was started under other software ({'; '.join(changed)}), so bytes may differ: "
                "use that, or --accept-software."
            )
        freeze_inputs(layout, prepared, scratch)
        if not layout.recipe.exists():
            layout.store.write(layout.recipe, to_yaml(recipe).encode(), scratch)
        if stored.census != plan.census:  # more failures are allowed now, or another count is compared
            stored = replace(stored, census=plan.census)
            layout.store.write(layout.plan, json_bytes(stored.to_json()), scratch)
        return replace(stored, places=plan.places)
    freeze_inputs(layout, prepared, scratch)
    layout.store.write(layout.recipe, to_yaml(recipe).encode(), scratch)
    layout.store.write(layout.plan, json_bytes(plan.to_json()), scratch)
    return plan


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
