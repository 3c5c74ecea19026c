"""What a run must survive: killed drivers, signals, full disks, damaged files. The program runs as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import (
    BUILD,
    LOCAL,
    PATIENCE,
    commits,
    factory,
    factory_here,
    factory_obeying_modes,
    hashes,
    interrupt,
    kill_after,
    mtimes,
    start,
    wait_for,
)
from small_disk import mounted

from factory.shards.layout import Layout

RUN = (*BUILD, *LOCAL)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set that every way of making it must give. Read it only."""
    root = tmp_path_factory.mktemp("reference") / "set"
    assert factory(*RUN, "--out", root).code == 0
    return root


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    """A finished set that a test may damage."""
    return Path(shutil.copytree(reference, tmp_path / "set"))


def assert_whole(root: Path, reference: Path) -> None:
    """Finished, no scratch left, and the same bytes as an undisturbed run, which verify finds whole."""
    assert hashes(root) == hashes(reference)
    assert Layout(root).finished.exists()
    assert not Layout(root).scratch.exists()


def test_the_reference_is_whole(reference: Path) -> None:
    assert_whole(reference, reference)
    assert commits(reference) == 10
    checked = factory("verify", reference)
    assert checked.code == 0, checked.out


def test_worker_processes_give_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    assert factory(*RUN, "--workers", "2", "--out", tmp_path / "set").code == 0
    assert_whole(tmp_path / "set", reference)


def test_a_driver_killed_three_times_loses_nothing(reference: Path, tmp_path: Path) -> None:
    """With few shards made, with many, and while it finalises. Every other moment is tried in test_crashes.py."""
    layout = Layout(tmp_path / "set")
    for moment in (lambda: commits(layout.root) > 0, lambda: commits(layout.root) > 5, layout.manifest.exists):
        process = start(*RUN, "--out", layout.root)
        assert wait_for(moment, process)
        assert kill_after(process, 0), "it had ended before"
        assert not layout.finished.exists()
    ended = factory(*RUN, "--out", layout.root)
    assert ended.code == 0, ended.err
    assert_whole(layout.root, reference)


@pytest.mark.slow
def test_a_driver_with_worker_processes_killed_is_not_disturbed_by_what_they_still_do(
    reference: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for number in (1, 4):
        process = start(*RUN, "--workers", "2", "--out", root)
        wait_for(lambda number=number: commits(root) >= number, process)
        kill_after(process, 0)
    ended = factory(*RUN, "--workers", "2", "--out", root)
    assert ended.code == 0, ended.err
    assert_whole(root, reference)


def test_a_reader_of_stderr_that_leaves_does_not_end_the_run(reference: Path, tmp_path: Path) -> None:
    process = start(*RUN, "--out", tmp_path / "set")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(PATIENCE) == 0
    assert_whole(tmp_path / "set", reference)


def test_a_second_run_in_a_finished_folder_does_nothing_and_says_so(copy: Path) -> None:
    before = mtimes(copy)
    ended = factory(*RUN, "--out", copy)
    assert ended.code == 0
    assert "finished already: nothing to do" in ended.out
    assert mtimes(copy) == before


def test_other_settings_in_a_started_folder_are_refused_by_name(copy: Path) -> None:
    before = mtimes(copy)
    ended = factory(*RUN, "--seed", "9", "--set", "gates.gsg_max=3", "--out", copy)
    assert ended.code == 2
    assert "seed: 20261120 → 9" in ended.sentence
    assert "settings.gates.gsg_max: 20.0 → 3.0" in ended.sentence
    assert mtimes(copy) == before


def test_of_two_runs_at_once_the_second_is_refused(tmp_path: Path, reference: Path) -> None:
    root = tmp_path / "set"
    first = start(*RUN, "--out", root)
    assert wait_for(lambda: commits(root) > 0, first)
    first.send_signal(signal.SIGSTOP)
    try:
        second = factory(*RUN, "--out", root)
    finally:
        first.send_signal(signal.SIGCONT)
    assert second.code == 2
    assert "another run" in second.sentence
    first.communicate()
    assert first.returncode == 0
    assert_whole(root, reference)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_ends_a_run_with_one_sentence_and_it_can_go_on(
    reference: Path, tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    root = tmp_path / "set"
    process = start(*RUN, "--workers", workers, "--out", root)
    assert wait_for(lambda: commits(root) > 0, process)
    ended = interrupt(process, number, whole_group=number == signal.SIGINT)
    assert ended.code == 130
    assert "run the same command again" in ended.sentence
    assert not Layout(root).scratch.exists()
    assert commits(root) < 10
    assert "not finished" in factory("status", root).out
    assert factory(*RUN, "--out", root).code == 0
    assert_whole(root, reference)


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_ctrl_c_while_workers_start_is_one_sentence_too(tmp_path: Path, seconds: float) -> None:
    root = tmp_path / "set"
    process = start(*RUN, "--workers", "3", "--out", root)
    assert wait_for(Layout(root).events.exists, process)
    time.sleep(seconds)
    ended = interrupt(process, signal.SIGINT, whole_group=True)
    assert ended.code == 130
    assert "interrupted" in ended.sentence


def test_a_corrupted_shard_is_named_and_made_again(copy: Path, reference: Path) -> None:
    tar = Layout(copy).tar(3, "train")
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)
    found = factory("verify", copy)
    assert found.code == 1
    assert "train-000003.tar" in found.out
    assert "commits/000003.json and run the set's command again" in found.out
    Layout(copy).commit(3).unlink()
    assert factory(*RUN, "--out", copy).code == 0
    assert_whole(copy, reference)


@pytest.mark.parametrize("name", ["plan.json", "finished.json", "manifest.parquet", "commits/000002.json"])
def test_a_torn_file_is_named_or_made_again(copy: Path, reference: Path, name: str) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes()[:40])
    ended = factory(*RUN, "--out", copy)
    if name == "plan.json":
        assert ended.code == 2
        assert "plan.json is damaged" in ended.sentence
        return
    assert ended.code == 0, ended.err
    assert_whole(copy, reference)


