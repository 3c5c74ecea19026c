"""Experiments: what is tested is not trained on, a cell is done once, one that fails costs no other, and the tables."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_experiment import DIES, FAILS, NAMES, WAITS, draw_photographs, recipe, regress

import factory
from factory.errors import Interrupted, UsageError
from factory.experiments.at_work import Ended
from factory.experiments.cells import Measured
from factory.experiments.contents import content_of
from factory.experiments.fields import laid_over
from factory.experiments.matting.arms import arms_of
from factory.experiments.matting.cell import MattingCell
from factory.experiments.matting.experiment import execute_experiment, outlook
from factory.experiments.matting.folds import TestPicture, find_test_pictures, in_folds
from factory.experiments.matting.one_cell import train_and_measure
from factory.experiments.matting.parts import lay_part
from factory.experiments.matting.recipe import parse_experiment
from factory.experiments.statistics import spread_of


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def whole(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment, to be looked at."""
    out = tmp_path_factory.mktemp("experiments") / "whole"
    assert ran(recipe(photographs, out)).exit_code == 0
    return out


def ran(fields: dict[str, Any], **how: Any) -> Ended:
    return execute_experiment(parse_experiment(fields), regress, say=lambda _: None, **how)


def cells(out: Path) -> list[dict[str, str]]:
    with (out / "cells.csv").open() as file:
        return list(csv.DictReader(file))


def runs(out: Path) -> int:
    """How often a cell was begun."""
    return sum(len(path.read_text().split()) for path in out.glob("cells/*/runs.txt"))


def test_each_arm_fold_and_seed_has_its_row(whole: Path) -> None:
    rows = cells(whole)
    assert {(row["arm"], row["fold"], row["seed"]) for row in rows} == {
        (arm, fold, seed) for arm in ("real", "real+drawn") for fold in "01" for seed in "123"
    }
    assert {row["state"] for row in rows} == {"done"}
    pictures = pq.read_table(whole / "pictures.parquet").to_pylist()
    tested = [row["picture"] for row in pictures if row["arm"] == "real" and row["seed"] == 1]
    assert sorted(tested) == sorted(NAMES), "each picture is tested once by each arm and seed"


def test_nothing_of_a_test_picture_is_trained_on(whole: Path) -> None:
    for about in whole.glob("cells/*/cell.json"):
        cell = json.loads(about.read_text())
        tested = {path.stem for path in (whole / "folds" / str(cell["fold"]) / "pictures").iterdir()}
        real = next(one["path"] for one in cell["training"]["loader"]["sets"] if "/drawn-" not in one["path"])
        trained = {Path(item).stem for item in factory.open(real).manifest["item"].to_pylist()}
        assert trained == set(NAMES) - tested


def test_what_is_done_is_not_done_again(whole: Path, photographs: Path) -> None:
    before = runs(whole)
    assert ran(recipe(photographs, whole)).exit_code == 0
    assert runs(whole) == before == 12


@pytest.mark.parametrize("damaged", ["{", "[]", '{"pictures": [{"mse": 1}]}', '{"pictures": 5}'])
def test_a_damaged_result_is_named(photographs: Path, tmp_path: Path, damaged: str) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1])
    ran(fields, only=["real"])
    next(tmp_path.glob("x/cells/*/errors.json")).write_text(damaged)
    with pytest.raises(UsageError, match=r"errors.json is damaged"):
        ran(fields, only=["real"])


def test_what_is_not_ours_in_a_folds_folder_is_named_and_stays(whole: Path, photographs: Path) -> None:
    foreign = whole / "folds" / "0" / "pictures" / "mine.png"
    foreign.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"mine.png is not of this experiment"):
        ran(recipe(photographs, whole))
    assert foreign.read_bytes() == b"mine"
    foreign.unlink()


