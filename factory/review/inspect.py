"""Looking at runs without making anything: plan, status, verify, doctor."""

import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from factory import __version__
from factory.diffusion import model_files
from factory.engine.census import census, table
from factory.engine.draft import Prepared
from factory.engine.events import read_events
from factory.engine.inputs import HOLE, content_hash, read_frozen
from factory.engine.plan import Plan, Segment, differences, read_plan
from factory.engine.software import software
from factory.engine.survey import Memory
from factory.errors import UsageError
from factory.jobs import prepare as planning
from factory.jobs.prompt_planning import EMBEDDED_MODEL
from factory.jobs.recipes import DatasetRecipe
from factory.review.sources import are_told_apart
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.layout import Layout
from factory.shards.verify import Fault, Progress, silent
from factory.shards.verify import verify as verify_shards

BYTES_PER_PIXEL = 2.5  # rgb + fg + alpha as PNG, measured on the embedded model's and on composited sets


def load_plan(data: Path) -> Plan:
    """The plan of a data set folder. Raises UsageError where there is none."""
    path = Layout(data).plan
    if not path.exists():
        raise UsageError(f"{data} is not a data set made by factory: it has no plan.json.")
    return read_plan(path)


def plan_text(recipe: DatasetRecipe) -> str:
    """What a run of this recipe would do now; nothing is written."""
    prepared = planning.prepare(recipe, Memory(Layout(recipe.out).survey, keeps=False))
    plan, layout = prepared.plan, Layout(recipe.out)
    lines = [*prepared.remarks, f"{plan.job} → {recipe.out}"]
    for count in census(plan, []):
        segments = [segment for segment in plan.segments if segment.source == count.name]
        tries = f", up to {segments[0].attempts} attempts each" if segments and segments[0].attempts > 1 else ""
        wanted = " and ".join(f"{_samples(prepared, segment):,} samples for {segment.split}" for segment in segments)
        found = f", of {count.found:,} found" if count.found >= 0 else ""
        paper = f"; the paper took {count.paper:,}" if count.paper else ""
        lines.append(f"  {count.title}: {wanted or 'nothing'}{tries}{found}{paper}")
    samples = sum(_samples(prepared, segment) for segment in plan.segments)
    lines.append(f"  {samples:,} samples in {plan.shards:,} shards of {plan.shard_size}")
    records: list[CommitRecord] = []
    if layout.plan.exists():
        stored = load_plan(recipe.out)
        if stored.fingerprint != plan.fingerprint:
            lines.append(f"  refused: the folder was started with {'; '.join(differences(stored, plan))}")
            return "\n".join(lines)
        records = list(valid_commits(layout, plan.fingerprint))
    lines += _forecast(plan, records)
    lines.append(f"  fingerprint {plan.fingerprint[:16]}")
    return "\n".join(lines)


