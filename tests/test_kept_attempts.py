"""Rejected attempts that a set keeps: how they lie on disk, and how `filter` takes them back under looser gates."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import yaml
from small_set import build as small_build
from small_set import small_plan
from tiny_model import OPEN_GATES, save_tiny_model

from factory.engine.plan import read_plan
from factory.engine.worker import ShardWorker
from factory.errors import UsageError
from factory.jobs.registry import parse
from factory.review.status import status_text
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.run.result import Result
from factory.sample import Rejection, Sample
from factory.shards.commit import valid_commits
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.shards.lookup import attempts, read_row
from factory.shards.manifest import read_manifest
from factory.shards.reader import read_members

STRICT = {"coverage_max": 0.35, "duplicate_distance": 80}
LOOSE = {"coverage_max": 0.4}
BUILT = {
    "job": "build-green100k",
    "size": 32,
    "sources": [{"type": "procedural", "n": 24, "classes": ["heart", "star"]}],
    "shard_size": 8,
    "seed": 3,
    "max_attempts": 1,
}


def made(out: Path, **fields: Any) -> Result:
    """Run a recipe in this process; the set is whole afterwards."""
    recipe = parse({"executor": "local", "workers": 1, "batch": 3, "out": str(out), **fields})
    result = execute(recipe, lambda sentence: None)
    assert verify_set(out, 1) == []
    return result


def rows(root: Path, status: str) -> list[dict[str, Any]]:
    """Of the manifest, in the order of key and attempt."""
    found: list[dict[str, Any]] = read_manifest(Layout(root), rows=pc.field("status") == status).to_pylist()
    return found


def names(root: Path, status: str) -> list[tuple[str, int]]:
    return [(row["key"], row["attempt"]) for row in rows(root, status)]


def bytes_of(root: Path, folder: str) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((root / folder).iterdir())}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards under strict gates, one attempt a slot. Read it only."""
    root = tmp_path_factory.mktemp("kept") / "set"
    made(root, **BUILT, gates=STRICT, keep_rejected=True)
    reasons = {row["reason"] for row in rows(root, "rejected")}
    assert reasons == {"too_full", "duplicate"}
    return root


def test_it_differs_from_a_set_that_keeps_none_in_nothing_else(kept: Path, tmp_path: Path) -> None:
    made(tmp_path / "set", **BUILT, gates=STRICT)
    assert bytes_of(tmp_path / "set", "data") == bytes_of(kept, "data")
    assert not [name for name in bytes_of(tmp_path / "set", "rejected") if name.startswith("attempts")]
    for name in ("000000.tar", "000001.tar", "000002.tar"):
        assert bytes_of(tmp_path / "set", "rejected")[name] == bytes_of(kept, "rejected")[name]
    plain, more = (json.loads((root / "commits" / "000000.json").read_text()) for root in (tmp_path / "set", kept))
    assert more.keys() - plain.keys() == {"kept", "attempts_tar"}
    assert "keep_rejected" not in json.loads(Layout(tmp_path / "set").plan.read_text())


def test_each_rejected_attempt_lies_in_a_tar_and_is_one_range_read_away(kept: Path) -> None:
    found = rows(kept, "rejected")
    stored = [
        name
        for record in valid_commits(Layout(kept), read_plan(Layout(kept).plan).fingerprints)
        for name, _ in read_members(Layout(kept).attempts_tar(record.shard))
    ]
    assert stored == [f"{row['key']}-{row['attempt']}" for row in found]
    for row in found:
        sample = read_row(kept, row)
        assert (sample.meta["key"], sample.meta["attempt"]) == (row["key"], row["attempt"])
        assert abs(float(np.mean(sample.alpha)) / 255 - row["coverage"]) < 1e-3
        assert hashlib.sha256(sample.rgb.tobytes()).hexdigest() == row["rgb_sha256"]
        assert attempts(kept, row["key"])[-1] == {key: value for key, value in row.items() if key != "duplicate_of"}


