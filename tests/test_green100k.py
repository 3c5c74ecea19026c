"""Promise: a training set is built from whatever lies on disk; what is broken costs itself alone, and is named."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from program import LOCAL, factory, factory_obeying_modes, hashes
from small_sources import (
    asked,
    coded,
    cut_outs,
    fates,
    film,
    made,
    manifest,
    mixed_recipe,
    pair,
    photograph,
    put,
    recipe,
    rgba,
)
from spoilt_sources import spoilt_clips, spoilt_cut_outs, spoilt_pairs

from factory.errors import InputChanged, UsageError
from factory.jobs.prepare import prepare
from factory.jobs.recipes import read_yaml
from factory.review.verify import verify_set
from factory.run.execute import carry_out, execute
from factory.shards import lookup
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.sources.captioning.corrections import read_changes

BUILD = "build-green100k"


ONE_WORKER = pytest.mark.xdist_group("spoilt")  # it makes the set for all of them, and compiles numba's functions once


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A recipe of three spoilt sources, of which nearly all may fail, and what becomes of each item."""
    home = tmp_path_factory.mktemp("spoilt")
    expected = spoilt_cut_outs(home / "cut outs") | spoilt_pairs(home / "pairs") | spoilt_clips(home / "clips")
    path = recipe(
        home / "recipe.yaml",
        {"type": "rgba_folder", "path": home / "cut outs", "allowed_failures": 0.7},
        {"type": "public", "dataset": "pairs", "path": home / "pairs", "allowed_failures": 0.7},
        {"type": "videos", "path": home / "clips", "select": {"every": 6}, "allowed_failures": 0.7},
    )
    return path, expected


@pytest.fixture(scope="module")
def made_of_spoilt(spoilt: tuple[Path, dict[str, str]]) -> Path:
    """The set of these sources. Read it only."""
    out = spoilt[0].with_name("set")
    result = made(spoilt[0], out)
    assert result.exit_code(allow_short=False) == 0, result.text()
    return out


@ONE_WORKER
def test_a_bad_item_costs_itself_alone_and_says_why(spoilt: tuple[Path, dict[str, str]], made_of_spoilt: Path) -> None:
    assert fates(made_of_spoilt) == spoilt[1]
    for row in manifest(made_of_spoilt):
        assert bool(row["detail"]) == (row["status"] != "accepted"), row
        assert str(spoilt[0].parent) not in row["detail"], "another machine's paths say nothing"


@ONE_WORKER
def test_half_a_pair_is_a_row_too(tmp_path: Path) -> None:
    for number, name in enumerate(("whole", "no matte", "no picture")):
        pair(tmp_path / "pairs", name, number)
    (tmp_path / "pairs" / "matte" / "no matte.png").unlink()
    (tmp_path / "pairs" / "picture" / "no picture.png").unlink()
    source = {"type": "public", "dataset": "pairs", "path": tmp_path / "pairs", "allowed_failures": 0.7}
    assert made(recipe(tmp_path / "recipe.yaml", source), tmp_path / "set").exit_code(allow_short=False) == 0
    assert fates(tmp_path / "set") == {
        "picture/whole.png": "accepted",
        "picture/no matte.png": "no_matte",
        "picture/no picture.png": "no_picture",
    }


@ONE_WORKER
def test_two_workers_give_the_same_bytes(
    spoilt: tuple[Path, dict[str, str]], made_of_spoilt: Path, tmp_path: Path
) -> None:
    ended = factory(BUILD, spoilt[0], *LOCAL, "--workers", "2", "--out", tmp_path / "set")
    assert ended.code == 0, ended.err
    assert hashes(tmp_path / "set") == hashes(made_of_spoilt)


