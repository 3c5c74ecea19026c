"""Experiments on ways to train: every arm sees the same, rates are chosen apart, a cell is done once, and the table."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from small_painting import HELD_OUT, make_base, make_data, recipe
from small_training import NETWORKS, SIZE, train_in_child
from tiny_scorers import write_clip, write_head

from factory.diffusion.train.class_pictures import seed_of
from factory.errors import Interrupted, UsageError
from factory.experiments.at_work import Ended
from factory.experiments.cells import Measured
from factory.experiments.painting.cell import PaintingCell
from factory.experiments.painting.experiment import execute_painting, outlook
from factory.experiments.painting.one_cell import train_and_paint
from factory.experiments.painting.planning import Cells, plan_painting
from factory.experiments.painting.recipe import parse_painting
from factory.experiments.statistics import spread_of

pytestmark = pytest.mark.xdist_group("painting")  # one experiment serves most of these

BAD_RATE = 0.5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("painting") / "data")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("bases") / "base")


@pytest.fixture
def fields(data: Path, base: Path, tmp_path: Path) -> Any:
    return partial(recipe, data, base, tmp_path / "x")


@pytest.fixture(scope="module")
def whole(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment of real trainings, to be looked at."""
    out = tmp_path_factory.mktemp("experiments") / "whole"
    assert ran(recipe(data, base, out), train_and_paint).exit_code == 0
    return out


