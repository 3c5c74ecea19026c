"""A fault of ours in one sample must not block a set: its shard is put aside with the traceback, the rest is made."""

from dataclasses import replace
from pathlib import Path

import pytest
from program import BUILD, LOCAL, commits, factory_here, hashes
from report_page import read_page

from factory.engine.events import read_events
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.jobs.registry import JOBS
from factory.sample import Sample
from factory.shards.keys import shard_of
from factory.shards.layout import Layout

JOB = "build-green100k"
REASON = "ValueError: cannot reshape, 2 times (the traceback is in events.jsonl)"


def test_a_shard_that_raises_is_named_and_the_rest_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert factory_here(*BUILD, *LOCAL, "--out", tmp_path / "reference").code == 0
    sound, faulty, root = JOBS[JOB], [3], tmp_path / "set"

    def line(plan: Plan, folder: Path) -> Line:
        def trip(sample: Sample) -> Sample:
            if shard_of(sample.request.key) in faulty:
                raise ValueError("cannot reshape")
            return sample

        made = sound.line(plan, folder)
        return replace(made, stages={"trip": trip, **made.stages})

    monkeypatch.setitem(JOBS, JOB, replace(sound, line=line))
    ended = factory_here(*BUILD, *LOCAL, "--out", root)
    assert ended.code == 1
    assert f"shard 3 is quarantined: {REASON}." in ended.out
    assert commits(root) == 9
    (quarantined,) = [event for event in read_events(Layout(root).events) if event["event"] == "quarantined"]
    assert "in trip" in quarantined["trace"]
    assert quarantined["trace"].endswith("ValueError: cannot reshape\n")
    assert f"shard 3: {REASON}" in read_page(Layout(root).report / "index.html").words()
    status = factory_here("status", root).out
    assert f"shard 3 is quarantined ({REASON}); a rerun tries it again" in status
    assert "1 run, 0 worker deaths, 2 worker failures" in status

    faulty.clear()
    Layout(root).commit(5).unlink()
    assert factory_here(*BUILD, *LOCAL, "--out", root).code == 0
    made = [event["shard"] for event in read_events(Layout(root).events) if event["event"] == "shard"]
    assert made[-2:] == [5, 3], "what has cost workers comes last"
    assert hashes(root) == hashes(tmp_path / "reference")
    assert "quarantined" not in factory_here("status", root).out
