"""A larger --n goes on with a set: further shards, and not a byte of the old ones is touched."""

import json
import shutil
from dataclasses import replace
from operator import add
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import LOCAL, Ended, commits, factory_here, hashes, mtimes
from tiny_model import OPEN_GATES, save_tiny_model

from factory.engine.extend import as_begun_at_once, extended
from factory.engine.plan import Plan, Segment, read_plan
from factory.engine.units import duration
from factory.jobs.recipes import read_yaml
from factory.shards.layout import Layout


def command(n: int, out: Path, *more: str, validation: int = 0) -> tuple[str | Path, ...]:
    source = f"sources=[{{type: procedural, n: {n}, validation: {validation}, classes: [heart, star]}}]"
    return ("build-green100k", "--set", source, "--set", "size=32", "--shard-size", "4", *more, *LOCAL, "--out", out)


def plan_of(*slots: int, batch: int = 3) -> Plan:
    """Shards of eight; the first segments are of three sources, later ones extend them in turn."""
    names = ("drawn", "painted", "filmed")
    before = [sum(slots[number % 3 : number : 3]) for number in range(len(slots))]
    segments = tuple(
        Segment(
            source=names[number % 3], split="train", slots=count, attempts=2, table="t", rows=5, first=before[number]
        )
        for number, count in enumerate(slots)
    )
    return Plan(job="test", seed=7, shard_size=8, batch_size=batch, threads=1, segments=segments)


def test_a_set_of_full_shards_is_extended_to_what_it_would_have_been(tmp_path: Path) -> None:
    assert factory_here(*command(8, tmp_path / "grown")).code == 0
    ended = factory_here(*command(12, tmp_path / "grown"))
    assert ended.code == 0, ended.err
    assert "is extended from 8 to 12 samples: 1 new shard; those that it has stay as they are" in ended.err
    assert factory_here(*command(12, tmp_path / "at once")).code == 0
    assert hashes(tmp_path / "grown") == hashes(tmp_path / "at once")


def test_a_short_last_shard_stays_and_the_next_goes_on_after_it(tmp_path: Path) -> None:
    out, layout = tmp_path / "set", Layout(tmp_path / "set")
    assert factory_here(*command(6, out, validation=2)).code == 0
    before = {name: hashed for name, hashed in hashes(out).items() if name.startswith(("data/", "manifest/"))}
    for n, validation, shards in ((11, 2, 5), (11, 3, 6), (30, 3, 11)):
        ended = factory_here(*command(n, out, validation=validation))
        assert ended.code == 0, ended.err
        assert commits(out) == read_plan(layout.plan).shards == shards
        assert before.items() <= hashes(out).items()
    assert read_yaml(layout.recipe)["sources"][0]["n"] == 30
    assert factory_here("verify", out).code == 0
    assert "of 33 samples" in factory_here("status", out).out
    left = mtimes(out)
    assert "nothing to do" in factory_here(*command(30, out, validation=3)).out
    assert mtimes(out) == left
    refused = factory_here(*command(12, out, validation=3))
    assert refused.code == 2
    assert "(it has 33 samples, 15 are asked, and no set is made smaller)" in refused.sentence
    refused = factory_here(*command(40, out, validation=3), "--seed", 3)
    assert refused.code == 2
    assert "was started with other settings (seed: 20261120 → 3): use them" in refused.sentence
    ended = factory_here("filter", out, *LOCAL, "--allow-short", "--out", tmp_path / "filtered")
    assert ended.code == 0, ended.err
    assert commits(tmp_path / "filtered") == 11


def test_a_generated_set_is_extended(tmp_path: Path) -> None:
    model, out, prompts = save_tiny_model(tmp_path / "model"), tmp_path / "set", tmp_path / "prompts.txt"
    prompts.write_text("a red feather\na blue leaf\n")

    def generated(n: int) -> Ended:
        return factory_here(
            *("generate", "--model", model, "--prompts", prompts, "--n", str(n), "--shard-size", "2", "--batch", "1"),
            *("--steps", "2", "--max-attempts", "1", "--allow-short", "--set", OPEN_GATES, *LOCAL, "--out", out),
        )

    assert generated(1).code == 0
    before = {name: hashed for name, hashed in hashes(out).items() if name.startswith("data/")}
    ended = generated(3)
    assert ended.code == 0, ended.err
    assert commits(out) == 2
    assert before.items() <= hashes(out).items()


