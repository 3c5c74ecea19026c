"""The Ray executor gives the local executor's bytes, whatever dies. All tests share one local Ray of four CPUs."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import BUILD, LOCAL, commits, factory, hashes, interrupt, start, wait_for, working_actor, working_actors
from tiny_model import OPEN_GATES, save_tiny_model

from factory.engine.events import read_events
from factory.shards.layout import Layout

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
POISONED = Path(__file__).with_name("poisoned_program.py")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set as the local executor makes it. Read it only."""
    root = tmp_path_factory.mktemp("reference") / "set"
    assert factory(*BUILD, *LOCAL, "--out", root).code == 0
    return root


@pytest.fixture
def cluster(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs that a test starts join the session's Ray, so their actors can outlive them for a while."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    yield
    deadline = time.monotonic() + 60
    while working_actors() and time.monotonic() < deadline:
        time.sleep(0.1)


def assert_whole(root: Path, reference: Path) -> None:
    """Finished, no scratch left, and the bytes of the reference."""
    assert hashes(root) == hashes(reference)
    assert Layout(root).finished.exists()
    assert not Layout(root).scratch.exists()


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("workers", ["1", "3"])
def test_any_number_of_actors_gives_the_same_bytes(reference: Path, tmp_path: Path, workers: str) -> None:
    ended = factory(*BUILD, "--workers", workers, "--out", tmp_path / "set")
    assert ended.code == 0, ended.err
    assert_whole(tmp_path / "set", reference)


@pytest.mark.usefixtures("cluster")
def test_an_actor_that_is_killed_costs_nothing(reference: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    process = start(*BUILD, "--workers", "3", "--out", root)
    working_actor(process).kill()
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    deaths = [event for event in read_events(Layout(root).events) if event["event"] == "death"]
    assert len(deaths) == 1
    assert_whole(root, reference)


@pytest.mark.usefixtures("cluster")
def test_a_killed_driver_whose_actors_live_on_for_a_moment(reference: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for _ in range(2):
        process = start(*BUILD, "--workers", "3", "--out", root)
        working_actor(process)
        process.kill()
        process.communicate()
    ended = factory(*BUILD, *LOCAL, "--out", root)  # at once, while the actors may still be at work
    assert ended.code == 0, ended.err
    assert_whole(root, reference)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_on_ray_with_one_sentence(reference: Path, tmp_path: Path, number: signal.Signals) -> None:
    root = tmp_path / "set"
    process = start(*BUILD, "--workers", "2", "--out", root)
    assert wait_for(lambda: commits(root) > 0, process)
    ended = interrupt(process, number)
    assert ended.code == 130
    assert "run the same command again" in ended.sentence
    assert not Layout(root).scratch.exists()
    assert factory(*BUILD, *LOCAL, "--out", root).code == 0
    assert_whole(root, reference)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_poisoned_shard_is_quarantined_and_tried_again_by_a_rerun(reference: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (tmp_path / "poison").write_text("2")
    command = (*BUILD, "--workers", "2", "--out", root)
    for _ in range(2):
        process = start(*command, program=[str(POISONED)])
        out, err = process.communicate()
        assert process.returncode == 1, err.decode()
        assert "shard 2 is quarantined: it cost 3 workers, the last: " in out.decode()
        assert "nothing to do" not in out.decode()
        assert "Traceback" not in err.decode()
        assert "Some common causes" not in json.dumps([*read_events(Layout(root).events)]), "Ray's pages of advice"
        assert commits(root) == 9
    status = factory("status", root).out
    assert "shard 2 is quarantined" in status
    assert "6 worker deaths" in status
    (tmp_path / "poison").write_text("")
    process = start(*command, program=[str(POISONED)])
    process.communicate()
    assert process.returncode == 0
    assert "quarantined" not in factory("status", root).out
    assert_whole(root, reference)


@pytest.mark.usefixtures("cluster")
def test_what_an_actor_raises_costs_its_shard_alone(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (tmp_path / "thorns").write_text("2")
    process = start(*BUILD, "--workers", "2", "--out", root, program=[str(POISONED)])
    out, err = process.communicate()
    assert process.returncode == 1, err.decode()
    assert "shard 2 is quarantined: ValueError: a thorn, 2 times" in out.decode()
    failures = [event for event in read_events(Layout(root).events) if event["event"] == "failure"]
    assert [event["shard"] for event in failures] == [2, 2]
    assert all(event["node"] and 'raise ValueError("a thorn")' in event["trace"] for event in failures)
    assert commits(root) == 9


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    ended = factory(*BUILD, "--out", tmp_path / "set", environment={"RAY_ADDRESS": "127.0.0.1:1"})
    assert ended.code == 2
    assert "RAY_ADDRESS=127.0.0.1:1" in ended.sentence


@pytest.mark.slow
def test_a_long_tmpdir_is_one_sentence_that_names_the_mend(tmp_path: Path) -> None:
    long = tmp_path / ("a long name " * 8)
    long.mkdir()
    command = (*BUILD, "--workers", "1", "--out", tmp_path / "set")
    environment = {"TMPDIR": str(long), "RAY_ADDRESS": ""}
    ended = factory(*command, environment=environment)
    assert ended.code == 2
    assert "set RAY_TMPDIR to a short folder" in ended.sentence
    assert str(long) in ended.sentence
    assert factory(*command, environment=environment | {"RAY_TMPDIR": "/tmp"}).code == 0


@pytest.fixture(scope="module")
def generate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """A small run of a small model, whose border gate turns some attempts down."""
    folder = tmp_path_factory.mktemp("tiny")
    prompts = folder / "prompts.txt"
    prompts.write_text("a red feather\na blue leaf\na glass bubble\n")
    model = save_tiny_model(folder / "model")
    return (
        *("generate", "--model", model, "--prompts", prompts, "--n", "24", "--shard-size", "3"),
        *("--batch", "2", "--steps", "2", "--set", OPEN_GATES, "--set", "gates.border_max=0.04"),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_the_model_on_ray_survives_the_death_of_three_drivers(tmp_path: Path, generate: tuple[str | Path, ...]) -> None:
    assert factory(*generate, *LOCAL, "--out", tmp_path / "calm").code == 0
    root = tmp_path / "set"
    for done in (0, 2, 4):
        process = start(*generate, "--workers", "1", "--out", root)
        assert wait_for(lambda done=done: bool(working_actors()) and commits(root) >= done, process)
        process.kill()
        process.communicate()
    ended = factory(*generate, "--workers", "2", "--out", root)
    assert ended.code == 0, ended.err
    assert_whole(root, tmp_path / "calm")
    checked = factory("verify", root)
    assert checked.code == 0, checked.out


@pytest.mark.usefixtures("cluster")
def test_more_gpus_than_there_are_are_refused(tmp_path: Path, generate: tuple[str | Path, ...]) -> None:
    command = (*generate, "--gpus", "3", "--out", tmp_path / "set")
    ended = factory(*command)
    assert ended.code == 2
    assert "3 GPUs are asked for but the cluster has 0" in ended.sentence
    began = time.monotonic()
    ended = factory(*command, "--wait-for-gpus", "2")
    assert ended.code == 2
    assert "3 GPUs are asked for" in ended.sentence
    assert time.monotonic() - began > 2