# --- sources that are wrong as a whole ------------------------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "code"), [(0.0, 1), (0.5, 1), (0.9, 0)])
def test_a_source_over_its_allowed_failures_ends_with_1_and_names_ten_files(
    tmp_path: Path, allowed: float, code: int
) -> None:
    folder = cut_outs(tmp_path / "things", 2)
    broken = [put(folder / f"broken_{number:02d}.png", b"cut off").name for number in range(12)]
    source = {"type": "rgba_folder", "path": folder, "allowed_failures": allowed}
    ended = factory(BUILD, recipe(tmp_path / "recipe.yaml", source), *LOCAL, "--out", tmp_path / "set")
    assert ended.code == code, ended.err
    assert "2 samples in" in ended.out
    assert "12 items had bad data" in ended.out
    assert [name for name in broken if f"{name}: the file is no picture" in ended.out] == broken[: 10 * code]
    assert ("raise `allowed_failures` in the recipe" in ended.out) == bool(code)
    assert ("things: 12 of 14 items failed" in ended.out) == bool(code)
    assert verify_set(tmp_path / "set", 1) == []


def test_sources_with_files_of_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    folders = [cut_outs(tmp_path / name, 3) for name in ("old", "new")]
    put(folders[1] / "red_thing_001.png", rgba(51))
    put(folders[1] / "red_thing_002.png", b"cut off")
    for folder in folders:
        film(folder / "a.mp4")
    sources = [{"type": "rgba_folder", "path": folder, "allowed_failures": 0.5} for folder in folders]
    sources += [{"type": "videos", "path": folder, "name": f"{folder.name} clips"} for folder in folders]
    made(recipe(tmp_path / "recipe.yaml", *sources), tmp_path / "set")
    rows = manifest(tmp_path / "set")
    assert len({row["key"] for row in rows}) == len(rows) == 8
    assert len({(row["source"], row["item"]) for row in rows}) == 8, "which red_thing_002.png is broken?"


def test_names_of_all_alphabets_go_through_keys_captions_and_reports(tmp_path: Path) -> None:
    folder = tmp_path / "Bücher & Ähnliches (neu), #1"
    names = ["ein roter Ball.png", "赤い 風船.png", "\U0001f389 party.png", "a%20b;c,d'e\"f.png", "<b>&amp;.png"]
    for number, name in enumerate(names):
        put(folder / name, rgba(number))
    out = tmp_path / "groß & klein"
    source = {"type": "rgba_folder", "path": folder}
    ended = factory(BUILD, recipe(tmp_path / "re zept.yaml", source), *LOCAL, "--out", out)
    assert ended.code == 0, ended.err
    assert sorted(fates(out)) == sorted(names)
    assert verify_set(out, 1) == []
    assert factory("captions", "export", out, tmp_path / "t ä.csv").code == 0
    with (tmp_path / "t ä.csv").open(encoding="utf-8-sig", newline="") as file:
        assert sorted(row["item"] for row in csv.DictReader(file)) == sorted(names)


EMPTY = {"type": "rgba_folder"}, {"type": "videos"}, {"type": "public", "dataset": "pairs"}


@pytest.mark.parametrize("source", EMPTY, ids=lambda source: source["type"])
def test_an_empty_source_is_named(tmp_path: Path, source: dict[str, str]) -> None:
    empty = tmp_path / "nothing here"
    empty.mkdir()
    things = {"type": "rgba_folder", "path": cut_outs(tmp_path / "things", 1)}
    path = recipe(tmp_path / "recipe.yaml", things, source | {"path": empty})
    with pytest.raises(UsageError, match="nothing here"):
        made(path, tmp_path / "set")
    path = recipe(tmp_path / "recipe.yaml", things, source | {"path": empty, "optional": True})
    said: list[str] = []
    execute(asked(path, tmp_path / "set"), said.append)
    assert any("nothing here" in sentence for sentence in said), said


@pytest.mark.parametrize("source", EMPTY[:2], ids=lambda source: source["type"])
def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path, source: dict[str, str]) -> None:
    film(cut_outs(tmp_path / "things", 1) / "a.mp4")
    things = {"type": "rgba_folder", "path": tmp_path / "things"}
    other = source | {"path": tmp_path / "things", "include": ["studio/*"]}
    with pytest.raises(UsageError, match=r"studio/\*.*`include`"):
        made(recipe(tmp_path / "recipe.yaml", things, other), tmp_path / "set")


