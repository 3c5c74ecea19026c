"""Recipe → plan → execute → finalise → report: the one place that knows all rooms."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from factory.engine.census import census
from factory.engine.crew import Done, Lost, News, Ready
from factory.engine.draft import Prepared
from factory.engine.drive import Drive, Quarantined
from factory.engine.events import Diary, read_events
from factory.engine.made import records_of
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan
from factory.engine.progress import LiveLine, Tally
from factory.engine.survey import Memory
from factory.errors import MachineError, UsageError, count_of, what_failed
from factory.jobs.base import RunSettings
from factory.jobs.prepare import prepare
from factory.jobs.registry import job_of
from factory.review.report import write_report
from factory.review.thumbnails import rejection_thumbnail
from factory.run.folder import check_out, interruptible, raise_if_refused, writable
from factory.run.hire import hire_crew
from factory.run.result import Result, summarise
from factory.run.say import Say, say_on_stderr
from factory.run.settle import settle
from factory.shards.card import SourceLine
from factory.shards.commit import CommitRecord
from factory.shards.finalise import FinishSettings, finalise, is_finished, mark_finished
from factory.shards.layout import Layout


def execute(recipe: RunSettings, say: Say = say_on_stderr) -> Result:
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
        with writable(out), Layout(out).store.lease(Layout(out).lock, run):
            result = carry_out(recipe, prepared, run, say)
    return replace(result, seconds=time.monotonic() - started)


def look_and_plan(recipe: RunSettings, layout: Layout) -> Prepared:
    """Planning, with the disk's faults in one sentence."""
    try:
        return prepare(recipe, Memory(layout.survey))
    except OSError as error:
        raise_if_refused(error, layout.root)
        raise MachineError(
            f"planning the run in {layout.root} failed ({what_failed(error, layout.root)}): mend that, then run the "
            "same command again."
        ) from error


def carry_out(recipe: RunSettings, prepared: Prepared, run: str, say: Say) -> Result:
    """Make what is missing and finish the set, under the folder's lock."""
    job, out, layout = job_of(recipe), recipe.out, Layout(recipe.out)
    shutil.rmtree(layout.scratch, ignore_errors=True)
    try:
        plan = settle(layout, prepared, recipe, run, say)
        job.lay_beside(recipe)
        records = list(records_of(plan, layout))
        with Diary(layout.events, run) as diary:
            software = dict(prepared.plan.software)  # from here on accepted
            diary.write("started", job=plan.job, shards=plan.shards, done=len(records), software=software)
            whole = len(records) == plan.shards
            order = WorkOrder(root=out.resolve(), run=run, plan=plan, build=job.line, thumbnail=rejection_thumbnail)
            quarantined = {} if whole else make(recipe, order, records, diary)
            if not whole:
                records = list(records_of(plan, layout))
            finished_now = finish(layout, plan, records, say, partial(job.hand_over, recipe))
            result = Result(
                out,
                plan.samples,
                quarantined=quarantined,
                did_nothing=whole and not finished_now,
                told=job.tell(recipe),
                **summarise(plan, records, layout),
            )
            diary.write("finished", accepted=result.accepted, quarantined=result.quarantined)
    finally:
        shutil.rmtree(layout.scratch, ignore_errors=True)
    return result


def make(recipe: RunSettings, order: WorkOrder, records: list[CommitRecord], diary: Diary) -> dict[int, str]:
    """Make the shards without a valid record; returns the quarantined ones."""
    plan = order.plan
    tally = Tally(plan.samples)
    for record in records:
        tally.add(record.accepted, record.attempts, record.slots)
    done = {record.shard for record in records}
    missing = [number for number in range(plan.shards) if number not in done]
    suspected = costly_shards(Layout(order.root))
    missing.sort(key=lambda number: number in suspected)  # last, or they might end every run before the others
    line = LiveLine(tally.line, sys.stderr)
    devices = {record.device for record in records}

    def tell(news: News | Quarantined | None) -> None:
        tally.hear(news)
        line.show()
        match news:
            case Ready(_, device):
                if devices and device not in devices and not recipe.accept_software:
                    raise UsageError(
                        f"shards of this set are made on {' and '.join(sorted(devices | {device}))}, so bytes may "
                        "differ: use one kind of device, or --accept-software."
                    )
                devices.add(device)
            case Done(_, record):
                seconds = record.seconds["total"]
                diary.write("shard", shard=record.shard, accepted=record.accepted, seconds=seconds)
            case Lost(worker, fault, node, shard=shard):
                about = {"worker": worker, "node": node, "shard": shard, "reason": fault.reason}
                if fault.trace:
                    diary.write("failure", **about, trace=fault.trace)
                else:
                    diary.write("death", **about)
            case Quarantined(shard, reason, trace):
                diary.write("quarantined", shard=shard, reason=reason, trace=trace)
            case _:
                pass

    line.show()  # at once: Ray and big models take their time before the first news
    crew, workers = hire_crew(recipe, order, len(missing), tell, wants_gpus=job_of(recipe).runs_a_model(recipe))
    drive = Drive(crew, missing, workers, tell)
    try:
        drive.run()
    finally:
        line.end()
    return drive.quarantined


def costly_shards(layout: Layout) -> set[int]:
    """Shards over which workers were lost in the set's runs so far."""
    losses = (event for event in read_events(layout.events) if event.get("event") in ("death", "failure"))
    return {event["shard"] for event in losses if event.get("shard") is not None}


def finish(layout: Layout, plan: Plan, records: list[CommitRecord], say: Say, hand_over: Callable[[], bool]) -> bool:
    """Finalise, hand over and report; False where that was already done for these very records."""
    counts = census(plan, records)
    against = counts if any(count.paper for count in counts) else []
    settings = FinishSettings(
        title=f"{layout.root.resolve().name} ({plan.job})",
        duplicate_distance=max(0, plan.settings.get("gates", {}).get("duplicate_distance", 0)),
        sources=tuple(SourceLine(title=c.title, found=c.found, used=c.used, paper=c.paper) for c in against),
        excluded=plan.settings.get("excluded", {}),
    )
    is_new = not is_finished(layout, records, settings)
    if is_new:
        say(f"finalising {count_of(len(records), 'shard', 'shards')}")
        finalise(layout, records, settings, plan.members, plan.asked_scores)
    handed_over = len(records) == plan.shards and hand_over()
    if is_new or handed_over:
        write_report(layout.root)
    if is_new:
        mark_finished(layout, records, settings)
    return is_new or handed_over
