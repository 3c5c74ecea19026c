"""What people made with earlier code goes on being read, checked, turned into new sets, and continued.

`old_sets/README.md` says how the two sets were made.
"""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from program import factory_here, mtimes

from factory.engine.plan import Plan, read_plan
from factory.engine.software import software
from factory.errors import UsageError
from factory.jobs.base import RunSettings
from factory.jobs.prepare import prepare
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.quality.scores import completed
from factory.sample import Request
from factory.shards.commit import valid_commits
from factory.shards.layout import Layout
from factory.shards.reader import Stored, read_samples
from factory.sources.stored import as_sample

OLD_SETS = Path(__file__).parent / "old_sets"
KEYS = {
    "generated": {"train": ["0000000000", "0000000001", "0000010000"]},
    "built": {
        "train": ["0000000000", "0000000001", "0000010000", "0000010001"],
        "validation": ["0000020000", "0000020001"],
    },
}
HERE = ("--executor", "local", "--workers", "1")
both = pytest.mark.parametrize("name", KEYS)


@pytest.fixture
def old(name: str, tmp_path: Path) -> Path:
    """A copy of one of the sets."""
    return Path(shutil.copytree(OLD_SETS / name, tmp_path / name))


def samples(root: Path, name: str) -> dict[str, Stored]:
    """All splits of a set, in key order."""
    return {stored.key: stored for split in KEYS[name] for stored in read_samples(root, split)}


def keys(name: str) -> list[str]:
    return [key for split in KEYS[name].values() for key in split]


def planned_again(root: Path) -> Plan:
    """The plan that today's code makes of the recipe in a set's folder."""
    recipe = parse(read_yaml(root / "recipe.yaml"))
    assert isinstance(recipe, RunSettings)
    return prepare(recipe).plan


def gsg_of(stored: Stored) -> float:
    """The score that these sets lack."""
    request = Request(key=stored.key, slot=0, attempt=0, seed=0)
    return completed(as_sample(stored, request)).scores.gsg_screen


def assert_whole(root: Path) -> None:
    ended = factory_here("verify", root)
    assert (ended.code, ended.out) == (0, f"{root} is whole.\n")


# --- looking ------------------------------------------------------------------------------------------------------


@both
def test_its_records_are_those_of_its_plan(old: Path, name: str) -> None:
    plan = read_plan(Layout(old).plan)
    assert len(list(valid_commits(Layout(old), plan.fingerprints))) == plan.shards
    assert [member.name for member in plan.members] == ["rgb", "alpha", "fg"]
    assert "census" not in plan.settings
    assert plan.census == ({"procedural-0": {"title": "drawn objects"}} if name == "built" else {})


@both
def test_it_is_whole_and_a_damaged_one_is_not(old: Path, name: str) -> None:
    assert_whole(old)
    tar = old / "data" / "train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[3000] ^= 1
    tar.write_bytes(data)
    assert factory_here("verify", old).code == 1


@both
def test_status_and_report_tell_what_it_holds(old: Path, name: str) -> None:
    told = factory_here("status", old).out
    count = len(keys(name))
    assert f"{count} of {count} samples" in told
    assert "finished; report:" in told
    assert ("rejected: gsg 2" in told) == (name == "generated")
    assert factory_here("report", old).code == 0
    page = (old / "report" / "index.html").read_text(encoding="utf-8")
    assert all(key in page for key in keys(name))


@both
def test_every_sample_is_shown_with_the_attempts_before_it(old: Path, name: str) -> None:
    for key in keys(name):
        ended = factory_here("show", old, key)
        assert ended.code == 0, ended.err
        assert (old / "report" / f"{key}.png").exists()
    if name == "generated":
        assert "attempt 1            rejected: gsg (" in factory_here("show", old, "0000010000").out