def test_they_are_counted(kept: Path) -> None:
    count = len(rows(kept, "rejected"))
    assert f"{count} rejected attempts are kept for `factory filter`" in status_text(kept)
    assert f"({count} kept)" in (kept / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", ["flip", "lose", "surplus", "swap"])
def test_verify_checks_them(kept: Path, tmp_path: Path, damage: str) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "set"))
    tar = Layout(copy).attempts_tar(1)
    if damage == "flip":
        content = bytearray(tar.read_bytes())
        content[600] ^= 1
        tar.write_bytes(content)
    elif damage == "lose":
        tar.unlink()
    elif damage == "surplus":
        shutil.copyfile(tar, tar.with_name("attempts-000077.tar"))
    else:
        other = Layout(copy).attempts_tar(0)
        shutil.copyfile(other, tar)
        layout = Layout(copy)
        records = [json.loads(layout.commit(shard).read_text()) for shard in (0, 1)]
        records[1]["attempts_tar"] = records[0]["attempts_tar"] | {"name": tar.name}
        layout.commit(1).write_text(json.dumps(records[1]))
    kinds = {fault.kind for fault in verify_set(copy, 1)}
    assert kinds >= {"flip": {"sha256"}, "lose": {"missing"}, "surplus": {"extra"}, "swap": {"key", "rows"}}[damage]


def test_a_lost_tar_of_attempts_is_made_again(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "set"))
    Layout(copy).attempts_tar(1).unlink()
    made(copy, **BUILT, gates=STRICT, keep_rejected=True)
    assert bytes_of(copy, "rejected") == bytes_of(kept, "rejected")


def test_a_looser_filter_gives_what_looser_gates_had_accepted_from_the_start(kept: Path, tmp_path: Path) -> None:
    made(tmp_path / "loose", **BUILT, gates=STRICT | LOOSE)
    result = made(tmp_path / "filtered", job="filter", data=str(kept), gates=LOOSE)
    assert names(tmp_path / "filtered", "accepted") == names(tmp_path / "loose", "accepted")
    assert names(tmp_path / "filtered", "rejected") == names(tmp_path / "loose", "rejected")
    assert bytes_of(tmp_path / "filtered", "data") == bytes_of(tmp_path / "loose", "data")
    back = set(names(tmp_path / "filtered", "accepted")) - set(names(kept, "accepted"))
    assert len(back) > 1
    assert f"{len(back)} of them are attempts that {kept} had rejected." in result.text()
    assert {row["reason"] for row in rows(tmp_path / "filtered", "rejected")} == {"too_full", "duplicate"}


def test_the_same_gates_give_the_same_set(kept: Path, tmp_path: Path) -> None:
    result = made(tmp_path / "filtered", job="filter", data=str(kept))
    assert bytes_of(tmp_path / "filtered", "data") == bytes_of(kept, "data")
    assert f"0 of them are attempts that {kept} had rejected." in result.text()


def test_without_the_flag_nothing_comes_back(kept: Path, tmp_path: Path) -> None:
    made(tmp_path / "set", **BUILT, gates=STRICT)
    result = made(tmp_path / "filtered", job="filter", data=str(tmp_path / "set"), gates=LOOSE)
    assert names(tmp_path / "filtered", "accepted") == names(kept, "accepted")
    assert "had rejected" not in result.text()


def test_the_accepted_sample_stays_and_else_attempts_come_in_their_order(tmp_path: Path) -> None:
    several = BUILT | {"max_attempts": 4}
    gates = STRICT | {"coverage_max": 0.25}
    made(tmp_path / "set", **several, gates=gates, keep_rejected=True)
    made(
        tmp_path / "filtered",
        job="filter",
        data=str(tmp_path / "set"),
        gates={"coverage_max": 0.5, "duplicate_distance": -1},
    )
    before, after = dict(names(tmp_path / "set", "accepted")), dict(names(tmp_path / "filtered", "accepted"))
    assert any(before.values()), "some slots were not filled at once"
    assert before.items() <= after.items()
    tried = rows(tmp_path / "set", "rejected")
    for key in after.keys() - before.keys():
        assert after[key] == min(row["attempt"] for row in tried if row["key"] == key and row["coverage"] <= 0.5)
    assert len(after) > len(before)
    made(
        tmp_path / "other", job="filter", data=str(tmp_path / "set"), gates={"coverage_max": 1.0, "coverage_min": 0.26}
    )
    others = rows(tmp_path / "other", "accepted")
    assert {row["key"] for row in others} & before.keys(), "another attempt takes the place of a sample that fails"
    assert all(row["coverage"] > 0.25 for row in others)
    order = [(row["key"], row["attempt"]) for row in read_manifest(Layout(tmp_path / "other")).to_pylist()]
    assert order == sorted(order)


