"""Recipe → plan → execute → finalise → report: the one place that knows all rooms."""

import errno
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from factory.engine.census import census
from factory.engine.crew import Crew, Died, Done, News, Ready
from factory.engine.draft import Prepared
from factory.engine.drive import Drive
from factory.engine.events import Diary
from factory.engine.inputs import changed_rows, content_hash, read_frozen, write_inputs
from factory.engine.local import InProcessCrew, Job, ProcessCrew
from factory.engine.lock import hold
from factory.engine.plan import Plan, differences, read_plan
from factory.engine.progress import LiveLine, Tally
from factory.engine.survey import Memory
from factory.engine.worker import what_failed
from factory.errors import Interrupted, MachineError, UsageError
from factory.jobs import prepare as planning
from factory.jobs.lines import build
from factory.jobs.recipes import CaptionsRecipe, DatasetRecipe, FilterRecipe, RefineRecipe, to_yaml
from factory.review.report import write_report
from factory.run.result import Result, summarise
from factory.shards.card import SourceLine
from factory.shards.commit import CommitRecord, publish, valid_commits, write_durably, write_json
from factory.shards.finalise import FinishSettings, finalise, is_finished, mark_finished
from factory.shards.layout import Layout
from factory.sources.captioning import corrections as captions

OURS = {"plan.json", "inputs", ".lock", ".tmp", ".survey", "recipe.yaml", "events.jsonl"}  # of a killed planning
NAMED_CHANGES = 3  # changed items that an error names; the rest it counts
REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}  # of a wrong --out
Say = Callable[[str], None]


def say_on_stderr(sentence: str) -> None:
    with suppress(OSError):  # whoever read it is gone; the run goes on
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def execute(recipe: DatasetRecipe, say: Say = say_on_stderr) -> Result:
    """Make the data set that a recipe describes, or what is still missing of it.

    Raises FactoryError for whatever the user can mend; what was committed before stays.
    """
    started = time.monotonic()
    run = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    with interruptible():
        out = check_out(recipe.out)
        prepared = look_and_plan(recipe, Layout(out))
        for remark in prepared.remarks:
            say(remark)
        with writable(out), hold(Layout(out).lock, run):
            result = carry_out(recipe, prepared, run, say)
    return replace(result, seconds=time.monotonic() - started)


def look_and_plan(recipe: DatasetRecipe, layout: Layout) -> Prepared:
    """Planning, with the disk's faults in one sentence."""
    try:
        return planning.prepare(recipe, Memory(layout.survey))
    except OSError as error:
        _refused(error, layout.root)
        raise MachineError(
            f"planning the run in {layout.root} failed ({what_failed(error, layout.root)}): mend that, then run the "
            "same command again."
        ) from error


def carry_out(recipe: DatasetRecipe, prepared: Prepared, run: str, say: Say) -> Result:
    """Make what is missing and finish the set, under the folder's lock."""
    out, layout = recipe.out, Layout(recipe.out)
    shutil.rmtree(layout.scratch, ignore_errors=True)
    try:
        plan = settle(layout, prepared, recipe, run)
        if isinstance(recipe, RefineRecipe | FilterRecipe | CaptionsRecipe):
            hand_on_changes(recipe)
        records = list(valid_commits(layout, plan.fingerprint))
        with Diary(layout.events, run) as diary:
            diary.write("started", job=plan.job, shards=plan.shards, done=len(records), software=dict(plan.software))
            whole = len(records) == plan.shards
            quarantined = make(recipe, plan, Job(root=out.resolve(), run=run, plan=plan, build=build), records, diary)
            if not whole:
                records = list(valid_commits(layout, plan.fingerprint))
            finished_now = finish(layout, plan, records, say)
            result = Result(
                out,
                plan.slots,
                quarantined=quarantined,
                did_nothing=whole and not finished_now,
                **summarise(plan, records, layout),
            )
            diary.write("finished", accepted=result.accepted, quarantined=result.quarantined)
    finally:
        shutil.rmtree(layout.scratch, ignore_errors=True)
    return result