def test_a_torn_last_line_of_the_diary_disturbs_nobody(copy: Path) -> None:
    events = Layout(copy).events
    events.write_bytes(events.read_bytes()[:-20])
    assert factory("status", copy).code == 0
    assert factory(*RUN, "--out", copy).code == 0
    lines = events.read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "finished"


def test_other_software_is_refused_until_it_is_accepted(copy: Path, reference: Path) -> None:
    plan = json.loads(Layout(copy).plan.read_text())
    plan["software"]["numpy"] = "1.0.0"
    Layout(copy).plan.write_text(json.dumps(plan))
    Layout(copy).events.unlink()  # it tells of a run under today's software
    Layout(copy).commit(0).unlink()
    refused = factory(*RUN, "--out", copy)
    assert refused.code == 2
    assert "numpy 1.0.0 → " in refused.sentence
    assert "--accept-software" in refused.sentence
    assert factory(*RUN, "--out", copy, "--accept-software").code == 0
    Layout(copy).commit(3).unlink()
    assert factory(*RUN, "--out", copy).code == 0, "what was accepted once stays so"
    assert_whole(copy, reference)


def test_another_kind_of_device_is_refused_until_it_is_accepted(copy: Path) -> None:
    layout = Layout(copy)
    for path in layout.commits.iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "another"}))
    layout.commit(0).unlink()
    refused = factory_here(*RUN, "--out", copy)
    assert refused.code == 2
    assert "are made on another and cpu, so bytes may differ" in refused.sentence
    assert factory_here(*RUN, "--out", copy, "--accept-software").code == 0
    layout.commit(1).unlink()
    assert factory_here(*RUN, "--out", copy).code == 0, "what was accepted once stays so"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB: five shards fit."""
    with mounted(tmp_path / "disk", "300k") as folder:
        yield folder


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_one_sentence_and_costs_nothing(small_disk: Path, reference: Path, workers: str) -> None:
    root = small_disk / "set"
    ended = factory(*RUN, "--workers", workers, "--out", root)
    assert ended.code == 1
    assert "No space left on device" in ended.sentence
    assert 0 < commits(root) < 10
    assert not Layout(root).scratch.exists()
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    ended = factory(*RUN, "--out", root)
    assert ended.code == 0, ended.err
    assert_whole(root, reference)


def test_a_disk_that_is_full_at_the_end_of_a_run(small_disk: Path, copy: Path, reference: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=700k", small_disk], check=True)
    root = small_disk / "set"
    root.mkdir()
    for name in ("plan.json", "data", "manifest", "rejected", "commits"):
        if (copy / name).exists():
            subprocess.run(["cp", "-r", copy / name, root], check=True)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(bytes(max(0, (free.f_bavail - 2) * free.f_frsize)))
    ended = factory(*RUN, "--out", root)
    assert ended.code == 1
    assert "No space left on device" in ended.sentence
    assert not Layout(root).finished.exists()
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    assert factory(*RUN, "--out", root).code == 0
    assert_whole(root, reference)


def test_a_folder_it_may_not_write_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for out in (closed, closed / "below"):
        ended = factory_obeying_modes(*RUN, "--out", out)
        assert ended.code == 2
        assert str(out) in ended.sentence
        assert "Permission denied" in ended.sentence


def test_a_finished_set_that_became_read_only_is_named(copy: Path) -> None:
    Layout(copy).commit(1).unlink()
    before = mtimes(copy)
    for folder in (copy / "commits", copy / "data", copy):
        folder.chmod(0o500)
    ended = factory_obeying_modes(*RUN, "--out", copy)
    copy.chmod(0o700)
    assert ended.code == 2
    assert ended.sentence == f"--out {copy} cannot be written (Permission denied): choose a folder you own."
    assert mtimes(copy) == before


def test_a_folder_of_a_set_that_became_read_only_is_named(copy: Path) -> None:
    Layout(copy).commit(1).unlink()
    (copy / "data").chmod(0o500)
    ended = factory_obeying_modes(*RUN, "--out", copy)
    assert ended.code == 2
    assert ended.sentence == f"--out {copy} cannot be written (Permission denied): choose a folder you own."
    assert not Layout(copy).commit(1).exists()