@both
@pytest.mark.parametrize("form", ["folder", "rgba"])
def test_its_pictures_are_exported(old: Path, name: str, form: str, tmp_path: Path) -> None:
    stored = samples(old, name)
    for split, expected in KEYS[name].items():
        ended = factory_here("export", old, "--to", form, "--split", split, "--out", tmp_path / split)
        assert ended.code == 0, ended.err
        for key in expected:
            place = tmp_path / split / (f"alpha/{key}.png" if form == "folder" else f"{key}.png")
            picture = cv2.imread(str(place), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(picture if form == "folder" else picture[..., 3], stored[key].alpha)


@both
def test_it_has_no_error_against_itself(old: Path, name: str, tmp_path: Path) -> None:
    ended = factory_here("evaluate", old, old, "--parquet", tmp_path / "errors.parquet")
    assert ended.code == 0, ended.err
    rows = pq.read_table(tmp_path / "errors.parquet").to_pylist()
    assert [(row["name"], row["sad"], row["mse"]) for row in rows] == [(key, 0, 0) for key in keys(name)]


@both
def test_its_pictures_are_found_and_others_are_not(old: Path, name: str, tmp_path: Path) -> None:
    key, stored = list(samples(old, name).items())[-1]
    cv2.imwrite(str(tmp_path / "same.png"), cv2.cvtColor(stored.rgb, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "other.png"), np.full((32, 32, 3), 99, np.uint8))
    ended = factory_here("identify", tmp_path / "same.png", old)
    assert (ended.code, key in ended.out) == (0, True), ended.out
    assert factory_here("identify", tmp_path / "other.png", old).code == 1


@pytest.mark.parametrize("name", ["generated"])
def test_a_lossy_copy_is_found_by_its_looks(old: Path, name: str, tmp_path: Path) -> None:
    key, stored = list(samples(old, name).items())[-1]
    larger = cv2.resize(stored.rgb, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "copy.jpg"), cv2.cvtColor(larger, cv2.COLOR_RGB2BGR))
    ended = factory_here("identify", tmp_path / "copy.jpg", old)
    assert (ended.code, key in ended.out) == (0, True), ended.out


# --- new sets from it ---------------------------------------------------------------------------------------------


@both
def test_filter_keeps_keys_pictures_and_metadata(old: Path, name: str, tmp_path: Path) -> None:
    ended = factory_here("filter", old, *HERE, "--out", tmp_path / "all")
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "all")
    before, after = samples(old, name), samples(tmp_path / "all", name)
    assert list(after) == keys(name)
    for key, stored in before.items():
        scores = after[key].meta["scores"]
        own = Request(key=stored.key, slot=0, attempt=0, seed=0)
        measured = completed(as_sample(stored, own)).scores
        assert (scores.pop("pinholes"), scores.pop("detached")) == pytest.approx(
            (measured.pinholes, measured.detached), abs=1e-4
        )
        assert scores.pop("gsg_screen") == pytest.approx(gsg_of(stored), abs=1e-4), "measured, for it had none"
        assert (scores.pop("label_error") > 0) == (name == "generated"), "of mattes that were made"
        assert after[key].meta == stored.meta
        assert all(np.array_equal(after[key].pictures[member], stored.pictures[member]) for member in stored.pictures)


@both
def test_filter_judges_by_the_scores_that_it_recorded(old: Path, name: str, tmp_path: Path) -> None:
    coverage = {key: stored.meta["scores"]["coverage"] for key, stored in samples(old, name).items()}
    limit = float(np.median(list(coverage.values())))
    ended = factory_here("filter", old, *HERE, "--coverage-max", str(limit), "--out", tmp_path / "small")
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "small")
    kept = {key for key, value in coverage.items() if value <= limit}
    assert 0 < len(kept) < len(coverage)
    rows = pq.read_table(Layout(tmp_path / "small").manifest).to_pylist()
    assert {row["key"] for row in rows if row["status"] == "accepted"} == kept


@pytest.mark.parametrize("name", ["generated"])
def test_filter_measures_the_score_that_it_lacks(old: Path, name: str, tmp_path: Path) -> None:
    measured = {key: gsg_of(stored) for key, stored in samples(old, name).items()}
    limit = float(np.median(list(measured.values())))
    ended = factory_here("filter", old, *HERE, "--gsg-max", str(limit), "--out", tmp_path / "strict")
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "strict")
    rows = {row["key"]: row for row in pq.read_table(Layout(tmp_path / "strict").manifest).to_pylist()}
    assert {key for key, row in rows.items() if row["status"] == "accepted"} == {
        key for key, value in measured.items() if value <= limit
    }
    assert {key: row["gsg_screen"] for key, row in rows.items()} == pytest.approx(measured, abs=1e-3)


@both
def test_refine_keeps_keys_and_pictures(old: Path, name: str, tmp_path: Path) -> None:
    ended = factory_here("refine", old, *HERE, "--out", tmp_path / "refined")
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "refined")
    before, after = samples(old, name), samples(tmp_path / "refined", name)
    assert list(after) == keys(name)
    assert all(np.array_equal(after[key].rgb, before[key].rgb) for key in before)
    assert all(after[key].meta["seed"] == before[key].meta["seed"] for key in before)


