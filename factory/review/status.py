"""How far a run is, read from its folder alone."""

from pathlib import Path

from factory.engine.census import census, table
from factory.engine.events import quarantined, read_events
from factory.engine.made import records_of
from factory.engine.plan import read_plan
from factory.errors import count_of
from factory.review.sources import are_told_apart
from factory.shards.commit import total_of
from factory.shards.layout import Layout


def status_text(data: Path) -> str:
    """How far a run is, read from its folder alone."""
    layout = Layout(data)
    plan = read_plan(layout.plan)
    records = list(records_of(plan, layout))
    accepted = sum(record.accepted for record in records)
    attempts = sum(record.attempts for record in records)
    shards, samples = count_of(plan.shards, "shard", "shards"), count_of(plan.samples, "sample", "samples")
    lines = [
        f"{data}: {plan.job}, {len(records):,} of {shards}, {accepted:,} of {samples}"
        + (f", {accepted / attempts:.0%} of the attempts accepted" if attempts else "")
    ]
    counts = census(plan, records)
    if are_told_apart(counts):
        lines += [f"  {line}" for line in table(counts)]
    for title, reasons in (("rejected", total_of(records, "rejected")), ("failed", total_of(records, "failed"))):
        if reasons:
            lines.append(f"  {title}: " + ", ".join(f"{name} {count:,}" for name, count in reasons.most_common()))
    if kept := sum(record.kept for record in records):
        lines.append(f"  {count_of(kept, 'rejected attempt is', 'rejected attempts are')} kept for `factory filter`")
    events = list(read_events(layout.events))
    runs = [event for event in events if event.get("event") == "started"]
    deaths = sum(event.get("event") == "death" for event in events)
    failures = sum(event.get("event") == "failure" for event in events)
    lines.append(
        f"  {count_of(len(runs), 'run', 'runs')}, {count_of(deaths, 'worker death', 'worker deaths')}"
        + (f", {count_of(failures, 'worker failure', 'worker failures')}" if failures else "")
    )
    committed = {record.shard for record in records}
    for shard, reason in quarantined(events).items():
        if shard not in committed:
            lines.append(f"  shard {shard} is quarantined ({reason}); a rerun tries it again")
    if len(records) < plan.shards:
        lines.append("  not finished: run its command again to go on")
    elif not layout.finished.exists():
        lines.append("  all shards are made, not finalised: run its command again")
    else:
        lines.append(f"  finished; report: {layout.report / 'index.html'}")
    return "\n".join(lines)
