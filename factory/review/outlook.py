"""What a run of a recipe would do now: shards, bytes, time, what a resume would still make. Nothing is written."""

from pathlib import Path

from factory.diffusion.model_files import own_size
from factory.engine.census import census
from factory.engine.draft import Prepared
from factory.engine.extend import extended, reasons_not_to_extend
from factory.engine.inputs import holes
from factory.engine.made import records_of
from factory.engine.plan import Plan, Segment, read_plan
from factory.engine.survey import Memory
from factory.engine.units import duration, size
from factory.errors import count_of
from factory.jobs.base import RunSettings
from factory.jobs.prepare import prepare
from factory.shards.commit import CommitRecord
from factory.shards.layout import Layout

BYTES_PER_PIXEL = 2.5  # rgb + fg + alpha as PNG, measured on the embedded model's and on composited sets


def plan_text(recipe: RunSettings) -> str:
    """What a run of this recipe would do now; nothing is written."""
    prepared = prepare(recipe, Memory(Layout(recipe.out).survey, keeps=False))
    plan, layout = prepared.plan, Layout(recipe.out)
    lines = [*prepared.remarks, f"{plan.job} → {recipe.out}"]
    for count in census(plan, []):
        segments = [segment for segment in plan.segments if segment.source == count.name]
        tries = f", up to {segments[0].attempts} attempts each" if segments and segments[0].attempts > 1 else ""
        wanted = " and ".join(
            f"{count_of(_samples(prepared, segment), 'sample', 'samples')} for {segment.split}" for segment in segments
        )
        found = f", of {count.found:,} found" if count.found >= 0 else ""
        paper = f"; the paper took {count.paper:,}" if count.paper else ""
        lines.append(f"  {count.title}: {wanted or 'nothing'}{tries}{found}{paper}")
    samples = sum(_samples(prepared, segment) for segment in plan.segments)
    stored = read_plan(layout.plan) if layout.plan.exists() else plan
    made = stored if stored.fingerprint == plan.fingerprint else extended(stored, plan)
    if made is None:
        changes = "; ".join(reasons_not_to_extend(stored, plan))
        return "\n".join([*lines, f"  refused: the folder was started with other settings ({changes})"])
    shards = count_of(made.shards, "shard", "shards")
    lines.append(f"  {count_of(samples, 'sample', 'samples')} in {shards} of {made.shard_size}")
    if made.slots > stored.slots:
        more = count_of(made.shards - stored.shards, "new shard", "new shards")
        lines.append(f"  {recipe.out} is extended from {stored.slots:,} samples: {more}")
    records = list(records_of(made, layout))
    lines += _forecast(made, records)
    lines.append(f"  fingerprint {made.fingerprint[:16]}")
    return "\n".join(lines)


def _samples(prepared: Prepared, segment: Segment) -> int:
    """How many samples a segment can have: its slots but those of holes and of items that are known to be bad."""
    lost = holes(prepared.tables.get(segment.table)) + prepared.unusable.get(segment.table, 0)
    return segment.slots - lost * (segment.slots // segment.rows if lost else 0)


def _forecast(plan: Plan, records: list[CommitRecord]) -> list[str]:
    """Bytes and time, extrapolated from the shards that are done where there are some."""
    left = plan.shards - len(records)
    done = count_of(len(records), "shard is", "shards are")
    lines = [f"  {done} done, {left:,} would be made"] if records else []
    accepted = sum(record.accepted for record in records)
    if accepted:
        bytes_each = sum(record.tar.bytes for record in records) / accepted
        seconds = sum(record.seconds["total"] for record in records) / len(records)
        lines.append(
            f"  about {size(bytes_each * plan.samples)} in all, {size(bytes_each)} a sample, as measured so far"
        )
        if left:
            lines.append(f"  about {duration(seconds * left)} of one worker left, {duration(seconds)} a shard")
        return lines
    if side := _side(plan):
        bytes_each = side**2 * BYTES_PER_PIXEL
        lines.append(f"  about {size(bytes_each * plan.samples)} (an estimate: {BYTES_PER_PIXEL} bytes a pixel)")
    lines.append("  time and exact size: known after the first shard; run `factory plan` again then")
    return lines


def _side(plan: Plan) -> int:
    """Pixels of a picture's side; 0 where the input decides."""
    if "sampler" not in plan.settings:
        return int(plan.settings.get("size", 0))
    if side := int(plan.settings["sampler"]["size"]):
        return side
    if "diffumatting" not in plan.places:  # a pipeline's own size stands in none of its files
        return 0
    return own_size(Path(plan.places["diffumatting"]))
