"""Promise: GreenBench is the same for everybody, its truth is exact, and `factory greenbench` ranks keyers by it."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from program import factory_here
from small_sources import cut_outs, manifest

from factory.equation import plate_picture
from factory.errors import UsageError
from factory.greenscreen.compositing import as_unit, composite
from factory.jobs.greenbench import GreenBenchRecipe
from factory.jobs.prepare import prepare
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.review.greenbench import FOREGROUND, BenchResult, score_keyer
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.sample import Request, Sample
from factory.shards.data_set import DataSet
from factory.shards.export import export
from factory.shards.layout import Layout
from factory.shards.reader import Stored
from factory.shipped_files import find_shipped
from factory.sources.greenbench.camera import h264
from factory.sources.greenbench.drawing import classes_of, drawn
from factory.sources.greenbench.facts import facts_in, in_words
from factory.sources.greenbench.registry import CLASSES, HARD, KINDS
from factory.sources.greenbench.scenes import SCREENS, ScreenType, scene
from factory.sources.greenbench.sheet import Drawn
from factory.sources.greenbench.source import CutoutScenes
from factory.sources.greenbench.stage import pure, studio
from factory.sources.groups import GROUPS, group_of

SMALL = {"job": "greenbench", "group": "develop", "size": 48, "per_kind": 1, "plain": 1, "shard_size": 20}
FILMED = ("pure", "studio", "h264", "phone")  # generated ones want torch
Pixels = np.typing.NDArray[np.uint8]


def made(path: Path, out: Path) -> None:
    """Run a recipe in this process; the set is whole afterwards."""
    recipe = parse(read_yaml(path) | {"out": str(out), "executor": "local"})
    assert isinstance(recipe, GreenBenchRecipe)
    execute(recipe, lambda sentence: None)
    assert verify_set(out, 1) == []


def written(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps(SMALL | fields, default=str), encoding="utf-8")  # JSON is YAML
    return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One object of each kind on four screens. Read it only."""
    home = tmp_path_factory.mktemp("greenbench")
    made(written(home / "recipe.yaml", screens=FILMED), home / "set")
    return home / "set"


def hand_in(folder: Path, bench: Path, *, spoilt: float = 0.0, fg: bool = False) -> Path:
    """Mattes that are the truth, or off it by a share of a wrong one."""
    folder.mkdir()
    for sample in DataSet(bench):
        alpha = np.rint(sample.alpha * (1 - spoilt) + 128 * spoilt).astype(np.uint8)
        cv2.imwrite(str(folder / f"{sample.key}.png"), alpha)
        if fg:
            cv2.imwrite(str(folder / f"{sample.key}.fg.png"), sample.foreground[..., ::-1])
    return folder


def mean(result: BenchResult, name: str) -> float:
    return result.tables()["all"]["all"].mean[name]


# the objects


def test_the_recipe_that_ships_promises_enough_of_every_kind() -> None:
    shipped = find_shipped("pipelines", "greenbench")
    assert shipped
    recipe = parse(read_yaml(shipped))
    assert isinstance(recipe, GreenBenchRecipe)
    table = prepare(recipe).tables["drawn"].to_pylist()
    objects = Counter(kind for kind, _ in {(row["kind"], row["seed"]) for row in table})
    assert recipe.group == "report"
    assert min(objects.values()) >= 10
    assert sum(objects.values()) >= 150
    assert sum(objects[kind] for kind in HARD) >= sum(objects.values()) / 2
    assert Counter(row["screen"] for row in table) == dict.fromkeys(SCREENS, sum(objects.values()))
    assert {row["hue"] for row in table} == {"green", "blue", "lime"}


def test_no_two_groups_share_an_object_and_report_has_classes_of_its_own() -> None:
    seeds = {}
    for group in GROUPS:
        rows = prepare(GreenBenchRecipe(out=Path("set"), group=group, per_kind=4)).tables["drawn"].to_pylist()
        seeds[group] = {row["seed"] for row in rows}
        own = {row["class_name"] for row in rows}
        held_back = {name for name, one in CLASSES.items() if one.reported}
        assert (own >= held_back) if group == "report" else own.isdisjoint(held_back)
    assert sum(map(len, seeds.values())) == len(set.union(*seeds.values()))
    for kind in KINDS:
        assert len(classes_of(kind, "report")) >= 4
        assert {one.kind for one in classes_of(kind, "report") if one.reported} == {kind}


