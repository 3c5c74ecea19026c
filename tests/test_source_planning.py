"""Promise: a recipe's word about a source is kept, and may be corrected where no byte of the set depends on it."""

from pathlib import Path

import pytest
from program import LOCAL, factory, hashes
from small_clips import encode
from small_sources import asked, coded, cut_outs, fates, film, made, manifest, pair, photograph, put, recipe, shape

from factory.engine.plan import read_plan
from factory.review.outlook import plan_text
from factory.review.status import status_text
from factory.run.execute import execute
from factory.shards.layout import Layout


def test_more_failures_may_be_allowed_afterwards(tmp_path: Path) -> None:
    folder, out = cut_outs(tmp_path / "things", 2), tmp_path / "set"
    put(folder / "broken.png", b"cut off")
    source = {"type": "rgba_folder", "path": folder}
    assert made(recipe(tmp_path / "recipe.yaml", source), out).exit_code(allow_short=False) == 1
    before = hashes(out)
    lenient = recipe(tmp_path / "lenient.yaml", source | {"allowed_failures": 0.5})
    assert made(lenient, out).exit_code(allow_short=False) == 0
    assert hashes(out) == before
    blue = factory("build-green100k", lenient, *LOCAL, "--out", out, "--set", "key=blue")
    assert blue.code == 2
    assert "census" not in blue.sentence


def test_mattes_that_are_black_inside_are_refused_until_the_recipe_says_so(tmp_path: Path) -> None:
    pair(tmp_path / "pairs", "pot", 3)
    put(tmp_path / "pairs" / "matte" / "pot.png", coded(255 - shape(3)))
    source = {"type": "public", "dataset": "pairs", "path": tmp_path / "pairs"}
    made(recipe(tmp_path / "recipe.yaml", source), tmp_path / "refused")
    assert fates(tmp_path / "refused") == {"picture/pot.png": "inverted"}
    made(recipe(tmp_path / "told.yaml", source | {"inverted": True}), tmp_path / "told")
    assert fates(tmp_path / "told") == {"picture/pot.png": "accepted"}


def test_each_round_of_a_clip_s_frames_has_a_framing_of_its_own(tmp_path: Path) -> None:
    film(tmp_path / "clips" / "a.mp4")
    source = {"type": "videos", "path": tmp_path / "clips", "select": {"every": 6}, "repeat": 2}
    path = recipe(tmp_path / "recipe.yaml", source, shard_size=4)
    made(path, tmp_path / "set")
    shards: dict[str, set[str]] = {}
    for row in manifest(tmp_path / "set"):
        assert row["reason"] != "duplicate"
        shards.setdefault(row["item"], set()).add(row["key"][:6])
    assert shards
    assert all(len(of_item) == 2 for of_item in shards.values()), shards
    assert f"{2 * len(shards)} samples for train, of {len(shards)} found" in plan_text(asked(path, tmp_path / "other"))


@pytest.mark.parametrize(("share", "is_told"), [(0.0, False), (1e-9, True)])
def test_a_validation_split_that_stays_empty_is_told(tmp_path: Path, share: float, is_told: bool) -> None:
    film(tmp_path / "clips" / "a.mp4")
    source = {"type": "videos", "path": tmp_path / "clips", "select": {"every": 6}, "validation": share}
    said: list[str] = []
    execute(asked(recipe(tmp_path / "recipe.yaml", source), tmp_path / "set"), said.append)
    assert any("validation split" in sentence for sentence in said) == is_told


def test_clips_of_no_use_are_named_in_the_plan_and_all_counts_agree(tmp_path: Path) -> None:
    film(tmp_path / "clips" / "a.mp4", count=6)
    put(tmp_path / "clips" / "text.mp4", b"hello\n")
    encode(tmp_path / "clips" / "wall.mp4", [photograph(1, 64)] * 3, tagged="bt709")
    path = recipe(tmp_path / "recipe.yaml", {"type": "videos", "path": tmp_path / "clips", "select": {"every": 3}})
    text = plan_text(asked(path, tmp_path / "set"))
    assert "clips: 2 of 3 clips cannot be used: text.mp4 (the file is no video that can be read" in text
    assert "wall.mp4 (" in text
    assert "clips: 2 samples for train, of 4 found" in text
    result = made(path, tmp_path / "set")
    assert (result.accepted, result.asked) == (2, 2)
    assert "2 of 2 samples" in status_text(tmp_path / "set")
    assert "<small>of 2 asked</small>" in (tmp_path / "set" / "report" / "index.html").read_text()