def test_a_dry_run_says_how_it_would_be_extended(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert factory_here(*command(6, out)).code == 0
    left = mtimes(out)
    said = factory_here(*command(12, out, "--dry-run")).out
    assert "12 samples in 4 shards of 4" in said
    assert f"{out} is extended from 6 samples: 2 new shards" in said
    assert "2 shards are done, 2 would be made" in said
    records = [json.loads(path.read_text()) for path in (out / "commits").iterdir()]
    each = sum(record["seconds"]["total"] for record in records) / len(records)
    assert f"about {duration(2 * each)} of one worker left, {duration(each)} a shard" in said
    assert "left" not in factory_here(*command(6, out, "--dry-run")).out, "nothing is left to do"
    assert mtimes(out) == left


def test_an_extension_that_is_cut_off_is_gone_on_with(tmp_path: Path) -> None:
    out, layout = tmp_path / "set", Layout(tmp_path / "set")
    assert factory_here(*command(6, out)).code == 0
    assert factory_here(*command(20, out)).code == 0
    whole = hashes(out)
    for shard in (1, 3):  # one that was begun with, one of the extension
        layout.commit(shard).unlink()
    ended = factory_here(*command(20, out))
    assert ended.code == 0, ended.err
    assert hashes(out) == whole
    shutil.rmtree(layout.commits)
    assert factory_here(*command(20, out)).code == 0
    assert hashes(out) == whole


@given(st.tuples(*[st.integers(1, 30)] * 3), st.tuples(*[st.integers(0, 30)] * 3))
def test_slots_and_rows_go_on_and_earlier_shards_are_as_they_were(
    begun: tuple[int, ...], more: tuple[int, ...]
) -> None:
    old, wanted = plan_of(*begun, batch=1), plan_of(*map(add, begun, more), batch=1)
    grown = extended(old, wanted)
    assert grown is not None
    assert grown.slots == wanted.slots
    assert as_begun_at_once(grown) == wanted
    assert old.fingerprint in grown.fingerprints
    assert [grown.shard(number) for number in range(old.shards)] == list(old.all_shards())
    for segment in wanted.segments:
        firsts = [(shard.first, shard.slots) for shard in grown.all_shards() if shard.segment.source == segment.source]
        seen = [slot for first, slots in firsts for slot in range(first, first + slots)]
        assert seen == list(range(segment.slots)), "so each slot has the row that it would have had"
    assert extended(grown, wanted) == grown, "the same command again"
    assert Plan.from_json(grown.to_json()) == grown
    if any(more):
        assert extended(grown, old) is None, "a set does not shrink"
        again = extended(grown, replace(wanted, segments=tuple(replace(s, slots=s.slots + 9) for s in wanted.segments)))
        assert again is not None
        assert again.fingerprints > grown.fingerprints


def test_only_slots_may_differ() -> None:
    old = plan_of(6, 6, 6)
    for other in (
        replace(plan_of(9, 9, 9), seed=8),
        replace(plan_of(9, 9, 9), inputs={"t": "other rows"}),
        replace(plan_of(9, 9, 9), segments=plan_of(9, 9, 9).segments[:2]),
        plan_of(9, 9, 9, batch=2),
        plan_of(9, 9, 5),
    ):
        assert extended(old, other) is None


def test_a_batch_that_was_cut_to_a_small_set_stays(tmp_path: Path) -> None:
    begun = plan_of(2, 1, 1, batch=2)  # of 16 asked, as many as the fullest shard has
    grown = extended(begun, plan_of(20, 1, 1, batch=8))
    assert grown is not None
    assert grown.batch_size == 2
    assert extended(grown, plan_of(20, 1, 1, batch=8)) == grown


def test_a_plan_that_was_begun_at_once_has_the_fingerprint_that_it_always_had() -> None:
    plan = plan_of(6, 6, 6)
    assert "first" not in plan.to_json()["segments"][0]
    assert plan.fingerprint == "3f1b9d96a0e2ce13b920558b238892d937e71d22797163904b7c680f35878ccc"
    with pytest.raises(IndexError):
        plan.shard(plan.shards)