ONE_OF: dict[str, Callable[[Path], object]] = {
    "rgba_folder": lambda folder: cut_outs(folder, 1),
    "videos": lambda folder: film(folder / "a.mp4"),
    "public": lambda folder: pair(folder, "a", 1),
}


@pytest.mark.parametrize("source", EMPTY, ids=lambda source: source["type"])
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, source: dict[str, str]) -> None:
    ONE_OF[source["type"]](tmp_path / "things")
    inner = tmp_path / "things" / ("picture/closed" if source["type"] == "public" else "closed")
    inner.mkdir(mode=0)
    path = recipe(tmp_path / "recipe.yaml", source | {"path": tmp_path / "things"})
    ended = factory_obeying_modes(BUILD, path, *LOCAL, "--out", tmp_path / "set")
    assert ended.code != 0, "what lies in it is missing from the set"
    assert str(inner) in ended.sentence


@pytest.mark.parametrize("source", EMPTY, ids=lambda source: source["type"])
def test_a_name_that_is_not_utf8_is_told(tmp_path: Path, source: dict[str, str]) -> None:
    ONE_OF[source["type"]](tmp_path / "things")
    for file in [path for path in (tmp_path / "things").rglob("*") if path.is_file()]:
        file.rename(file.with_name(f"b\udce4d{file.suffix}"))  # as Latin-1 wrote "bäd"
    with pytest.raises(UsageError, match="rename"):
        made(recipe(tmp_path / "recipe.yaml", source | {"path": tmp_path / "things"}), tmp_path / "set")


# --- files that change, hashes that are kept out, captions ----------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A recipe of two clips, three pairs and five cut-outs, all sound."""
    return mixed_recipe(tmp_path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "clips/a.mp4": lambda path: film(path, first=50),
    "pairs/matte/blue pot 1.png": lambda path: path.write_bytes(coded(photograph(1))),
    "pairs/picture/blue pot 2.png": lambda path: path.unlink(),
    "things/red_thing_003.png": lambda path: path.write_bytes(rgba(99)),
    "clips/b.mkv": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_after_planning_is_named(mixed: Path, tmp_path: Path, name: str) -> None:
    run = asked(mixed, tmp_path / "set")
    prepared = prepare(run)
    CHANGES[name](tmp_path / name)
    run.out.mkdir()
    with hold(Layout(run.out).lock, "run"), pytest.raises(InputChanged, match=name):
        carry_out(run, prepared, "run", lambda sentence: None)


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if "unlink" not in change.__code__.co_names])
def test_a_file_that_changed_between_two_runs_is_named(mixed: Path, tmp_path: Path, name: str) -> None:
    made(mixed, tmp_path / "set")
    Layout(tmp_path / "set").commit(0).unlink()
    CHANGES[name](tmp_path / name)
    with pytest.raises(UsageError, match=f"changed in .*{Path(name).stem}"):
        made(mixed, tmp_path / "set")


def test_benchmark_images_stay_out_by_hash(tmp_path: Path) -> None:
    things = cut_outs(tmp_path / "things", 4)
    pair(tmp_path / "pairs", "one", 1)
    pair(tmp_path / "pairs", "two", 2)
    put(tmp_path / "benchmark" / "under another name.png", (things / "red_thing_002.png").read_bytes())
    put(tmp_path / "benchmark" / "sub" / "b.png", (tmp_path / "pairs" / "picture" / "one.png").read_bytes())
    (tmp_path / "benchmark" / "folder.png").mkdir()
    listed = factory("hash-images", tmp_path / "benchmark", "--name", "bench")
    assert listed.code == 0, listed.err
    (tmp_path / "bench.txt").write_text(listed.out, encoding="utf-8")
    sources = (
        {"type": "rgba_folder", "path": things, "repeat": 2},
        {"type": "public", "dataset": "pairs", "path": tmp_path / "pairs"},
    )
    made(recipe(tmp_path / "recipe.yaml", *sources, exclude=[tmp_path / "bench.txt"]), tmp_path / "set")
    kept = [f"red_thing_00{number}.png" for number in (0, 1, 3)]
    assert sorted(row["item"] for row in manifest(tmp_path / "set")) == sorted([*kept, *kept, "picture/two.png"])
    assert "2 of bench" in (tmp_path / "set" / "README.md").read_text(encoding="utf-8")