def test_painted_attempts_come_back_without_the_model(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red feather\n")
    model = save_tiny_model(tmp_path / "model")
    painted = {
        "job": "generate",
        "model": str(model),
        "prompts": str(tmp_path / "prompts.txt"),
        "n": 6,
        "max_attempts": 1,
        "shard_size": 4,
        "sampler": {"steps": 1},
    }
    gates = yaml.safe_load(OPEN_GATES.removeprefix("gates="))
    made(tmp_path / "open", **painted, gates=gates)
    limit = float(np.median([row["coverage"] for row in rows(tmp_path / "open", "accepted")]))
    made(tmp_path / "strict", **painted, gates=gates | {"coverage_max": limit}, keep_rejected=True)
    shutil.rmtree(model)
    assert 0 < len(rows(tmp_path / "strict", "accepted")) < 6
    made(tmp_path / "filtered", job="filter", data=str(tmp_path / "strict"), gates={"coverage_max": 1.0})
    assert bytes_of(tmp_path / "filtered", "data") == bytes_of(tmp_path / "open", "data")


def test_duplicates_of_other_shards_are_dropped_with_all_their_attempts(kept: Path, tmp_path: Path) -> None:
    twice = {row["key"] for row in rows(kept, "accepted") if row["duplicate_of"]}
    assert twice
    made(tmp_path / "filtered", job="filter", data=str(kept), gates=LOOSE, drop_duplicates=True)
    assert not twice & {row["key"] for row in read_manifest(Layout(tmp_path / "filtered")).to_pylist()}


def test_an_attempt_that_was_turned_down_half_made_is_counted_and_not_kept(tmp_path: Path) -> None:
    """By a stage before there is a matte, say."""

    def turned_down(sample: Sample) -> Rejection:
        return Rejection(sample=replace(sample, alpha=None), reason="early", detail="there is no matte yet")

    plan = replace(small_plan(), keep_rejected=True)
    line = replace(small_build(plan, tmp_path), stages={"early": turned_down})
    worker = ShardWorker(tmp_path, "test", plan, line, thumbnail=lambda rejection: b"png")
    with hold(Layout(tmp_path).lock, "test"):
        record = worker.run(0, lambda progress: None)
    worker.close()
    assert (record.kept, record.attempts_tar.name) == (0, "")
    assert record.rejected["early"] > 0
    assert "kept" not in json.loads(Layout(tmp_path).commit(0).read_text())


@pytest.mark.parametrize("left", [("data", "manifest.parquet"), ("data", "manifest.parquet", "plan.json")])
def test_a_set_handed_on_without_its_records_gives_back_none(kept: Path, tmp_path: Path, left: tuple[str, ...]) -> None:
    given = tmp_path / "given"
    shutil.copytree(kept, given, ignore=lambda folder, names: set(names) - set(left) if folder == str(kept) else ())
    result = made(tmp_path / "filtered", job="filter", data=str(given), gates=STRICT | LOOSE)
    assert names(tmp_path / "filtered", "accepted") == names(kept, "accepted")
    assert "had rejected" not in result.text()


def test_a_set_is_begun_with_the_flag_or_without(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "set"))
    with pytest.raises(UsageError, match=r"was started with other settings .*keep_rejected: true → .none."):
        made(copy, **BUILT, gates=STRICT)