def test_another_seed_adds_its_cells_alone(photographs: Path, tmp_path: Path) -> None:
    ran(recipe(photographs, tmp_path / "x", seeds=[1]))
    ran(recipe(photographs, tmp_path / "x", seeds=[1, 2]))
    assert runs(tmp_path / "x") == 8


def test_two_arms_that_are_the_same_share_their_cells(photographs: Path, tmp_path: Path) -> None:
    arms = {"a": {"sets": {"real": 1}}, "b": {"sets": {"real": 1}}}
    ran(recipe(photographs, tmp_path / "x", arms=arms, compare=[], seeds=[1]))
    assert runs(tmp_path / "x") == 2
    assert len({row["mse"] for row in cells(tmp_path / "x") if row["fold"] == "0"}) == 1


def test_an_arm_that_fails_is_told_and_the_others_go_on(photographs: Path, tmp_path: Path) -> None:
    arms = {"bad": {"sets": {"real": 1}, "training": {"lr": FAILS}}, "good": {"sets": {"real": 1}}}
    ended = ran(recipe(photographs, tmp_path / "x", arms=arms, compare=["good"], seeds=[1]))
    assert ended.exit_code == 1
    assert "- bad, fold 0, seed 1: ValueError: this arm was asked to fail" in ended.table
    assert [row["state"] for row in cells(tmp_path / "x")] == ["failed", "failed", "done", "done"]
    ran(recipe(photographs, tmp_path / "x", arms=arms, compare=["good"], seeds=[1]))
    assert runs(tmp_path / "x") == 6, "the failed ones are tried again"


def test_a_set_that_cannot_be_made_fails_its_arms_alone(photographs: Path, tmp_path: Path) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1])
    fields["sets"]["drawn"]["recipe"]["sources"] = [{"type": "rgba_folder", "path": str(tmp_path / "absent")}]
    ended = ran(fields)
    assert ended.exit_code == 1
    assert "- real+drawn, all of it: the set drawn: the recipe's folder" in ended.table
    assert {row["arm"] for row in cells(tmp_path / "x")} == {"real"}


def test_an_arm_that_saw_a_test_picture_is_not_trained(photographs: Path, tmp_path: Path) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1])
    fields["sets"]["again"] = {"recipe": fields["sets"]["real"]["recipe"] | {"size": 40}}
    fields["arms"] = {"leaks": {"sets": {"again": 1}}, "real": {"sets": {"real": 1}}}
    ended = ran(fields)
    assert "- leaks, all of it: 3 test pictures are in what is trained on: " in ended.table
    assert {row["arm"] for row in cells(tmp_path / "x")} == {"real"}


def test_a_background_that_is_a_test_picture_is_a_leak(photographs: Path, tmp_path: Path) -> None:
    training = {"loader": {"crop": 32, "backgrounds": str(photographs / "picture")}}
    ended = ran(recipe(photographs, tmp_path / "x", training=training), only=["real"])
    assert "- real, all of it: test pictures lie among the backgrounds" in ended.table
    assert runs(tmp_path / "x") == 0


def interrupted(cell: MattingCell, folder: Path) -> Sequence[Measured]:
    """Ctrl-C comes in the second seed."""
    if cell.seed == 2:
        raise KeyboardInterrupt
    return regress(cell, folder)


def test_an_interrupted_experiment_goes_on(photographs: Path, tmp_path: Path) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1, 2])
    with pytest.raises(Interrupted):
        execute_experiment(parse_experiment(fields), interrupted, say=lambda _: None)
    assert [row["state"] for row in cells(tmp_path / "x")].count("done") == 1
    assert ran(fields).exit_code == 0
    assert runs(tmp_path / "x") == 8


