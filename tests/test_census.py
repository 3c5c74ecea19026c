"""The census counts what became of each source's items, and sets it beside the paper's counts."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from factory.engine.census import SourceCount, census, table
from factory.engine.plan import Plan, Segment
from factory.shards.commit import CommitRecord

KNOWN: Mapping[str, Mapping[str, Any]] = {
    "drawn-0": {"title": "drawn objects"},
    "public-1": {"title": "AM-2k", "found": 12, "excluded": 2, "paper": 1942, "allowed": 0.25},
    "public-2": {"title": "HRSOD", "found": 0, "paper": 1918},
}


def make_plan(known: Mapping[str, Mapping[str, Any]] = KNOWN) -> Plan:
    """Six shards of four: two of an endless source and one to validate it, then three of ten pictures."""
    segments = (
        Segment(source="drawn-0", split="train", slots=8, attempts=5),
        Segment(source="drawn-0", split="validation", slots=2, attempts=5),
        Segment(source="public-1", split="train", slots=10, table="public-1", rows=10),
    )
    return Plan(job="build-green100k", seed=1, shard_size=4, batch_size=2, threads=1, segments=segments, census=known)


def record(plan: Plan, shard: int, attempts: int, accepted: int, **outcomes: Any) -> CommitRecord:
    place = plan.shard(shard)
    return CommitRecord(
        shard=shard,
        split=place.segment.split,
        fingerprint=plan.fingerprint,
        run="test",
        slots=place.slots,
        attempts=attempts,
        accepted=accepted,
        **outcomes,
    )


def all_records(plan: Plan) -> list[CommitRecord]:
    return [
        record(plan, 0, 9, 4, rejected={"cut": 3, "empty": 1}, failed={"nan": 1}),
        record(plan, 1, 11, 3, rejected={"cut": 8}),
        record(plan, 2, 2, 2),
        record(plan, 3, 4, 2, rejected={"near_key": 1}, failed={"undecodable": 1}),
        record(plan, 4, 4, 3, failed={"undecodable": 1}),
        record(plan, 5, 2, 1, rejected={"duplicate": 1}),
    ]


def test_each_source_is_counted_over_its_segments_and_in_the_recipes_order() -> None:
    plan = make_plan()
    drawn, public, absent = census(plan, all_records(plan))
    assert drawn == SourceCount(
        name="drawn-0", title="drawn objects", asked=22, unfilled=1, used=9, rejected=12, failed=0
    )
    assert public == SourceCount(
        name="public-1",
        title="AM-2k",
        found=12,
        excluded=2,
        paper=1942,
        allowed=0.25,
        asked=10,
        used=6,
        rejected=2,
        failed=2,
    )
    assert absent == SourceCount(name="public-2", title="HRSOD", found=0, paper=1918)


def test_bad_data_of_an_endless_source_costs_attempts_not_items() -> None:
    plan = make_plan()
    (drawn, *_) = census(plan, [record(plan, 0, 20, 0, failed={"nan": 20})])
    assert (drawn.failed, drawn.unfilled) == (0, 4)
    assert not drawn.too_many_failed


def test_every_source_is_there_before_the_first_shard_and_without_a_word_from_the_recipe() -> None:
    assert [count.name for count in census(make_plan(), [])] == ["drawn-0", "public-1", "public-2"]
    counts = census(make_plan({}), [])
    assert [(count.name, count.title, count.found, count.used) for count in counts] == [
        ("drawn-0", "drawn-0", -1, 0),
        ("public-1", "public-1", -1, 0),
    ]


@pytest.mark.parametrize(("failed", "allowed", "too_many"), [(0, 0.0, False), (1, 0.0, True), (5, 0.05, False)])
def test_more_failures_than_allowed_are_too_many(failed: int, allowed: float, too_many: bool) -> None:
    assert SourceCount(name="a", title="a", allowed=allowed, asked=100, failed=failed).too_many_failed == too_many
    assert SourceCount(name="a", title="a", allowed=0.05, asked=100, failed=6).too_many_failed


def test_the_recipes_order_outlives_the_plans_file() -> None:
    names = [f"{kind}-{number}" for number, kind in enumerate(("videos", "public", "procedural") * 4)]
    plan = make_plan({name: {"title": name} for name in names})
    written = json.dumps({**plan.to_json(), "segments": []}, sort_keys=True)  # as plan.json is
    assert [count.name for count in census(Plan.from_json(json.loads(written)), [])] == names


def test_the_table_aligns_whatever_is_in_it() -> None:
    plan = make_plan()
    lines = table(census(plan, all_records(plan)))
    assert [line.split() for line in lines] == [
        ["source", "found", "used", "rejected", "failed", "paper"],
        ["drawn", "objects", "–", "9", "12", "0", "–"],
        ["AM-2k", "12", "6", "2", "2", "1,942"],
        ["HRSOD", "0", "0", "0", "0", "1,918"],
        ["all", "12", "15", "14", "2", "3,860"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert all(
        line.startswith(title) for line, title in zip(lines[1:], ("drawn", "AM-2k", "HRSOD", "all"), strict=True)
    )