def test_slots_that_only_fill_a_shard_up_are_nobody_s_loss(tmp_path: Path) -> None:
    film(tmp_path / "clips" / "a.mp4", count=18)  # three stretches of three frames; a shard has room for one
    path = recipe(tmp_path / "recipe.yaml", {"type": "videos", "path": tmp_path / "clips", "select": {"every": 2}})
    result = made(path, tmp_path / "set")
    assert (result.accepted, result.asked) == (9, 9)
    assert read_plan(Layout(tmp_path / "set").plan).slots > 9
    assert '<span class="badge">complete' in (tmp_path / "set" / "report" / "index.html").read_text()


def test_pictures_of_no_use_are_named_in_the_plan(tmp_path: Path) -> None:
    put(cut_outs(tmp_path / "things", 2) / "flat.png", coded(photograph(1)))
    path = recipe(tmp_path / "recipe.yaml", {"type": "rgba_folder", "path": tmp_path / "things", "repeat": 2})
    text = plan_text(asked(path, tmp_path / "set"))
    assert "things: 1 of 3 pictures cannot be used: flat.png (the picture has no alpha channel (mode RGB))." in text
    assert "things: 4 samples for train, of 3 found" in text


def test_files_beside_those_of_a_public_set_are_counted_too(tmp_path: Path) -> None:
    pair(tmp_path / "pairs", "pot", 3)
    put(tmp_path / "pairs" / "picture" / "cup.jp2", b"?")
    put(tmp_path / "pairs" / "matte" / "cup.jp2", b"?")
    put(tmp_path / "pairs" / "trimap" / "pot.txt", b"of no interest")
    source = {"type": "public", "dataset": "pairs", "path": tmp_path / "pairs"}
    text = plan_text(asked(recipe(tmp_path / "recipe.yaml", source), tmp_path / "set"))
    assert "a set of pairs: 2 files passed over: 2 .jp2." in text.splitlines()


def test_files_that_are_not_read_are_counted_by_kind_in_plan_run_and_report(tmp_path: Path) -> None:
    things = cut_outs(tmp_path / "things", 2)
    for name in ("a.jpg", "deep/b.JPG", "c.jp2", "notes", ".hidden.jpg"):
        put(things / name, b"?")
    put(things / "captions.csv", b"path,caption\nred_thing_000.png,a red thing\n")
    film(tmp_path / "clips" / "a.mp4", count=3)
    put(tmp_path / "clips" / "frames" / "0.png", b"?")
    path = recipe(
        tmp_path / "recipe.yaml",
        {"type": "rgba_folder", "path": things, "captions": things / "captions.csv"},
        {"type": "videos", "path": tmp_path / "clips"},
    )
    told = ["things: 4 files passed over: 2 .jpg, 1 .jp2, 1 without a suffix.", "clips: 1 file passed over: 1 .png."]
    text = plan_text(asked(path, tmp_path / "set"))
    said: list[str] = []
    execute(asked(path, tmp_path / "set"), said.append)
    page = (tmp_path / "set" / "report" / "index.html").read_text()
    for sentence in told:
        assert sentence in text.splitlines()
        assert sentence in said
        assert sentence in page


def test_an_absent_source_stands_beside_the_paper_s_count(tmp_path: Path) -> None:
    things = {"type": "rgba_folder", "path": cut_outs(tmp_path / "things", 1)}
    absent = {"type": "public", "dataset": "am-2k", "path": tmp_path / "nowhere", "optional": True}
    result = made(recipe(tmp_path / "recipe.yaml", things, absent), tmp_path / "set")
    (count,) = [count for count in result.counts if count.title == "AM-2k"]
    assert (count.found, count.used, count.paper) == (0, 0, 1942)
    assert "AM-2k" in result.text()