@both
def test_corrected_captions_go_into_a_new_set(old: Path, name: str, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    assert factory_here("captions", "export", old, table).code == 0
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["key"] for row in rows] == keys(name)
    assert [row["caption"] for row in rows] == [stored.meta["caption"] for stored in samples(old, name).values()]
    key = keys(name)[-1]
    (tmp_path / "mine.csv").write_text(f"key,caption\n{key},another caption\n", encoding="utf-8")
    ended = factory_here(
        "captions", "import", old, tmp_path / "mine.csv", "--by", "me", *HERE, "--out", tmp_path / "new"
    )
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "new")
    captions = {key: stored.meta["caption"] for key, stored in samples(tmp_path / "new", name).items()}
    assert captions == {row["key"]: row["caption"] for row in rows} | {key: "another caption"}


# --- going on -----------------------------------------------------------------------------------------------------


@both
def test_its_own_recipe_again_has_nothing_to_do(old: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OLD_SETS)  # where the list of prompts lies
    if planned_again(old).weights != read_plan(Layout(old).plan).weights:
        pytest.skip("the model that ships is another one by now: the set is rightly refused")
    before = mtimes(old)
    ended = factory_here("run", old / "recipe.yaml", "--out", old, "--accept-software")
    assert ended.code == 0, ended.err
    assert f"{old} is finished already: nothing to do." in ended.out
    assert mtimes(old) == before


@pytest.mark.parametrize("name", ["built"])
def test_another_recipe_is_refused_with_what_differs(old: Path, name: str) -> None:
    ended = factory_here("run", old / "recipe.yaml", "--out", old, "--accept-software", "--set", "gates.gsg_max=3")
    assert ended.code == 2
    assert "was started with other settings (settings.gates.gsg_max: 20.0 → 3.0)" in ended.sentence


@pytest.mark.parametrize("name", ["built"])
def test_a_plan_whose_counts_are_told_anew_stays_the_same_plan(old: Path, name: str) -> None:
    layout = Layout(old)
    before = read_plan(layout.plan)
    layout.plan.write_text(layout.plan.read_text().replace("drawn objects", "things"))
    ended = factory_here("run", old / "recipe.yaml", "--out", old, "--accept-software")
    assert (ended.code, "nothing to do" in ended.out) == (0, True), ended.err
    assert "census" in json.loads(layout.plan.read_bytes()), "written as plans are now"
    assert read_plan(layout.plan) == before
    assert read_plan(layout.plan).fingerprint == before.fingerprint
    assert_whole(old)


@pytest.mark.parametrize("name", ["built"])
def test_a_shard_that_was_lost_is_made_again_and_the_set_is_finished_anew(old: Path, name: str) -> None:
    Layout(old).commit(1).unlink()
    Layout(old).tar(1, "train").unlink()
    ended = factory_here("run", old / "recipe.yaml", "--out", old, "--accept-software")
    assert ended.code == 0, ended.err
    assert_whole(old)
    stored = samples(old, name)
    assert list(stored) == keys(name)
    rows = {row["key"]: row for row in pq.read_table(Layout(old).manifest).to_pylist()}
    made_again = {key for key, row in rows.items() if row["gsg_screen"] >= 0}
    assert made_again == {"0000010000", "0000010001"}, "the others lack that score, in the manifest of the set it is −1"
    assert {key for key, sample in stored.items() if "gsg_screen" in sample.meta["scores"]} == made_again
    earlier = samples(OLD_SETS / name, name)
    assert stored["0000010000"].meta["caption"] == earlier["0000010000"].meta["caption"]
    if dict(read_plan(Layout(old).plan).software) == dict(software()):
        assert all(np.array_equal(stored[key].rgb, earlier[key].rgb) for key in made_again)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("census", [1]),
        ("census", {"a": 3}),
        ("software", None),
        ("inputs", {"a": 1}),
        ("segments", [{"source": "a", "split": "train", "slots": 4.5}]),
        ("members", [{"name": "../x", "channels": 1, "contents": ""}]),
        ("unheard_of", 1),
    ],
)
def test_a_plan_with_odd_fields_is_called_damaged(tmp_path: Path, field: str, value: object) -> None:
    root = Path(shutil.copytree(OLD_SETS / "built", tmp_path / "set"))
    plan = json.loads(Layout(root).plan.read_text())
    Layout(root).plan.write_text(json.dumps({**plan, field: value}))
    with pytest.raises(UsageError, match=r"plan\.json is damaged"):
        read_plan(Layout(root).plan)


def test_a_file_is_no_data_set() -> None:
    with pytest.raises(UsageError, match="is not a data set made by factory"):
        read_plan(Layout(OLD_SETS / "built" / "README.md").plan)
