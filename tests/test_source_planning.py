"""Promise: a recipe's word about a source is kept, and may be corrected where no byte of the set depends on it."""

from pathlib import Path

import pytest
from program import LOCAL, factory, hashes
from small_sources import asked, coded, cut_outs, fates, film, made, manifest, pair, put, recipe, shape

from factory.review.outlook import plan_text
from factory.run.execute import execute


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


def test_an_absent_source_stands_beside_the_paper_s_count(tmp_path: Path) -> None:
    things = {"type": "rgba_folder", "path": cut_outs(tmp_path / "things", 1)}
    absent = {"type": "public", "dataset": "am-2k", "path": tmp_path / "nowhere", "optional": True}
    result = made(recipe(tmp_path / "recipe.yaml", things, absent), tmp_path / "set")
    (count,) = [count for count in result.counts if count.title == "AM-2k"]
    assert (count.found, count.used, count.paper) == (0, 0, 1942)
    assert "AM-2k" in result.text()
