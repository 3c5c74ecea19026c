"""What became of each source's items: found, used, turned down, and how that compares with the paper's count."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from factory.engine.plan import Plan
from factory.errors import count_of
from factory.settings import settings
from factory.shards.commit import CommitRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """One source of a run.

    title: for people.  found: items in its folder (−1: it has no end).  excluded: of them kept out of the plan.
    paper: how many the paper used (0: it did not).  allowed: share of the items that may fail.
    unknown_words: of its prompts, those that the model was never taught.
    padding: slots that only fill a shard up.  unusable: slots of items that planning found bad.
    passed_over: suffix → files in its folder that are not read.
    Of the shards made so far: asked, the attempts made; used, samples accepted; rejected, attempts that a gate turned
    down; failed, items with bad data; unfilled, slots of an endless source that no attempt filled.
    """

    name: str
    title: str
    found: int = -1
    excluded: int = 0
    paper: int = 0
    allowed: float = 0.0
    unknown_words: Sequence[str] = ()
    padding: int = 0
    unusable: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    asked: int = 0
    unfilled: int = 0
    used: int = 0
    rejected: int = 0
    failed: int = 0

    @property
    def too_many_failed(self) -> bool:
        """Whether more items had bad data than the recipe allows."""
        return self.failed > self.allowed * self.asked


def census(plan: Plan, records: Sequence[CommitRecord]) -> list[SourceCount]:
    """One count per source of the plan, in its order; sources that the recipe says nothing about have their name.

    Raises UsageError where the plan's census is damaged.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    known = plan.census
    for record in records:
        segment = plan.shard(record.shard).segment
        found = known.get(segment.source, {}).get("found", -1)
        endless = segment.attempts > 1 and found == -1  # there bad data costs an attempt, not an item
        counts[segment.source] += Counter(
            asked=record.attempts,
            unfilled=record.slots - record.accepted if endless else 0,
            used=record.accepted,
            rejected=sum(record.rejected.values()),
            failed=0 if endless else sum(record.failed.values()),
        )
    names = dict.fromkeys([*sorted(known, key=_place), *(segment.source for segment in plan.segments)])
    return [
        settings(SourceCount, {"title": name, **known.get(name, {}), **counts[name], "name": name}) for name in names
    ]


def _place(name: str) -> int:
    """In the recipe: a source's name ends in it, and the plan's file sorts by name."""
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def passed_over(kinds: Mapping[str, int]) -> str:
    """How many files of which kinds are not read, for people."""
    number = sum(kinds.values())
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count:,} {kind}" for kind, count in ordered)
    return f"{count_of(number, 'file', 'files')} passed over: {told}"


def table(counts: Sequence[SourceCount]) -> list[str]:
    """Found, used and the paper's count side by side, one line a source, aligned."""
    rows: list[tuple[str, ...]] = [("source", "found", "used", "rejected", "failed", "paper")]
    for count in counts:
        found = f"{count.found:,}" if count.found >= 0 else "–"
        paper = f"{count.paper:,}" if count.paper else "–"
        rows.append((count.title, found, f"{count.used:,}", f"{count.rejected:,}", f"{count.failed:,}", paper))
    if len(counts) > 1 and any(count.paper for count in counts):
        sums = [sum(max(getattr(count, name), 0) for count in counts) for name in rows[0][1:]]
        rows.append(("all", *(f"{number:,}" for number in sums)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