def _samples(prepared: Prepared, segment: Segment) -> int:
    """How many samples a segment asks for: its slots but those of holes."""
    table = prepared.tables.get(segment.table)
    if table is None or HOLE not in table.column_names:
        return segment.slots
    return segment.slots - int(pc.sum(table[HOLE]).as_py()) * (segment.slots // segment.rows)


def _forecast(plan: Plan, records: list[CommitRecord]) -> list[str]:
    """Bytes and time, extrapolated from the shards that are done where there are some."""
    left = plan.shards - len(records)
    lines = [f"  {len(records):,} shards are done, {left:,} would be made"] if records else []
    accepted = sum(record.accepted for record in records)
    if accepted:
        size = sum(record.tar.bytes for record in records) / accepted
        seconds = sum(record.seconds["total"] for record in records) / len(records)
        lines.append(f"  about {_size(size * plan.slots)} in all, {_size(size)} a sample, as measured so far")
        lines.append(f"  about {seconds * left / 3600:.1f} worker-hours left, {seconds:.0f} s a shard")
        return lines
    if side := _side(plan):
        size = side**2 * BYTES_PER_PIXEL
        lines.append(f"  about {_size(size * plan.slots)} (an estimate: {BYTES_PER_PIXEL} bytes a pixel)")
    lines.append("  time and exact size: known after the first shard; run `factory plan` again then")
    return lines


def _side(plan: Plan) -> int:
    """Pixels of a picture's side; 0 where the input decides."""
    if plan.job != "generate":
        return int(plan.settings.get("size", 0))
    if side := int(plan.settings["sampler"]["size"]):
        return side
    model = Path(plan.places["diffumatting"])
    latent = model_files.read_json(model / "unet" / "config.json")["sample_size"]
    levels = len(model_files.read_json(model / "vae" / "config.json")["block_out_channels"])
    return int(latent) << (levels - 1)  # each level but the first halves the side


def _size(value: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def status_text(data: Path) -> str:
    """How far a run is, read from its folder alone."""
    plan, layout = load_plan(data), Layout(data)
    records = list(valid_commits(layout, plan.fingerprint))
    accepted = sum(record.accepted for record in records)
    attempts = sum(record.attempts for record in records)
    lines = [
        f"{data}: {plan.job}, {len(records):,} of {plan.shards:,} shards, {accepted:,} of {plan.slots:,} samples"
        + (f", {accepted / attempts:.0%} of the attempts accepted" if attempts else "")
    ]
    counts = census(plan, records)
    if are_told_apart(counts):
        lines += [f"  {line}" for line in table(counts)]
    for title, reasons in (("rejected", _total(records, "rejected")), ("failed", _total(records, "failed"))):
        if reasons:
            lines.append(f"  {title}: " + ", ".join(f"{name} {count:,}" for name, count in reasons.most_common()))
    events = list(read_events(layout.events))
    runs = [event for event in events if event["event"] == "started"]
    deaths = sum(event["event"] == "death" for event in events)
    lines.append(f"  {len(runs)} run{'s' if len(runs) != 1 else ''}, {deaths} worker deaths")
    committed = {record.shard for record in records}
    poisoned = {event["shard"]: event["reason"] for event in events if event["event"] == "quarantined"}
    for shard, reason in sorted(poisoned.items()):
        if shard not in committed:
            lines.append(f"  shard {shard} is quarantined ({reason}); a rerun tries it again")
    if len(records) < plan.shards:
        lines.append("  not finished: run its command again to go on")
    elif not layout.finished.exists():
        lines.append("  all shards are made, not finalised: run its command again")
    else:
        lines.append(f"  finished; report: {layout.report / 'index.html'}")
    return "\n".join(lines)


def _total(records: list[CommitRecord], field: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for record in records:
        total.update(getattr(record, field))
    return total


def verify_set(data: Path, workers: int, progress: Progress = silent) -> list[Fault]:
    """All faults of a data set: of what it was to be made from, then of what was made."""
    plan = load_plan(data)
    faults = list(_check_inputs(plan, Layout(data)))
    return faults + verify_shards(
        data, shards=plan.shards, fingerprint=plan.fingerprint, workers=workers, progress=progress
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


def doctor_text() -> str:
    """What this machine offers, and what to do about what is missing."""
    import torch  # noqa: PLC0415  (seconds; only the doctor asks it about GPUs)

    lines = [f"factory {__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    lines += [f"  {name} {version or 'missing: pip install ' + name}" for name, version in software().items()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines.append(f"  {os.cpu_count()} cores, {memory / 2**30:.0f} GiB memory")
    lines.append(f"  {shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB free in {Path.cwd()}")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            lines.append(f"  GPU {number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        lines.append("  no GPU seen by torch: fine for the embedded model; big ones need one")
    try:
        model_files.check(EMBEDDED_MODEL)
        lines.append(f"  embedded model {model_files.fingerprint(EMBEDDED_MODEL)[:16]} is whole")
    except UsageError as error:
        lines.append(f"  embedded model: {error}")
    return "\n".join(lines)
