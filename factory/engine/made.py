"""The shards that a data set has so far, finished or not."""

from pathlib import Path

from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.layout import Layout


def made_shards(data: Path) -> tuple[Plan, list[CommitRecord]]:
    """The set's plan and the records of its shards. Raises UsageError where it is no set, or none is made yet."""
    layout = Layout(data)
    plan = read_plan(layout.plan)
    records = list(valid_commits(layout, plan.fingerprints))
    if not records:
        raise UsageError(f"{data} has no finished shard yet: run its command first.")
    return plan, records
