"""A run in figures: exact counts from the commit records, distributions from the manifest's few columns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from factory.engine.events import read_events
from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.layout import Layout
from factory.shards.manifest import SCORES

COLUMNS = ("key", "status", "class", *SCORES)
SHARDS_LOOKED_INTO = 1024  # of a set whose manifest stays in parts
NOT_A_STAGE = "total"  # the shard's wall time, beside the seconds of its stages


@dataclass(frozen=True)
class Digest:
    """What a report tells. table: COLUMNS of all attempts, or of a sample of shards (`whole` says which)."""

    plan: Plan
    records: Sequence[CommitRecord]  # in shard order
    quarantined: Mapping[int, str]  # shard → how its last worker died
    table: pa.Table
    whole: bool

    @cached_property
    def accepted(self) -> int:
        return sum(record.accepted for record in self.records)

    @cached_property
    def attempts(self) -> int:
        return sum(record.attempts for record in self.records)

    @cached_property
    def rejected(self) -> dict[str, int]:
        """By reason, the most frequent first."""
        return dict(sum((Counter(record.rejected) for record in self.records), Counter[str]()).most_common())

    @cached_property
    def failed(self) -> dict[str, int]:
        """By kind of error, the most frequent first."""
        return dict(sum((Counter(record.failed) for record in self.records), Counter[str]()).most_common())

    @cached_property
    def bytes(self) -> int:
        return sum(record.tar.bytes for record in self.records)

    @cached_property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds by stage, over all workers, the longest first."""
        seconds: Counter[str] = Counter()
        for record in self.records:
            seconds.update(record.seconds)
        del seconds[NOT_A_STAGE]
        return dict(seconds.most_common())

    @cached_property
    def wall_seconds(self) -> float:
        """From the first shard's start to the last one's end, summed over the runs that made the set (no pauses)."""
        spans: dict[str, tuple[float, float]] = {}
        for record in self.records:
            began = record.finished_at - record.seconds.get(NOT_A_STAGE, 0.0)
            first, last = spans.get(record.run, (began, record.finished_at))
            spans[record.run] = (min(first, began), max(last, record.finished_at))
        return sum(last - first for first, last in spans.values())

    @cached_property
    def by_class(self) -> dict[str, tuple[int, int]]:
        """Class → (accepted, rejected) in the table, the most frequent first. {} where no sample has a class."""
        groups = self.table.group_by(["class", "status"]).aggregate([([], "count_all")]).to_pylist()
        counts: dict[str, Counter[str]] = {}
        for group in groups:
            if group["class"]:
                counts.setdefault(group["class"], Counter())[group["status"]] += group["count_all"]
        ordered = sorted(counts.items(), key=lambda item: (-item[1]["accepted"], item[0]))
        return {name: (count["accepted"], count["rejected"]) for name, count in ordered}

    def values(self, score: str, status: str) -> NDArray[np.float32]:
        """A score of all attempts of one status that have it."""
        numbers: NDArray[np.float32] = self.table[score].to_numpy()
        return numbers[(numbers >= 0) & self.having(status)]

    def having(self, status: str) -> NDArray[np.bool_]:
        """Which rows of the table have a status."""
        return np.asarray(pc.equal(self.table["status"], status).to_numpy(), np.bool_)


def read_digest(layout: Layout) -> Digest:
    """Raises UsageError where the folder holds no run."""
    try:
        plan = read_plan(layout.plan)
    except FileNotFoundError as error:
        raise UsageError(f"{layout.root} holds no plan.json: give a folder that a factory run wrote.") from error
    records = list(valid_commits(layout, plan.fingerprint))
    table, whole = _read_table(layout, records, plan.seed)
    return Digest(plan, records, _quarantined(layout, records), table, whole)


def _read_table(layout: Layout, records: Sequence[CommitRecord], seed: int) -> tuple[pa.Table, bool]:
    attempts = sum(record.attempts for record in records)
    if layout.manifest.exists() and pq.read_metadata(layout.manifest).num_rows == attempts:  # else of an earlier state
        table = pq.read_table(layout.manifest, columns=list(COLUMNS), read_dictionary=["status", "class"])
        return table.unify_dictionaries(), True
    rng = np.random.default_rng(seed)
    size = min(len(records), SHARDS_LOOKED_INTO)
    chosen = sorted(rng.choice(len(records), size, replace=False)) if records else []
    tables = [pq.read_table(layout.part(records[index].shard), columns=list(COLUMNS)) for index in chosen]
    empty = pa.schema([(name, pa.float32() if name in SCORES else pa.string()) for name in COLUMNS]).empty_table()
    return pa.concat_tables([empty, *tables]), size == len(records)


def _quarantined(layout: Layout, records: Sequence[CommitRecord]) -> dict[int, str]:
    """Shards that killed their workers and that no later run has made."""
    made = {record.shard for record in records}
    events = (event for event in read_events(layout.events) if event.get("event") == "quarantined")
    found = {int(event["shard"]): str(event.get("reason", "")) for event in events if "shard" in event}
    return {shard: reason for shard, reason in sorted(found.items()) if shard not in made}


def gate_limits(settings: Mapping[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Score → its gates' limits as ("min" or "max", value), from the plan's settings.

    A gate's field is the score's name, or its end, and the side: `gsg_max`, `spread_max` for `screen_spread`.
    """
    limits: dict[str, list[tuple[str, float]]] = {}
    for name, value in settings.get("gates", {}).items():
        stem, _, side = name.rpartition("_")
        for score in SCORES:
            if side in ("min", "max") and (score == stem or score.endswith(f"_{stem}")):
                limits.setdefault(score, []).append((side, float(value)))
    return limits
