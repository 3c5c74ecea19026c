"""The sources of a run beside each other: names for people, sums, and how near the paper they come."""

from collections import Counter
from collections.abc import Sequence

from factory.engine.census import SourceCount


def are_told_apart(counts: Sequence[SourceCount]) -> bool:
    """Whether a table of the sources tells more than the run's own figures do."""
    return len(counts) > 1 or any(count.paper for count in counts)


def labels(counts: Sequence[SourceCount]) -> dict[str, str]:
    """Source → its title; with its name where titles are the same, and "" for the only source."""
    if len(counts) == 1:
        return {counts[0].name: ""}
    titles = Counter(count.title for count in counts)
    return {
        count.name: count.title if titles[count.title] == 1 else f"{count.title} ({count.name})" for count in counts
    }


def total(counts: Sequence[SourceCount]) -> SourceCount:
    """All sources together; `found` counts those that have an end. What may fail is a matter of each source."""
    return SourceCount(
        name="total",
        title="all sources",
        found=sum(count.found for count in counts if count.found >= 0),
        excluded=sum(count.excluded for count in counts),
        paper=sum(count.paper for count in counts),
        allowed=1.0,
        asked=sum(count.asked for count in counts),
        used=sum(count.used for count in counts),
        rejected=sum(count.rejected for count in counts),
        failed=sum(count.failed for count in counts),
    )


def of_the_papers(counts: Sequence[SourceCount]) -> int:
    """Samples from sources that the paper used."""
    return sum(count.used for count in counts if count.paper)
