"""Promise: a training set that was killed at any moment, or ran out of disk, goes on and has the same bytes."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from program import LOCAL, commits, factory, hashes, start, wait_for
from small_disk import mounted
from small_sources import film, made, mixed_recipe

from factory.shards.layout import Layout

GRACE = 30  # seconds in which orphans must notice that they are
RUN = ("build-green100k", *LOCAL)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A recipe of two clips, three pairs and five cut-outs, all sound."""
    return mixed_recipe(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 260 kB: some of the shards fit."""
    with mounted(tmp_path / "disk", "260k") as folder:
        yield folder


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_disk_that_fills_up_costs_nothing(mixed: Path, small_disk: Path, tmp_path: Path, workers: str) -> None:
    made(mixed, tmp_path / "reference")
    root = small_disk / "set"
    ended = factory(*RUN, mixed, "--workers", workers, "--out", root)
    assert ended.code == 1
    assert "No space left on device" in ended.sentence
    assert not Layout(root).finished.exists()
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    made(mixed, root)
    assert hashes(root) == hashes(tmp_path / "reference")


@pytest.fixture(scope="module")
def long_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose survey takes as long as its making: twelve clips and some pictures."""
    home = tmp_path_factory.mktemp("long")
    path = mixed_recipe(home)
    for number in range(10):
        film(home / "clips" / f"more {number}.mp4", first=5 * number)
    return path


@pytest.mark.slow
def test_killed_while_it_plans_makes_and_finalises_it_gives_the_same_bytes(long_one: Path, tmp_path: Path) -> None:
    """And nobody is left behind. Every moment of a run of one process is tried in test_crashes.py."""
    run, layout = (*RUN, long_one, "--workers", "2"), Layout(tmp_path / "set")
    made(long_one, tmp_path / "reference")
    for moment in (lambda: looks(layout.root) > 0, lambda: commits(layout.root) > 0, layout.manifest.exists):
        process = start(*run, "--out", layout.root)
        assert wait_for(moment, process)
        assert killed(process, 0), "it had ended before"
        assert not layout.finished.exists()
    assert factory(*run, "--out", layout.root).code == 0
    assert hashes(layout.root) == hashes(tmp_path / "reference")
    assert not layout.scratch.exists()


def test_a_killed_survey_goes_on_where_it_was(mixed: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    process = start(*RUN, mixed, "--workers", "1", "--out", root)
    assert wait_for(lambda: looks(root) > 0, process)
    assert killed(process, 0)
    assert commits(root) == 0
    made(mixed, root, workers=1)
    assert looks(root) == 2 + 6 + 5, "two clips, the hashes of three pairs, five cut-outs: none twice"


def killed(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL it after so long; all that it had started must then end of itself. False where it had ended before."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        left = psutil.wait_procs(started, GRACE)[1]
        for orphan in left:
            orphan.kill()
        process.communicate()
        assert not left, "processes outlive the run that started them"
        return True
    return False


def looks(root: Path) -> int:
    """How many looks at inputs are remembered."""
    survey = Layout(root).survey
    return sum(bool(line) for line in survey.read_bytes().split(b"\n")) if survey.exists() else 0