@pytest.mark.parametrize("name", CLASSES)
def test_every_object_is_seen_whole_and_stands_before_a_screen(name: str) -> None:
    shown = drawn(name, 7, 40)
    assert shown.alpha.max() > (60 if CLASSES[name].kind in ("glass", "thin wires", "motion blur") else 160)
    assert 0.01 < shown.alpha.mean() / 255 < 0.7
    rim = np.concatenate([shown.alpha[0], shown.alpha[-1], shown.alpha[:, 0], shown.alpha[:, -1]])
    assert rim.mean() < 0.25 * 255, "only people's shoulders are cut, at one side"
    assert shown.mirror.any() == (CLASSES[name].kind in ("glass", "reflections"))


def test_green_things_are_green_and_shiny_things_show_the_screen() -> None:
    for one in classes_of("own green", "report"):
        shown = drawn(one.name, 3, 64)
        r, g, b = (shown.foreground[..., c].astype(int) for c in range(3))
        green = (shown.alpha > 200) & (g > r + 10) & (g > b + 10)
        assert green.sum() > 0.04 * (shown.alpha > 200).sum(), one.name
    shiny = drawn("a chrome teapot", 3, 64)
    difference = pure(shiny, "green").seen[..., 1] - as_unit(shiny.foreground)[..., 1]
    assert difference.max() > 0.3


# the truth


def test_before_the_camera_the_truth_is_exact() -> None:
    shown = drawn("a tree frog", 5, 64)
    shot = scene(shown, "pure", "green", 5)
    again = composite(as_unit(shot.foreground), as_unit(shot.alpha), as_unit(shot.plate))
    assert np.abs(255 * again - shot.picture).max() <= 0.51
    stage = studio(shown, "green", np.random.default_rng(1), emits=False)
    assert np.array_equal(stage.picture(), composite(stage.seen, stage.alpha, stage.shaded))
    assert (stage.seen >= stage.foreground - 1e-6).all(), "spill is light that is added"
    assert (stage.shaded <= stage.plate + 1e-6).all(), "a shadow is light that is missing"


def test_what_shines_by_itself_takes_no_spill_and_casts_no_shadow() -> None:
    flame = drawn("a flame", 2, 64)
    stage = studio(flame, "green", np.random.default_rng(1), emits=True)
    assert np.array_equal(stage.seen, as_unit(flame.foreground))
    assert np.array_equal(stage.shaded, stage.plate)


@pytest.mark.parametrize("screen", SCREENS)
def test_an_empty_frame_shows_the_plate_but_for_the_cameras_noise(screen: ScreenType) -> None:
    nothing = Drawn(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8))
    shot = scene(nothing, screen, "green", 11)
    difference = shot.picture.astype(float) - shot.plate
    assert np.abs(difference.mean(axis=(0, 1))).max() < 2.5
    assert difference.std() < 12
    assert np.abs(np.subtract(shot.plate.mean(axis=(0, 1)), shot.key)).max() <= 1


def test_motion_blur_is_the_mean_of_instants() -> None:
    moving = drawn("a ball in flight", 1, 64).alpha
    levels = np.unique(moving)
    assert len(levels) > 40, "a smear has all levels between nothing and all"


# the set


def test_a_set_holds_its_plates_and_says_what_each_scene_is(bench: Path) -> None:
    samples = list(DataSet(bench))
    facts = [facts_in(sample.meta["prompt"]) for sample in samples]
    assert Counter((one["kind"], one["screen"]) for one in facts) == {(k, s): 1 for k in KINDS for s in FILMED}
    assert {row["status"] for row in manifest(bench)} == {"accepted"}
    for sample, one in zip(samples, facts, strict=True):
        plate = sample.pictures["plate"]
        assert plate.shape == sample.rgb.shape
        assert np.abs(plate_picture(sample.meta["plate"], 48, 48) - plate).mean() < 12
        clean = sample.alpha == 0
        assert np.abs(np.median(sample.rgb[clean].astype(float) - plate[clean], axis=0)).max() < 12, one


def test_the_same_recipe_makes_the_same_bytes(bench: Path, tmp_path: Path) -> None:
    drawn.cache_clear()
    made(written(tmp_path / "recipe.yaml", screens=FILMED), tmp_path / "set")
    tars = sorted(path.name for path in Layout(bench).data.iterdir())
    assert tars
    for name in tars:
        assert (Layout(tmp_path / "set").data / name).read_bytes() == (Layout(bench).data / name).read_bytes()


