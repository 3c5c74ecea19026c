"""How a run ended: counts, the last lines for people, the exit code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from factory.engine.census import SourceCount, census, table
from factory.engine.plan import Plan
from factory.errors import NAMED, count_of, quoted, some
from factory.shards.commit import CommitRecord, total_of
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_rows

NAMED_SHARDS = 10  # quarantined ones
NAMED_FAILURES = 10  # items with bad data that a failed run names of each source


@dataclass(frozen=True)
class Result:
    """How a run ended, for the last lines and the exit code."""

    out: Path
    asked: int
    accepted: int
    missing: int  # slots of endless sources that no attempt filled
    counts: list[SourceCount]
    failing: list[str]  # "item: why" of the first items of sources of which too many have bad data
    quarantined: dict[int, str]
    did_nothing: bool
    why: Sequence[str] = ()  # attempts came to nothing: the leading reasons, with counts
    told: Sequence[str] = ()  # what the job itself has to say
    seconds: float = 0.0

    def text(self) -> str:
        """The last lines of a run, for people."""
        lines = []
        if self.did_nothing:
            lines.append(f"{self.out} is finished already: nothing to do.")
        lines.append(f"{count_of(self.accepted, 'sample', 'samples')} in {self.out / 'data'}")
        lines += self.told
        if self.missing:
            missing = f"{self.missing:,} of {self.asked:,} {'is' if self.missing == 1 else 'are'} missing"
            lines.append(f"{missing}; --allow-short accepts that, and the report shows more.")
        if any(count.paper for count in self.counts):
            lines += table(self.counts)
        if failed := sum(count.failed for count in self.counts):
            lines.append(
                f"{count_of(failed, 'item', 'items')} had bad data: the manifest and the report say which and why."
            )
        for count in self.counts:
            if count.too_many_failed:
                raise_it = ", or raise `allowed_failures` in the recipe" if count.found >= 0 else ""
                lines.append(
                    f"{count.title}: {count.failed:,} of {count.asked:,} items failed, more than the allowed "
                    f"{count.allowed:.1%}: mend the files{raise_it}."
                )
        lines += [f"  {item}" for item in self.failing]
        if self.is_empty:
            lines.append("no sample was accepted: the report shows more.")
        if self.missing or self.is_empty:
            lines += self.why
        for shard, reason in islice(self.quarantined.items(), NAMED_SHARDS):
            lines.append(f"shard {shard} is quarantined: {reason}.")
        if (more := len(self.quarantined) - NAMED_SHARDS) > 0:
            lines.append(f"{more:,} more shards are quarantined: `factory status {quoted(self.out)}` names them.")
        lines.append(f"report: {self.out / 'report' / 'index.html'}")
        return "\n".join(lines)

    @property
    def is_empty(self) -> bool:
        """Whether items were tried and none was accepted."""
        return not self.accepted and any(count.rejected for count in self.counts)

    def exit_code(self, allow_short: bool) -> int:
        """0 whole, 1 something is missing."""
        short = (self.missing or self.is_empty) and not allow_short
        return 1 if self.quarantined or short or any(count.too_many_failed for count in self.counts) else 0


def summarise(plan: Plan, records: list[CommitRecord], layout: Layout) -> dict[str, Any]:
    """Counts over all committed shards."""
    counts = census(plan, records)
    failing = {count.name: count.title for count in counts if count.too_many_failed}
    accepted, missing = (sum(getattr(count, name) for count in counts) for name in ("used", "unfilled"))
    return {
        "accepted": accepted,
        "missing": missing,
        "why": list(_reasons(records, layout)) if missing or not accepted else [],
        "counts": counts,
        "failing": [
            item
            for name, title in failing.items()
            for item in islice(_failures(plan, records, layout, name, title), NAMED_FAILURES)
        ],
    }


def _reasons(records: list[CommitRecord], layout: Layout) -> Iterator[str]:
    """What attempts failed of, each kind with what was wrong with the first item, and which gates turned them down."""
    for kind, count in total_of(records, "failed").most_common(NAMED):
        first = next(record.shard for record in records if kind in record.failed)
        rows = (pc.field("status") == "failed") & (pc.field("reason") == kind)
        detail = manifest_rows([layout.part(first)], ["detail"], rows)["detail"][0]
        yield f"  failed: {kind} {count:,} — {detail}"
    if gates := total_of(records, "rejected").most_common():
        yield f"  turned down: {some([f'{gate} {count:,}' for gate, count in gates])}"


def _failures(plan: Plan, records: list[CommitRecord], layout: Layout, name: str, title: str) -> Iterator[str]:
    """The items with bad data of this source, in the order of the plan, with the reason."""
    for record in records:
        if record.failed and plan.shard(record.shard).segment.source == name:
            columns = ["key", "status", "item", "detail"]
            failed = manifest_rows([layout.part(record.shard)], columns, pc.field("status") == "failed").to_pylist()
            yield from (f"{title}: {row['item']}: {row['detail']}" for row in failed)