@pytest.mark.slow
def test_a_real_cell_trains_mattes_and_measures_the_same_each_time(photographs: Path, tmp_path: Path) -> None:
    training = {"steps": 2, "batch": 2, "workers": 0, "save_every": 1, "loader": {"crop": 64, "screen": True}}
    fields = recipe(photographs, tmp_path / "x", seeds=[1], training=training)
    fields["arms"]["real"]["folds"] = [0]
    how = {"only": ["real"], "say": lambda _: None}
    first = execute_experiment(parse_experiment(fields), train_and_measure, **how)
    assert first.exit_code == 0
    cell = next((tmp_path / "x" / "cells").iterdir())
    assert {path.stem for path in (cell / "mattes").glob("*.png")} == set(
        json.loads((cell / "cell.json").read_text())["pictures"]
    )
    for left in ("errors.json", "training/finished.json"):
        (cell / left).unlink()
    again = execute_experiment(parse_experiment(fields), train_and_measure, **how)
    assert again.table == first.table


@pytest.mark.slow
def test_a_process_that_is_killed_is_a_failed_cell(photographs: Path, tmp_path: Path) -> None:
    arms = {"killed": {"sets": {"drawn": 1}, "training": {"lr": DIES}}, "good": {"sets": {"drawn": 1}}}
    ended = ran(recipe(photographs, tmp_path / "x", arms=arms, compare=[], seeds=[1], folds=None), workers=2)
    assert "- killed, fold 0, seed 1: its process ended of signal 9" in ended.table
    assert [row["state"] for row in cells(tmp_path / "x")] == ["failed", "done"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_cells_end_with_a_run_that_is_killed(photographs: Path, tmp_path: Path) -> None:
    arms = {"a": {"sets": {"drawn": 1}, "training": {"lr": WAITS}}}
    fields = recipe(photographs, tmp_path / "x", arms=arms, compare=[], seeds=[1, 2], folds=None)
    (tmp_path / "recipe.json").write_text(json.dumps(fields))
    program = f"from test_experiments import ran_file; ran_file({str(tmp_path / 'recipe.json')!r})"
    run = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    begun = tmp_path.glob("x/cells/*/runs.txt")
    wait_until(lambda: runs(tmp_path / "x") == 2 or run.poll() is not None, 60)
    processes = [int(path.read_text()) for path in begun]
    run.kill()
    run.wait()
    assert len(processes) == 2
    wait_until(lambda: not any(is_alive(process) for process in processes), 10)
    assert not any(is_alive(process) for process in processes)


def ran_file(path: str) -> None:
    ran(json.loads(Path(path).read_text()), workers=2)


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


def test_one_arm_may_be_run_alone_and_the_table_keeps_the_others(photographs: Path, tmp_path: Path) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1])
    ran(fields, only=["real"])
    assert {row["state"] for row in cells(tmp_path / "x") if row["arm"] == "real"} == {"done"}
    assert not list((tmp_path / "x" / "sets").glob("drawn-*")), "a set that no arm wants yet is not made"
    assert {row["state"] for row in cells_after(fields, "real+drawn")} == {"done"}


def cells_after(fields: dict[str, Any], only: str) -> list[dict[str, str]]:
    ran(fields, only=[only])
    return cells(Path(fields["out"]))


def test_other_data_under_the_same_name_is_another_cell(photographs: Path, tmp_path: Path) -> None:
    backgrounds = tmp_path / "backgrounds"
    backgrounds.mkdir()
    cv2.imwrite(str(backgrounds / "a.png"), np.zeros((8, 8, 3), np.uint8))
    training = {"loader": {"crop": 32, "backgrounds": str(backgrounds)}}
    fields = recipe(photographs, tmp_path / "x", seeds=[1], training=training)
    ran(fields, only=["real"])
    cv2.imwrite(str(backgrounds / "a.png"), np.ones((8, 8, 3), np.uint8))
    ran(fields, only=["real"])
    assert runs(tmp_path / "x") == 4