def hand_on_changes(recipe: RefineRecipe | FilterRecipe | CaptionsRecipe) -> None:
    """Who changed which caption, and when, stays with a set through all sets that are made of it."""
    if (recipe.out / captions.CHANGES).exists():
        return
    corrections, by = [], ""
    if isinstance(recipe, CaptionsRecipe):
        corrections, by = captions.read_corrections(recipe.data, recipe.table), recipe.by
    if corrections or captions.read_changes(recipe.data).num_rows:
        captions.write_changes(recipe.data, recipe.out, corrections, by, datetime.now(UTC))


def check_out(out: Path, marker: str = "plan.json") -> Path:
    """A POSIX folder that is new, empty or a run of ours: one that holds the file `marker`."""
    if address := re.fullmatch(r"(\w{2,}):/+(.+)", str(out)):  # a Path has lost the second slash
        raise UsageError(
            f"--out {address[1]}://{address[2]} is a bucket: write to a local or shared folder, then copy the finished "
            "set, for example with `aws s3 sync OUT s3://BUCKET/SET`."
        )
    try:
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out} is a file: give a folder.")
        if out.is_dir() and not (out / marker).exists() and {path.name for path in out.iterdir()} - OURS:
            raise UsageError(f"--out {out} holds other files and no {marker}: give a new or empty folder.")
    except PermissionError as error:
        raise UsageError(f"--out {out} cannot be read ({error.strerror}): choose a folder you own.") from error
    return out


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Make the folder; turn the disk's refusals into one sentence."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        _refused(error, out)
        raise MachineError(
            f"the run in {out} failed ({what_failed(error, out)}): mend that, then run the same command again."
        ) from error


def _refused(error: OSError, out: Path) -> None:
    """Raises UsageError where the error says that --out is no folder to write to."""
    if error.errno in REFUSALS and _concerns(error, out.absolute()):
        raise UsageError(f"--out {out} cannot be written ({error.strerror}): choose a folder you own.") from error


def _concerns(error: OSError, out: Path) -> bool:
    """Whether the error is about the output folder, or one it lies in, and not about some input."""
    if not isinstance(error.filename, str):
        return True
    path = Path(error.filename).absolute()
    return path.is_relative_to(out) or out.is_relative_to(path)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: in-flight shards are given up, what is committed stays."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted: what is committed stays; run the same command again to go on.") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def settle(layout: Layout, prepared: Prepared, recipe: DatasetRecipe, run: str) -> Plan:
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
        if stored.settings != plan.settings:  # in the census: more failures are allowed now, or another count compared
            stored = replace(stored, settings=plan.settings)
            write_json(layout.plan, stored.to_json(), scratch)
        return replace(stored, places=plan.places)
    freeze_inputs(layout, prepared, scratch)
    write_durably(layout.recipe, to_yaml(recipe).encode(), scratch)
    write_json(layout.plan, plan.to_json(), scratch)
    return plan


def changed_inputs(layout: Layout, stored: Plan, prepared: Prepared) -> Iterator[str]:
    """Names what differs in an input table that both plans have, as "changed in NAME: …"."""
    for name, rows in prepared.tables.items():
        old = read_frozen(layout.inputs / f"{name}.arrow")
        if old is not None and name in stored.inputs and stored.inputs[name] != prepared.plan.inputs[name]:
            changed = sorted(set(changed_rows(old, rows)))
            more = f" and {len(changed) - NAMED_CHANGES} more" if len(changed) > NAMED_CHANGES else ""
            yield f"changed in {name}: {', '.join(changed[:NAMED_CHANGES])}{more}"


def freeze_inputs(layout: Layout, prepared: Prepared, scratch: Path) -> None:
    """Write the input tables that are not there yet, or no longer as they were."""
    scratch.mkdir(parents=True, exist_ok=True)
    for name, rows in prepared.tables.items():
        path = layout.inputs / f"{name}.arrow"
        frozen = read_frozen(path)
        if frozen is None or content_hash(frozen) != prepared.plan.inputs[name]:
            write_inputs(rows, scratch / path.name)
            publish(scratch / path.name, path)


