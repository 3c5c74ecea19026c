"""What a run turned down or could not read, gathered for people: by gate, and by source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.review.cards import Card
from factory.review.digest import Group


@dataclass(frozen=True, slots=True)
class Refused:
    """Attempts that one gate turned down. by_source: label → how many ({} for the only source)."""

    reason: str
    count: int
    by_source: Mapping[str, int]
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class FailedItems:
    """Items of one source with bad data. kinds: kind of error → how many, and the manifest rows of the first ones."""

    label: str
    count: int
    kinds: Mapping[str, tuple[int, Sequence[Mapping[str, Any]]]]


def refusals(met: Counter[Group], cards: Mapping[Group, Sequence[Card]], names: Mapping[str, str]) -> list[Refused]:
    """By gate, the most frequent first; inside, by source in the recipe's order. met: how often each group was."""
    reasons: Counter[str] = Counter()
    for (_, reason), count in met.items():
        reasons[reason] += count
    return [
        Refused(
            reason,
            count,
            {label: met[name, reason] for name, label in names.items() if label and met[name, reason]},
            [card for name in names for card in cards.get((name, reason), [])],
        )
        for reason, count in reasons.most_common()
    ]


def failures(
    met: Counter[Group], rows: Mapping[Group, Sequence[Mapping[str, Any]]], names: Mapping[str, str]
) -> list[FailedItems]:
    """By source in the recipe's order; inside, by kind of error, the most frequent first."""
    found = []
    for name, label in names.items():
        kinds = Counter({kind: count for (source, kind), count in met.items() if source == name})
        if kinds:
            told = {kind: (count, rows.get((name, kind), [])) for kind, count in kinds.most_common()}
            found.append(FailedItems(label, kinds.total(), told))
    return found