def invented(cell: PaintingCell, folder: Path) -> Sequence[Measured]:
    """In the place of a training: a GSG that is least at the higher rate, and one that fails."""
    with (folder / "runs.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    rate = cell.training.phases[0].lr
    if rate == BAD_RATE:
        raise ValueError("this rate was asked to fail")
    without = 0.0 if cell.training.green_background else 20.0
    return [Measured("disc 0", {"gsg": 100 - 1000 * rate + without + cell.seed}), Measured("training", {"noise": rate})]


def ran(fields: dict[str, Any], run: Any = invented, **how: Any) -> Ended:
    return execute_painting(parse_painting(fields), run, say=lambda _: None, **how)


def cells(out: Path) -> list[dict[str, str]]:
    with (out / "cells.csv").open() as file:
        return list(csv.DictReader(file))


def runs(out: Path) -> int:
    """How often a cell was begun."""
    return sum(len(path.read_text().split()) for path in out.glob("cells/*/runs.txt"))


def test_each_arm_is_tried_at_its_rates_and_reported_at_the_best(whole: Path) -> None:
    rows = cells(whole)
    assert {row["state"] for row in rows} == {"done"}
    tried = [(row["series"], float(row["value"]), row["seed"]) for row in rows if row["series"]]
    assert tried == [(arm, rate, "101") for arm in ("ours", "without L_g") for rate in (1e-3, 1e-2)]
    assert [(row["arm"], row["seed"]) for row in rows if not row["series"]] == [
        (arm, seed) for arm in ("ours", "without L_g") for seed in "12"
    ]


def test_what_is_measured_is_each_picture_and_each_held_out_sample(whole: Path) -> None:
    told = pq.read_table(whole / "pictures.parquet").to_pylist()
    own = [row for row in told if row["arm"] == "ours" and row["seed"] == 1]
    painted = [row["picture"] for row in own if row["gsg"] is not None]
    assert painted == ["disc 0", "disc 1", "square 0", "square 1"]
    held_out = [row for row in own if row["mae"] is not None]
    assert 1 <= len(held_out) <= 5
    assert all(0 <= row["mae"] <= 1 and 0 <= row["iou"] <= 1 for row in held_out)
    assert [row["noise"] is not None for row in own].count(True) == 1


def test_pictures_lie_beside_their_numbers(whole: Path) -> None:
    for cell in whole.glob("cells/*"):
        assert cv2.imread(str(cell / "pictures.png")) is not None


def test_samples_are_prepared_once_for_all_trainings(whole: Path) -> None:
    assert len(list(whole.glob("caches/*"))) == 1
    assert len(list(whole.glob("trainings/*"))) == len(list(whole.glob("cells/*"))) == 8
    assert not list(whole.glob("trainings/*/state.pt")), "what is only needed to go on does not stay"


def test_the_table_has_the_papers_figures_beside_ours(whole: Path) -> None:
    table = (whole / "table.md").read_text()
    first = next(line for line in table.splitlines() if line.startswith("| ours |"))
    rows = [row for row in pq.read_table(whole / "cells.parquet").to_pylist() if row["arm"] == "ours"]
    own = spread_of([row["gsg"] for row in rows])
    assert f"| 2 of 2 | {own.mean:.2f} ± {own.spread:.2f} | 98.98 | not scored | 5.26 |" in first
    assert "## Less ours" in table
    assert (whole / "results.png").is_file()
    assert (whole / "over-learning-rate.png").is_file()


def test_what_is_done_is_not_done_again(fields: Any, tmp_path: Path) -> None:
    assert ran(fields()).exit_code == 0
    assert runs(tmp_path / "x") == 8
    assert ran(fields()).exit_code == 0
    assert runs(tmp_path / "x") == 8
    assert ran(fields(seeds=[1, 2, 3])).exit_code == 0
    assert runs(tmp_path / "x") == 10, "another seed adds its cells alone"


def test_the_best_rate_is_that_of_the_chosen_metric_on_other_seeds(fields: Any, tmp_path: Path) -> None:
    for by, best in (("gsg", "0.01"), ("noise", "0.001")):
        table = ran(fields(choose_by=by)).table
        assert f"| ours | {best} | 2 of 2 |" in table
        assert f"| ours | {best} | 1 of 1 | " in table
        assert "yes, at the end of those tried" in table


def test_a_rate_that_fails_is_named_and_not_chosen(fields: Any, tmp_path: Path) -> None:
    ended = ran(fields(rates=[1e-3, BAD_RATE]))
    assert ended.exit_code == 0, "what is reported is whole"
    assert "- ours at 0.5, seed 101: ValueError: this rate was asked to fail" in ended.table
    assert "| ours | 0.001 | 2 of 2 |" in ended.table
    assert runs(tmp_path / "x") == 8, "it is tried again by the next command, not by this one"


def test_no_rate_is_chosen_while_one_is_still_to_be_tried(fields: Any, tmp_path: Path) -> None:
    ran(fields(rates=[1e-3, 1e-2]), only=["ours"])
    table = ran(fields(rates=[1e-3, 1e-2, 5e-2]), only=["without L_g"]).table
    assert "| ours | – | 0 of 2 |" in table
    assert "| without L_g | 0.05 | 2 of 2 |" in table


def test_an_arm_of_which_no_rate_trains_costs_no_other(fields: Any, tmp_path: Path) -> None:
    arms = {"ours": {}, "bad": {"rates": [BAD_RATE], "training": {"detail": False}}}
    ended = ran(fields(arms=arms))
    assert ended.exit_code == 1
    assert "- bad, seed 1: ValueError: this rate was asked to fail" in ended.table
    assert "| ours | 0.01 | 2 of 2 |" in ended.table


def interrupted(cell: PaintingCell, folder: Path) -> Sequence[Measured]:
    """Ctrl-C comes in the second reported seed."""
    if cell.seed == 2:
        raise KeyboardInterrupt
    return invented(cell, folder)


def test_an_interrupted_experiment_goes_on(fields: Any, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        ran(fields(), interrupted)
    assert runs(tmp_path / "x") == 5
    assert ran(fields()).exit_code == 0
    assert runs(tmp_path / "x") == 8


def test_one_arm_may_be_run_alone_and_the_table_keeps_the_others(fields: Any, tmp_path: Path) -> None:
    ran(fields(), only=["ours"])
    assert {row["arm"] for row in cells(tmp_path / "x") if row["state"] == "done"} == {
        *("ours at 0.001", "ours at 0.01", "ours"),
    }
    table = ran(fields(), only=["without L_g"]).table
    assert "| ours | 0.01 | 2 of 2 |" in table
    assert runs(tmp_path / "x") == 8


def test_arms_that_only_paint_otherwise_share_their_training(fields: Any, tmp_path: Path) -> None:
    arms = {"noise": {}, "marginal": {"sampler": {"start": "marginal"}}}
    assert ran(fields(arms=arms, rates=None, seeds=[1], compare=["noise"]), train_and_paint).exit_code == 0
    assert len(list(tmp_path.glob("x/trainings/*"))) == 1
    assert len(list(tmp_path.glob("x/cells/*"))) == 2


def test_a_killed_training_goes_on_to_the_same_numbers(fields: Any, whole: Path, tmp_path: Path) -> None:
    how = fields(arms={"ours": {}}, rates=[1e-3], seeds=[101], choose_seeds=[7], shared=str(tmp_path / "shared"))
    experiment = plan_painting(parse_painting(how), (), lambda _: None)
    cell = Cells(experiment).of(experiment.methods[0], experiment.rows[0], 1e-3)[0]
    child = multiprocessing.get_context("spawn").Process(
        target=train_in_child, args=(cell.training, cell.training_folder, ("joint", 2))
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    shutil.rmtree(cell.training_folder / "cache")
    assert ran(how, train_and_paint).exit_code == 0
    undisturbed = json.loads((whole / "cells" / cell.fingerprint[:16] / "errors.json").read_text())
    resumed = json.loads((cell.folder / "errors.json").read_text())
    for one in (undisturbed, resumed):
        del one["pictures"][-1]["seconds"]
    assert resumed == undisturbed


@pytest.mark.slow
def test_cells_in_processes_give_what_they_give_one_after_the_other(fields: Any, whole: Path, tmp_path: Path) -> None:
    assert ran(fields(), train_and_paint, workers=2).exit_code == 0
    for name in ("gsg", "mae", "iou", "noise"):
        assert [row[name] for row in cells(tmp_path / "x")] == [row[name] for row in cells(whole)]


def test_pictures_of_a_class_begin_with_the_same_noise_whatever_else_is_painted() -> None:
    assert seed_of("dog", 3) == seed_of("dog", 3) != seed_of("dog", 4)
    assert 0 <= seed_of("cat", 0) < 2**63


def test_the_aesthetic_score_is_told_where_a_scorer_is_given(fields: Any, tmp_path: Path) -> None:
    scorer = {"clip": str(write_clip(tmp_path / "clip")), "head": str(write_head(tmp_path / "head.npz"))}
    table = ran(fields(arms={"ours": {}}, rates=None, seeds=[1], aesthetic=scorer), train_and_paint).table
    assert "not scored" not in table


def test_a_dry_run_says_cells_and_steps_and_writes_nothing(fields: Any, tmp_path: Path) -> None:
    told = outlook(parse_painting(fields()))
    assert "arm ours: 2 rates × 1 seeds by gsg, then 2 seeds; 4 steps each" in told
    assert "8 cells in all: 32 steps, 32 pictures" in told
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"compare": ["our"]}, "compare names our (did you mean ours?)"),
        ({"seeds": [1, 101]}, "seed 101 is in seeds and in choose_seeds"),
        ({"choose_by": "iou", "held_out": None}, "choose_by is iou, of the head: give held_out"),
        (
            {"held_out": {"data": "set:discs", "split": "train"}},
            "arm ours trains on held_out, the split train of set:discs",
        ),
        ({"choose_by": "aesthetic"}, "choose_by is aesthetic, and no scorer is given"),
        ({"arms": {"ours": {"training": {"seed": 3}}}}, "arms.ours.training.seed is the experiment's to say"),
        ({"arms": {"ours": {"paper": {"gsq": 3}}}}, "arms.ours.paper names gsq (did you mean gsg?)"),
        ({"arms": {"ours": {"training": {"detial": False}}}}, "arm ours: wrong recipe: train.detial: there is no such"),
        ({"arms": {"ours": {"sampler": {"stesp": 3}}}}, "arm ours: sampler has no field stesp"),
        ({"arms": {"ours": {"training": {"base": ""}}}}, "arm ours has no base"),
        ({"arms": {"ours": {"training": {"base": "absent"}}}}, "train.base: there is no folder absent"),
        ({"arms": {"ours": {"training": {"base": "set:bse"}}}}, "arms.ours names bse (did you mean base?)"),
        ({"painting": {"classes": ["disc"], "prompt": "a disc"}}, "prompt has no {name}"),
        ({"painting": {"classes": []}}, "painting.classes"),
        ({"rates": [0]}, "rates"),
    ],
)
def test_a_wrong_recipe_is_named_in_a_sentence(fields: Any, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    if "compare" not in changes:
        changes = {"compare": [], **changes}
    with pytest.raises(UsageError) as error:
        ran(fields(**changes))
    assert told in str(error.value)
    assert not (tmp_path / "x").exists()


def test_arms_that_see_different_numbers_of_samples_are_refused(fields: Any) -> None:
    longer = [{"name": "generation", "steps": 3, "batch": 2}]
    with pytest.raises(UsageError, match="arm long sees 6 samples, and ours 8: give all arms the same"):
        ran(fields(arms={"ours": {}, "long": {"training": {"phases": longer}}}))


def test_held_out_samples_that_there_are_none_of_are_named(fields: Any) -> None:
    table = ran(fields(held_out={"data": "set:discs", "split": "validation"})).table
    assert "has no sample of the split validation with a soft matte" in table


def test_a_base_is_trained_once_and_dreambooth_learns_beside_what_it_paints(
    data: Path, fields: Any, tmp_path: Path
) -> None:
    how = {"batch": 2, "lr": 1e-3, "warmup": 0}
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((16, 16, 3), 90, np.uint8))
    own = {
        "data": [{"folder": "set:discs", "backgrounds": str(tmp_path)}],
        "phases": [{"name": "autoencoder", "steps": 2, **how}, {"name": "generation", "steps": 2, **how}],
        "networks": asdict(NETWORKS),
        "size": SIZE,
        "train_text_encoder": True,
        "green_background": False,
        "detail": False,
    }
    painted = {"model": "set:base", "classes": ["disc", "square"], "each": 3, "sampler": {"steps": 2}}
    sets = {
        "discs": {"path": str(data)},
        "other": {"path": str(data.parent / HELD_OUT)},
        "base": {"recipe": {"job": "train", "train": own}},
        "priors": {"painted": painted},
    }
    both = [{"folder": "set:discs"}, {"folder": "set:priors", "screen": False, "repeat": 8}]
    plain = {"green_background": False, "detail": False}
    arms = {"lora": {"training": plain | {"lora": {"rank": 2}}}, "dreambooth": {"training": plain | {"data": both}}}
    asked = fields(sets=sets, arms=arms, compare=[], rates=None, seeds=[1])
    assert "set base: " in outlook(parse_painting(asked))
    ended = ran(asked, train_and_paint)
    assert ended.exit_code == 0, ended.table
    painted_files = {path.name for path in tmp_path.glob("x/sets/priors-*/*.*")}
    assert {"disc-0000.png", "square-0002.txt"} <= painted_files
    assert len(list(tmp_path.glob("x/sets/base-*/model/model_index.json"))) == 1
    again = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("x/sets/**/*.png"))]
    assert ran(asked, train_and_paint).table == ended.table
    assert again == [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("x/sets/**/*.png"))]


def test_another_base_is_another_cell(fields: Any, base: Path, tmp_path: Path) -> None:
    ran(fields(arms={"ours": {}}, rates=None, seeds=[1]))
    other = make_base(tmp_path / "base")
    (other / "scheduler" / "scheduler_config.json").write_text(
        json.dumps(json.loads((other / "scheduler" / "scheduler_config.json").read_text()) | {"steps_offset": 0})
    )
    sets = fields()["sets"] | {"base": {"path": str(other)}}
    ran(fields(arms={"ours": {}}, rates=None, seeds=[1], sets=sets))
    assert runs(tmp_path / "x") == 2