def make(recipe: DatasetRecipe, plan: Plan, job: Job, records: list[CommitRecord], diary: Diary) -> dict[int, str]:
    """Make the shards without a valid record; returns the quarantined ones."""
    tally = Tally(plan.slots)
    for record in records:
        tally.add(record.accepted, record.attempts, record.slots)
    done = {record.shard for record in records}
    missing = [number for number in range(plan.shards) if number not in done]
    if not missing:
        return {}
    line = LiveLine(tally.line, sys.stderr)
    devices = {record.device for record in records}

    def tell(news: News | None) -> None:
        tally.hear(news)
        line.show()
        match news:
            case Ready(_, device):
                devices.add(device)
                if len(devices) > 1 and not recipe.accept_software:
                    raise UsageError(
                        f"shards of this set are made on {' and '.join(sorted(devices))}, so bytes may differ: "
                        "use one kind of device, or --accept-software."
                    )
            case Done(_, record):
                seconds = record.seconds["total"]
                diary.write("shard", shard=record.shard, accepted=record.accepted, seconds=seconds)
            case Died(worker, reason):
                diary.write("death", worker=worker, reason=reason)
            case _:
                pass

    line.show()  # at once: Ray and big models take their time before the first news
    crew, workers = hire_crew(recipe, job, len(missing), tell)
    drive = Drive(crew, missing, workers, tell)
    try:
        drive.run()
    finally:
        line.end()
    for shard, reason in drive.quarantined.items():
        diary.write("quarantined", shard=shard, reason=reason)
    return drive.quarantined


def hire_crew(recipe: DatasetRecipe, job: Job, shards: int, tell: Callable[[News], None]) -> tuple[Crew, int]:
    """The executor that the recipe names, and how many workers it shall have."""
    cores = max(1, (os.cpu_count() or 1) // recipe.threads)
    if recipe.executor == "local":
        if recipe.gpus > 0:
            raise UsageError(f"--gpus {recipe.gpus} needs --executor ray: the local executor takes what torch finds.")
        workers = min(recipe.workers or 1, shards)
        job = replace(job, finishing_threads=max(1, cores // workers))
        return (InProcessCrew(job, tell) if workers == 1 else ProcessCrew(job)), workers
    from factory.engine import on_ray  # noqa: PLC0415  (0.8 s; the local executor does without)

    on_ray.connect(max(0, recipe.gpus), recipe.wait_for_gpus)
    cpus, found = on_ray.resources()
    gpus = (found if recipe.gpus < 0 else recipe.gpus) if _wants_gpus(recipe) else 0
    workers = min(recipe.workers or gpus or max(1, cpus // recipe.threads), shards)
    job = replace(job, finishing_threads=max(1, cpus // recipe.threads // workers))
    return on_ray.RayCrew(job, workers, min(1.0, gpus / workers)), workers


def _wants_gpus(recipe: DatasetRecipe) -> bool:
    """Whether a model is at work: the sampler, or a captioner."""
    return recipe.job == "generate" or (recipe.job == "build-green100k" and bool(recipe.captioner.model))


def finish(layout: Layout, plan: Plan, records: list[CommitRecord], say: Say) -> bool:
    """Finalise and report; False where that was already done for these very records."""
    counts = census(plan, records)
    against = counts if any(count.paper for count in counts) else []
    settings = FinishSettings(
        title=f"{layout.root.resolve().name} ({plan.job})",
        duplicate_distance=max(0, plan.settings["gates"]["duplicate_distance"]),
        sources=tuple(SourceLine(title=c.title, found=c.found, used=c.used, paper=c.paper) for c in against),
        excluded=plan.settings.get("excluded", {}),
    )
    if is_finished(layout, records, settings):
        return False
    say(f"finalising {len(records):,} shards")
    finalise(layout, records, settings)
    write_report(layout.root)
    mark_finished(layout, records, settings)
    return True