def test_a_list_of_shares_or_sizes_makes_an_arm_a_value(photographs: Path, tmp_path: Path) -> None:
    arms = {
        "γ": {"sets": {"real": 1, "drawn": [0.5, 2]}},
        "n": {"sets": {"drawn": {"take": [2, 4]}}, "folds": [1], "seeds": [1]},
    }
    made = arms_of(parse_experiment(recipe(photographs, tmp_path / "x", arms=arms, compare=[])))
    assert [(arm.name, arm.axis, arm.value) for arm in made] == [
        ("γ: share of drawn 0.5", "share of drawn", 0.5),
        ("γ: share of drawn 2", "share of drawn", 2.0),
        ("n: samples of drawn 2", "samples of drawn", 2.0),
        ("n: samples of drawn 4", "samples of drawn", 4.0),
    ]
    ended = ran(recipe(photographs, tmp_path / "x", arms=arms, compare=[]), only=["n"])
    assert ended.exit_code == 0
    drawn = cv2.imread(str(tmp_path / "x" / "over-samples-of-drawn.png"))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10


def test_the_fewer_samples_are_among_the_more(whole: Path, tmp_path: Path) -> None:
    drawn = next((whole / "sets").glob("drawn-*"))
    keys = []
    for take in (2, 4, 6):
        assert lay_part(drawn, tmp_path / str(take), take=take) == take
        part = factory.open(tmp_path / str(take))
        assert all(np.array_equal(sample.rgb, factory.open(drawn)[sample.key].rgb) for sample in part)
        keys.append(set(part.keys))
    assert keys[0] < keys[1] < keys[2]
    assert content_of(tmp_path / "6") == content_of(drawn) != content_of(tmp_path / "4")
    with pytest.raises(UsageError, match="has 6 samples, asked are 7"):
        lay_part(drawn, tmp_path / "7", take=7)


def test_the_table_says_means_spreads_and_paired_differences(whole: Path) -> None:
    table = (whole / "table.md").read_text()
    by_seed: dict[str, dict[str, list[float]]] = {}
    for row in pq.read_table(whole / "pictures.parquet").to_pylist():
        by_seed.setdefault(row["arm"], {}).setdefault(row["seed"], []).append(row["mse"])
    means = {arm: [float(np.mean(values)) for values in seeds.values()] for arm, seeds in by_seed.items()}
    own = spread_of(means["real"])
    assert f"| real | 6 of 6 | {own.mean * 1000:.2f} ± {own.spread * 1000:.2f} |" in table
    apart = spread_of([a - b for a, b in zip(means["real+drawn"], means["real"], strict=True)])
    outside = "yes" if abs(apart.mean) > apart.spread else "no"
    relative = f"{apart.mean / own.mean:+.1%}"
    told = f"| real+drawn | 3 | {apart.mean * 1000:+.2f} ± {apart.spread * 1000:.2f} | {relative} | {outside} |"
    assert told in table
    assert (whole / "errors.png").is_file()