def test_nothing_depends_on_what_lay_in_memory_before() -> None:
    """OpenCV's distance transform and x264's tree of macroblocks read what was never written, and rarely show it."""
    random = np.random.default_rng(4)
    frames = [random.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(3)]
    seen = set()
    for _ in range(6):
        dirt = [random.integers(0, 256, int(size), np.uint8) for size in random.integers(1, 400_000, 4)]
        drawn.cache_clear()
        glass = drawn("a drinking glass", 5, 48)
        seen.add(b"".join(part.tobytes() for part in (glass.foreground, glass.alpha, glass.mirror, h264(frames, 22))))
        del dirt
    assert len(seen) == 1


def test_generated_scenes_go_through_the_embedded_model(tmp_path: Path) -> None:
    made(written(tmp_path / "recipe.yaml", screens=["generated"], size=32), tmp_path / "set")
    painters = Counter()
    for sample in DataSet(tmp_path / "set"):
        facts = facts_in(sample.meta["prompt"])
        painters[facts["painter"]] += 1
        if facts["painter"] == "vae":
            assert facts["foreground"] == "ambiguous"
            exact = composite(as_unit(sample.foreground), as_unit(sample.alpha), as_unit(sample.pictures["plate"]))
            assert 0.5 < np.abs(255 * exact - sample.rgb).mean() < 60
    assert set(painters) == {"vae", "texture"}


def test_facts_come_back_from_words() -> None:
    facts = {"kind": "own green", "noise": "1.0"}
    assert facts_in(in_words(facts)) == facts
    assert facts_in("a red feather") == {}


def test_folders_are_pinned_and_give_only_their_group(tmp_path: Path) -> None:
    cut_outs(tmp_path / "things", 12)
    folder = {"path": tmp_path / "things", "repository": "some/where", "commit": "0" * 7, "licence": "CC0-1.0"}
    fields = {**SMALL, "screens": ["pure"], "out": tmp_path / "set"}
    loose = prepare(parse(json.loads(json.dumps(fields | {"folders": [folder]}, default=str))))
    rows = loose.tables["folder-0"].to_pylist()
    assert rows
    assert {group_of(row["path"]) for row in rows} == {"develop"}
    (remark,) = [remark for remark in loose.remarks if "nothing pins it" in remark]
    pin = remark.partition("sha256: ")[2][:64]
    path = written(tmp_path / "recipe.yaml", screens=["pure"], folders=[folder | {"sha256": pin}])
    pinned = prepare(parse(read_yaml(path) | {"out": tmp_path / "set"}))
    assert pinned.tables["folder-0"].equals(loose.tables["folder-0"])
    prepare(parse(read_yaml(path) | {"out": tmp_path / "set", "group": "report"}))  # one pin holds for every group
    request = Request(key="0000000000", slot=0, attempt=0, seed=0, item=rows[0])
    (sample,) = CutoutScenes(tmp_path / "things", 48, "some/where")([request])
    assert isinstance(sample, Sample)
    assert sample.origin.attribution == "some/where@0000000"
    assert sample.origin.item == rows[0]["path"]
    exact = composite(as_unit(sample.foreground), as_unit(sample.alpha), as_unit(sample.layers["plate"]))
    assert np.abs(255 * exact - sample.rgb).max() <= 0.51
    (tmp_path / "things" / rows[0]["path"]).unlink()
    with pytest.raises(UsageError, match=r"is not what the recipe pins .* restore some/where@0000000"):
        prepare(parse(read_yaml(path) | {"out": tmp_path / "set"}))


def test_an_absent_folder_is_refused_unless_it_is_optional(tmp_path: Path) -> None:
    folder = {"path": str(tmp_path / "no"), "repository": "some/where", "commit": "0" * 7, "licence": "MIT"}
    fields = {**SMALL, "screens": ["pure"], "out": str(tmp_path / "set")}
    with pytest.raises(UsageError, match="does not exist: mend its path"):
        prepare(parse(fields | {"folders": [folder]}))
    assert "passed over" in prepare(parse(fields | {"folders": [folder | {"optional": True}]})).remarks[0]