def test_pictures_of_a_listed_benchmark_come_in_where_asked_for_and_say_so(shared_data: Path, tmp_path: Path) -> None:
    for folder, name in (("picture", "image"), ("matte", "alpha")):
        put(
            tmp_path / "pairs" / folder / "GT01.png",
            (shared_data / "alphamatting_odd" / name / "GT01.png").read_bytes(),
        )
    source = {"type": "public", "dataset": "pairs", "path": tmp_path / "pairs"}
    pair(tmp_path / "pairs", "own", 1)
    gates = {"border_max": None, "key_distance_min": None, "agreement_min": None}
    made(recipe(tmp_path / "without.yaml", source, gates=gates), tmp_path / "without")
    assert [row["item"] for row in manifest(tmp_path / "without")] == ["picture/own.png"]
    made(recipe(tmp_path / "with.yaml", source | {"include_test": True}, gates=gates), tmp_path / "with")
    told = {row["item"]: row["source"] for row in manifest(tmp_path / "with")}
    assert told["picture/GT01.png"] == f"{told['picture/own.png']}-test"


def test_a_captions_table_is_taken_up_and_corrected_by_hand(mixed: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text('path;caption\r\nred_thing_001;"ein Tuch;\r\nrot"\r\nnobody.png;x\r\n', encoding="utf-8-sig")
    fields = read_yaml(mixed)
    fields["sources"][2]["captions"] = str(table)
    path = recipe(tmp_path / "captioned.yaml", *fields.pop("sources"), **fields)
    said: list[str] = []
    execute(asked(path, tmp_path / "set"), said.append)
    assert any("no caption for 4 of 5 items" in sentence for sentence in said), said
    assert any("nobody.png" in sentence for sentence in said), said
    captions = {row["item"]: row["caption"] for row in manifest(tmp_path / "set")}
    assert captions["red_thing_001.png"] == "ein Tuch; rot"
    assert captions["red_thing_002.png"] == "a red thing"
    assert captions["picture/blue pot 1.png"] == "a blue pot"
    exported = tmp_path / "to correct.csv"
    assert factory("captions", "export", tmp_path / "set", exported).code == 0
    rows = exported.read_text(encoding="utf-8-sig").replace("a blue pot", "a pot – or ü")
    exported.write_text(rows, encoding="utf-8-sig")
    out = tmp_path / "corrected"
    ended = factory("captions", "import", tmp_path / "set", exported, "--by", "Ä. Editor", "--out", out, *LOCAL)
    assert ended.code == 0, ended.err
    assert verify_set(out, 1) == []
    before, after = ({row["key"]: row["caption"] for row in manifest(root)} for root in (tmp_path / "set", out))
    assert after == {key: caption.replace("a blue pot", "a pot – or ü") for key, caption in before.items()}
    changes = read_changes(out).to_pylist()
    assert {(change["old"], change["new"], change["by"]) for change in changes} == {
        ("a blue pot", "a pot – or ü", "Ä. Editor")
    }
    key = next(row["key"] for row in manifest(out) if row["item"] == "a.mp4@0.000s")
    stored = lookup.read_row(out, lookup.find(out, key))
    found = factory("identify", put(tmp_path / "found.jpg", coded(stored.rgb, "JPEG", quality=85)), out)
    assert (found.code, key in found.out) == (0, True), found.out
    other = factory("identify", put(tmp_path / "other.png", coded(photograph(77))), out)
    assert other.code == 1, other.out
