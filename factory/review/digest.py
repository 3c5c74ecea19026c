"""A run in figures: exact counts from the commit records, distributions from the manifest's few columns."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.diffusion.vocabulary import screen_prompt
from factory.engine.census import SourceCount, census
from factory.engine.events import quarantined, read_events
from factory.engine.made import records_of
from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS
from factory.quality.gate import Side
from factory.quality.gates import limits_by_score
from factory.shards.commit import CommitRecord
from factory.shards.keys import SHARD_DIGITS, shard_of
from factory.shards.layout import Layout
from factory.shards.manifest import SCORES, manifest_rows, rows_in

Group: TypeAlias = tuple[str, str]
"""A source, and a gate or a kind of error."""

COLUMNS = ("key", "status", "class", "kind", *SCORES)
OF_ADAPTERS = ("attempt", "reason")  # read as well where adapters were laid over the model
PROMPT = "prompt"  # read as well where samples have each their own screen, for it names it
SHARDS_LOOKED_INTO = 1024  # of a set whose manifest stays in parts
NOT_A_STAGE = "total"  # the shard's wall time, beside the seconds of its stages


@dataclass(frozen=True)
class Digest:
    """What a report tells. table: columns of all attempts, or of a sample of shards (`whole` says which)."""

    plan: Plan
    records: Sequence[CommitRecord]  # in shard order
    quarantined: Mapping[int, str]  # shard → why
    table: pa.Table
    whole: bool

    @cached_property
    def accepted(self) -> int:
        return sum(record.accepted for record in self.records)

    @cached_property
    def attempts(self) -> int:
        return sum(record.attempts for record in self.records)

    @cached_property
    def missing(self) -> int:
        """Samples that were asked for, and that neither are there nor were turned down for good by a gate."""
        for_good = {segment.source for segment in self.plan.segments if segment.attempts == 1}
        turned_down = sum(count.rejected for count in self.counts if count.name in for_good)
        return self.plan.samples - self.accepted - turned_down

    @cached_property
    def rejected(self) -> Counter[Group]:
        """Attempts that were turned down, by source and reason."""
        return count_groups(self.plan, self.records, "rejected")

    @cached_property
    def kept(self) -> int:
        """Rejected attempts that are stored."""
        return sum(record.kept for record in self.records)

    @cached_property
    def failed(self) -> Counter[Group]:
        """Attempts that had bad data, by source and kind of error."""
        return count_groups(self.plan, self.records, "failed")

    @cached_property
    def counts(self) -> list[SourceCount]:
        """What became of each source's items."""
        return census(self.plan, self.records)

    @cached_property
    def source_of_row(self) -> NDArray[np.int64]:
        """Which of `counts` each row of the table comes from."""
        places = {count.name: place for place, count in enumerate(self.counts)}
        shards = [-(-segment.slots // self.plan.shard_size) for segment in self.plan.segments]
        of_shard = np.repeat([places[segment.source] for segment in self.plan.segments], shards)
        numbers = pc.utf8_slice_codeunits(self.table["key"], 0, SHARD_DIGITS).cast(pa.int64()).to_numpy()
        return np.asarray(of_shard[numbers], np.int64)

    def source_of_shard(self, shard: int) -> str:
        """The name of the source that a shard's samples come from."""
        return self.plan.shard(shard).segment.source

    @cached_property
    def limits(self) -> dict[str, list[tuple[Side, float]]]:
        """The gates' limits that these kinds of samples are judged by."""
        found = limits_by_score(
            self.plan.settings.get("gates", {}), set(pc.unique(self.table["kind"]).to_pylist()) - {""}
        )
        if "gsg_screen" in found and not (self.table["gsg_screen"].to_numpy() >= 0).any():
            found["gsg"] = found.pop("gsg_screen")  # before there was that score, the whole picture's was judged
        return found

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

    @cached_property
    def by_screen(self) -> dict[str, tuple[int, int]]:
        """Screen → (accepted, rejected) in the table. {} where the run did not choose among screens."""
        if PROMPT not in self.table.column_names:
            return {}
        on = {key: pc.starts_with(self.table[PROMPT], pattern=screen_prompt("", key)).to_numpy() for key in KEY_COLOURS}
        accepted, rejected = self.having("accepted"), self.having("rejected")
        counts = {key: (int((rows & accepted).sum()), int((rows & rejected).sum())) for key, rows in on.items()}
        return {key: count for key, count in counts.items() if any(count)}

    def values(self, score: str, status: str) -> NDArray[np.float32]:
        """A score of all attempts of one status that have it."""
        numbers: NDArray[np.float32] = self.table[score].to_numpy()
        return numbers[(numbers >= 0) & self.having(status)]

    def having(self, status: str) -> NDArray[np.bool_]:
        """Which rows of the table have a status."""
        return np.asarray(pc.equal(self.table["status"], status).to_numpy(), np.bool_)


def read_digest(layout: Layout) -> Digest:
    """Raises UsageError where the folder holds no run, or its plan or manifest is damaged."""
    plan = read_plan(layout.plan)
    records = list(records_of(plan, layout))
    columns = (
        *COLUMNS,
        *((PROMPT,) if "routing" in plan.settings else ()),
        *(OF_ADAPTERS if "loras" in plan.settings else ()),
    )
    table, whole = _read_table(layout, records, plan.seed, columns)
    last = pc.max(table["key"]).as_py()
    if last is not None and shard_of(last) >= plan.shards:
        raise UsageError(f"{layout.root} has rows of shards that its plan has not: `factory verify` names them.")
    return Digest(plan, records, _quarantined(layout, records), table, whole)


def _read_table(
    layout: Layout, records: Sequence[CommitRecord], seed: int, columns: Sequence[str]
) -> tuple[pa.Table, bool]:
    attempts = sum(record.attempts for record in records)
    if layout.manifest.exists() and rows_in(layout.manifest) == attempts:  # else of an earlier state
        return manifest_rows([layout.manifest], columns, dictionaries=("status", "class", "kind")), True
    rng = np.random.default_rng(seed)
    size = min(len(records), SHARDS_LOOKED_INTO)
    chosen = sorted(rng.choice(len(records), size, replace=False)) if records else []
    parts = [layout.part(records[index].shard) for index in chosen]
    empty = pa.schema([(name, pa.float32() if name in SCORES else pa.string()) for name in columns]).empty_table()
    return (manifest_rows(parts, columns) if parts else empty), size == len(records)


def _quarantined(layout: Layout, records: Sequence[CommitRecord]) -> dict[int, str]:
    """Shards that were given up and that no later run has made, with the reason."""
    made = {record.shard for record in records}
    given_up = quarantined(read_events(layout.events))
    return {shard: reason for shard, reason in given_up.items() if shard not in made}


def count_groups(plan: Plan, records: Sequence[CommitRecord], what: Literal["rejected", "failed"]) -> Counter[Group]:
    """How often each gate, or each kind of error, was met in each source."""
    total: Counter[Group] = Counter()
    for record in records:
        if counts := record.rejected if what == "rejected" else record.failed:
            source = plan.shard(record.shard).segment.source
            total.update({(source, reason): count for reason, count in counts.items()})
    return total