def test_a_dry_run_writes_nothing(photographs: Path, tmp_path: Path) -> None:
    told = outlook(parse_experiment(recipe(photographs, tmp_path / "x")))
    assert "12 cells in all" in told
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"compare": ["reel"]}, "compare names reel (did you mean real?)"),
        ({"arms": {"a": {"sets": {"rael": 1}}}}, "arms.a.sets names rael (did you mean real?)"),
        ({"training": {"seed": 3}}, "training.seed is the experiment's to say"),
        ({"training": {"loader": {"sets": []}}}, "training.loader.sets is the experiment's to say"),
        ({"training": {"stesp": 3}}, "arm real: wrong recipe: train.stesp: there is no such field"),
        ({"training": {"loader": {"crop": 33, "screen": True}}}, "crop is 33"),
        ({"arms": {"a": {"sets": {"real": 1}, "folds": [2]}}, "compare": []}, "arms.a.folds names fold 2"),
        ({"sets": {"real": {}}}, "give `path`"),
        ({"arms": {"a": {"sets": {"real": [1, 2], "drawn": [1, 2]}}}, "compare": []}, "arms.a has two lists"),
        ({"folds": {"sets": ["real"], "count": 7}}, "folds.count is 7, but there are 6 test pictures"),
        ({"training": {"loader": None}}, "training.loader is no group of fields"),
        ({"training": {"loader": {"crop": 32, "backgrounds": "absent"}}}, "there is no picture in"),
        ({"training": {"begin": "absent", "loader": {"crop": 32, "screen": True}}}, "there is no folder absent"),
        ({"seeds": [1, 1]}, "seeds: one of them is there twice"),
        ({"seeds": [-1]}, "seeds[0]: -1 is too small"),
        ({"sets": {"../out": {"path": "x"}}}, "sets.../out.[key]: folders are named by it"),
        ({"arms": {"a": {"sets": {"real": {"options": {"path": "x"}}}}}}, "options.path is the arm's to say"),
        ({"arms": {"a": {"sets": {"drawn": {"take": []}}}}}, "it holds too little"),
        (
            {"arms": {"a": {"sets": {"real": [1, 2]}}}, "compare": ["a"]},
            "compare names a: there are a: share",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_made(
    photographs: Path, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        ran(recipe(photographs, tmp_path / "x", **changes))
    assert told in str(refused.value)
    assert not (tmp_path / "x").exists()


def test_a_set_is_made_of_another_by_name_but_not_of_itself(photographs: Path, tmp_path: Path) -> None:
    fields = recipe(photographs, tmp_path / "x", seeds=[1], folds=None)
    fields["sets"]["kept"] = {"recipe": {"job": "filter", "data": "set:drawn"}}
    fields["arms"] = {"kept": {"sets": {"kept": 1}}}
    fields["compare"] = []
    assert ran(fields).exit_code == 0
    fields["sets"]["kept"] = {"recipe": {"job": "filter", "data": "set:kept"}}
    with pytest.raises(UsageError, match="is made of itself"):
        ran(fields)


def test_a_test_picture_without_a_trimap_is_named(photographs: Path, tmp_path: Path) -> None:
    draw_photographs(tmp_path / "p", NAMES[:3])
    (tmp_path / "p" / "trimap" / "bell.png").unlink()
    with pytest.raises(UsageError, match="trimap has nothing named bell"):
        find_test_pictures(parse_experiment(recipe(tmp_path / "p", tmp_path / "x")).test)


@pytest.mark.parametrize(("level", "told"), [(0, "the trimap has no 128"), (127, "the trimap holds 127")])
def test_a_trimap_by_which_nothing_can_be_measured_is_named_first(tmp_path: Path, level: int, told: str) -> None:
    draw_photographs(tmp_path / "p", NAMES[:3])
    trimap = cv2.imread(str(tmp_path / "p" / "trimap" / "bell.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "p" / "trimap" / "bell.png"), np.full_like(trimap, level))
    with pytest.raises(UsageError, match=rf"bell.png cannot be tested on \({told}"):
        ran(recipe(tmp_path / "p", tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@given(st.sets(st.text(min_size=1), min_size=1, max_size=30), st.integers(1, 30), st.randoms())
def test_folds_are_parts_of_equal_size_whatever_the_order(names: set[str], count: int, random: Any) -> None:
    pictures = [TestPicture(name, Path(), Path(), Path(), "") for name in sorted(names)]
    if count > len(pictures):
        with pytest.raises(UsageError):
            in_folds(pictures, count)
        return
    folds = in_folds(pictures, count)
    assert sorted(picture.name for fold in folds for picture in fold) == sorted(names)
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    random.shuffle(pictures)
    assert in_folds(pictures, count) == folds


def test_settings_are_laid_over_group_by_group() -> None:
    base = {"steps": 3, "loader": {"crop": 16, "recipe": "indexnet"}}
    assert laid_over(base, {"loader": {"crop": 8}}) == {"steps": 3, "loader": {"crop": 8, "recipe": "indexnet"}}
    assert base["loader"] == {"crop": 16, "recipe": "indexnet"}
