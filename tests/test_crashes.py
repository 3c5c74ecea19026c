"""A run that a kill or a power cut ended at any moment goes on to the same bytes: every such moment is tried."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from crashes import Crashes, Tree, lay_out, tree_of
from small_set import make_shards, small_plan
from small_sources import cut_outs, manifest, recipe
from small_training import make_set, quiet, small_settings
from tiny_model import OPEN_GATES, save_tiny_model

from factory.diffusion.train.settings import LowRankSettings, Phase
from factory.diffusion.train.trainer import train
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.jobs import generate
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import JOBS, parse
from factory.jobs.train import JOB, TrainRecipe
from factory.run.execute import execute
from factory.run.train import execute_training
from factory.shards.commit import valid_commits
from factory.shards.durable import fsync
from factory.shards.finalise import finalise, mark_finished
from factory.shards.layout import Layout

pytestmark = pytest.mark.slow
torch.set_num_threads(1)
TO_LOOK_AT = ("report", "pictures", "curves.png", "events.jsonl", ".lock", ".survey")  # what no reader takes data from
OF_ITS_DAY = {"seconds", "run", "waiting", "images_per_second"}  # fields of records; the clock stands still
LASTED = re.compile(rb"[\d.]+ (second|minute)s?")  # a model's card tells how long it was trained
Run = Callable[[], object]


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are made at one moment: records and cards tell when."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for one set, and nothing else."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def silent(_sentence: str) -> None:
    """Nobody reads."""


def promised(tree: Tree) -> dict[str, bytes | None]:
    """What of a folder must be the same after any crash, without what tells of its day."""
    return {
        path: content if content is None else without_its_day(path, content)
        for path, content in tree.items()
        if not path.partition("/")[2].startswith(TO_LOOK_AT)
    }


def without_its_day(path: str, content: bytes) -> bytes:
    name = Path(path).name
    if name == "state.pt":
        return b"a training's seconds are in it"
    if name == "finished.json" or "/commits/" in path:
        return timeless(content)
    if name == "log.jsonl":
        return b"".join(timeless(line) for line in content.splitlines())
    return LASTED.sub(b"", content) if "/model/" in path and name == "README.md" else content


def timeless(record: bytes) -> bytes:
    fields: dict[str, Any] = json.loads(record)
    return json.dumps({field: value for field, value in fields.items() if field not in OF_ITS_DAY}).encode()


def crashes_survived(home: Path, run: Run) -> int:
    """Run it undisturbed, then go on after each crash that it could have had; returns how many differ."""
    crashes = Crashes(home)
    with crashes.recorded():
        run()
    whole = promised(tree_of(home))
    assert whole.items() <= promised(crashes.power_cut[-1]).items(), "what is finished is on the disk"
    states = crashes.states("set/.tmp")
    for left in states:
        lay_out(left, home)
        run()
        assert promised(tree_of(home)) == whole
    return len(states)


def test_a_kill_leaves_what_was_written_and_a_power_cut_what_was_fsynced(home: Path) -> None:
    crashes = Crashes(home)
    with crashes.recorded():
        for is_forced in (True, False):
            with (home / "new").open("wb") as file:
                file.write(b"whole" if is_forced else b"another")
                if is_forced:
                    file.flush()
                    os.fsync(file.fileno())
            (home / "new").replace(home / "file")
            fsync(home)
    first = [{}, {"new": b""}, {"new": b"whole"}, {"file": b"whole"}]
    second = [{"file": b"whole", "new": b""}, {"file": b"whole", "new": b"another"}, {"file": b"another"}]
    assert crashes.killed == [*first, *second]
    assert crashes.power_cut == [{}, {"file": b"whole"}, {"file": b""}]
    assert crashes.operations == 7, "each file is opened, perhaps fsynced, and moved; the folder is fsynced"


def making(fields: dict[str, Any], out: Path) -> Run:
    """The run of a recipe that makes a set."""
    whole = {"executor": "local", "workers": 1, "seed": 3, "shard_size": 2, "batch": 2, "out": str(out), **fields}
    return lambda: execute(parse(whole), silent)


def building(home: Path, out: Path) -> Run:
    """Drawn samples and cut-outs, of which some are turned down and one is broken."""
    things = cut_outs(home / "things", 2)
    (things / "torn.png").write_bytes(b"\x89PNG")
    drawn = {"type": "procedural", "n": 2, "classes": ["heart"]}
    owned = {"type": "rgba_folder", "path": things, "allowed_failures": 1.0}
    path = recipe(home / "recipe.yaml", drawn, owned)
    fields = {"shard_size": 2, "max_attempts": 2, "gates": {"coverage_max": 0.45}, "keep_rejected": True}
    return making({**read_yaml(path), **fields}, out)


def fates_in(root: Path) -> set[str]:
    return {row["status"] for row in manifest(root)}


def test_building_survives_every_crash(home: Path, tmp_path: Path) -> None:
    assert crashes_survived(home, building(tmp_path, home / "set")) >= 70
    assert fates_in(home / "set") == {"accepted", "rejected", "failed"}
    assert list((home / "set" / "rejected").glob("attempts-*.tar"))


def test_generating_survives_every_crash(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: dict[str, Line] = {}  # the model stays in memory: to load it takes longer than to paint

    def line(plan: Plan, root: Path) -> Line:
        if plan.fingerprint not in lines:
            lines[plan.fingerprint] = generate.line(plan, root)
        return lines[plan.fingerprint]

    monkeypatch.setitem(JOBS, "generate", replace(generate.JOB, line=line))
    (tmp_path / "prompts.txt").write_text("a red feather\n")
    fields = {
        "job": "generate",
        "model": str(save_tiny_model(tmp_path / "model")),
        "prompts": str(tmp_path / "prompts.txt"),
        "n": 3,
        "sampler": {"steps": 1},
        "gates": yaml.safe_load(OPEN_GATES.removeprefix("gates=")),
    }
    assert crashes_survived(home, making(fields, home / "set")) >= 50


def test_filtering_survives_every_crash(home: Path, tmp_path: Path) -> None:
    building(tmp_path, tmp_path / "built")()
    fields = {"job": "filter", "data": str(tmp_path / "built"), "gates": {"coverage_max": 0.35}}
    assert crashes_survived(home, making(fields, home / "set")) >= 50
    assert fates_in(home / "set") == {"accepted", "rejected"}


@pytest.mark.parametrize("finished_before", [0, 3])
def test_finalising_survives_every_crash(home: Path, finished_before: int) -> None:
    """Four shards, of which the first three may have been a finished set before."""
    plan, layout = small_plan(), Layout(home / "set")

    def finish(shards: Iterable[int]) -> None:
        shutil.rmtree(layout.scratch, ignore_errors=True)  # as a driver does
        done = {record.shard for record in valid_commits(layout, plan.fingerprints)}
        records = make_shards(layout.root, plan, [number for number in shards if number not in done])
        finalise(layout, records)
        mark_finished(layout, records)

    if finished_before:
        finish(range(finished_before))
    make_shards(layout.root, plan, range(finished_before, plan.shards))
    assert crashes_survived(home, lambda: finish(range(plan.shards))) >= 10


def test_a_training_survives_every_crash(home: Path, tmp_path: Path) -> None:
    phases = (Phase(name="autoencoder", steps=1, batch=2, lr=1e-3), Phase(name="joint", steps=1, batch=2, lr=1e-3))
    settings = small_settings(make_set(tmp_path / "data", 9), phases=phases, save_every=1, picture_guidance=1.0)
    wanted = TrainRecipe(out=home / "set", train=settings)
    assert crashes_survived(home, lambda: execute_training(JOB, wanted)) >= 70


@pytest.mark.slow
def test_a_training_of_low_rank_changes_survives_every_crash(home: Path, tmp_path: Path) -> None:
    data = make_set(tmp_path / "data", 9)
    first = (Phase(name="autoencoder", steps=1, batch=2, lr=1e-3), Phase(name="joint", steps=1, batch=2, lr=1e-3))
    base = train(small_settings(data, phases=first, picture_guidance=1.0), tmp_path / "base", quiet)
    wanted = TrainRecipe(
        out=home / "set",
        train=small_settings(
            data,
            base=str(base),
            phases=(Phase(name="joint", steps=1, batch=2, lr=1e-3),),
            lora=LowRankSettings(rank=2),
            train_text_encoder=False,
            save_every=1,
            picture_guidance=1.0,
        ),
    )
    assert crashes_survived(home, lambda: execute_training(JOB, wanted)) >= 50