def test_an_export_has_the_very_plates(bench: Path, tmp_path: Path) -> None:
    assert export(bench, "folder", tmp_path / "plain", "test") == 40
    sample = DataSet(bench)[1]
    plate = cv2.imread(str(tmp_path / "plain" / "bg" / f"{sample.key}.png"))
    assert np.array_equal(np.asarray(plate)[..., ::-1], sample.pictures["plate"])


# the scorer


def test_the_truth_scores_nothing_and_worse_mattes_score_worse(bench: Path, tmp_path: Path) -> None:
    perfect = score_keyer(hand_in(tmp_path / "a", bench, fg=True), bench)
    assert not perfect.faults
    assert all(value == 0 for scene in perfect.scenes for value in scene.errors.values())
    assert {scene.kind for scene in perfect.scenes if FOREGROUND not in scene.errors} == {"glass", "reflections"}
    good, bad = (score_keyer(hand_in(tmp_path / n, bench, spoilt=s), bench) for n, s in (("b", 0.1), ("c", 0.4)))
    for name in ("mse", "sad", "mse_unknown", "sad_unknown"):
        assert 0 < mean(good, name) < mean(bad, name)
    summary = bad.tables()["kind"]["hair"]
    assert summary.scenes == len(FILMED)
    assert summary.mean["mse"] <= summary.worst["mse"]


def test_whatever_form_a_matte_has_it_is_read(bench: Path, tmp_path: Path) -> None:
    folder = tmp_path / "forms"
    folder.mkdir()
    samples: Sequence[Stored] = list(DataSet(bench))
    forms = {
        ".png": lambda s: s.alpha.astype(np.uint16) * 257,
        ".alpha.png": lambda s: s.alpha,
        ".webp": lambda s: np.dstack([s.foreground[..., ::-1], s.alpha]),
        ".tif": lambda s: np.dstack([s.alpha] * 3),
    }
    for number, sample in enumerate(samples):
        ending, form = list(forms.items())[number % len(forms)]
        options = [cv2.IMWRITE_WEBP_QUALITY, 101] if ending == ".webp" else []
        cv2.imwrite(str(folder / f"{sample.key}{ending}"), form(sample), options)
    result = score_keyer(folder, bench)
    assert not result.faults
    assert mean(result, "mse") == 0
    given = [scene for scene in result.scenes if FOREGROUND in scene.errors]
    assert given
    assert max(scene.errors[FOREGROUND] for scene in given) < 1e-3


def test_what_is_missing_or_odd_is_named_and_counts_as_an_empty_matte(bench: Path, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "some", bench)
    first, second, third, fourth = DataSet(bench).keys[:4]
    (folder / f"{first}.png").unlink()
    cv2.imwrite(str(folder / f"{second}.png"), np.zeros((5, 7), np.uint8))
    (folder / f"{third}.png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / f"{fourth}.png"), np.full((48, 48, 3), (10, 200, 30), np.uint8))
    ended = factory_here(
        "greenbench", folder, "--data", bench, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"
    )
    assert ended.code == 1
    told = json.loads((tmp_path / "a.json").read_text())
    assert {fault["name"]: fault["kind"] for fault in told["failures"]} == {
        first: "no_prediction",
        second: "size",
        third: "undecodable",
        fourth: "no_matte",
    }
    assert "Failed, and scored as an empty matte: 4" in ended.out
    assert f"{second}: the matte is 7×5, the scene 48×48" in ended.out
    assert told["all"]["all"]["failed"] == 4
    truth = DataSet(bench)[0].alpha / 255
    assert told["scenes"][0]["errors"]["mse"] == pytest.approx(float((truth**2).mean()), rel=1e-6)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 41


def test_other_sets_and_other_folders_are_refused(bench: Path, finished_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    with pytest.raises(UsageError, match="holds no picture"):
        score_keyer(folder, bench)
    cv2.imwrite(str(folder / "frog.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(UsageError, match=r"no file of .* is named by a key"):
        score_keyer(folder, bench)
    cv2.imwrite(str(folder / f"{DataSet(finished_set).keys[0]}.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(UsageError, match="is no GreenBench: make one with `factory run greenbench`"):
        score_keyer(folder, finished_set)
    key = DataSet(bench).keys[0]
    for ending in (".png", ".alpha.png"):
        cv2.imwrite(str(folder / f"{key}{ending}"), np.zeros((48, 48), np.uint8))
    with pytest.raises(UsageError, match="has two mattes of"):
        score_keyer(folder, bench)
