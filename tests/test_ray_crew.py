"""What the Ray crew hears and tells, with simulated actors: what a piece of news costs, and who is to blame."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from crew import of_a_good_actor, order_for
from ray.exceptions import ActorDiedError, ActorUnavailableError, NodeDiedError
from simulated_ray import Answer, NeverAnswered, SimulatedActor, SimulatedRay

from factory.engine import on_ray
from factory.engine.crew import Done, Lost, News, Ready, Working
from factory.engine.drive import Drive
from factory.engine.faults import Blame, fault_of
from factory.errors import UsageError

Hire: TypeAlias = Callable[..., tuple[on_ray.RayCrew, SimulatedRay]]
SOON = 10.0  # seconds, in which all must have been heard


@pytest.fixture
def hire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hire:
    """A Ray crew whose actors answer as they are told to."""

    def make(answer: Answer, workers: int) -> tuple[on_ray.RayCrew, SimulatedRay]:
        simulated = SimulatedRay(answer)
        monkeypatch.setattr(on_ray, "ray", simulated)
        crew = on_ray.RayCrew(order_for(tmp_path, 1000), workers, 0.0)
        for _ in range(workers):
            crew.hire()
        return crew, simulated

    return make


def heard(crew: on_ray.RayCrew, number: int) -> list[News]:
    """So many pieces of news, or all that came soon."""
    news: list[News] = []
    deadline = time.monotonic() + SOON
    while len(news) < number and time.monotonic() < deadline:
        news += crew.listen(0.01)
    return news


def never_done(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
    if method == "run":
        raise NeverAnswered
    return of_a_good_actor(actor, method, given)


def test_a_thousand_actors_make_every_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "ray", SimulatedRay(of_a_good_actor))
    told: list[Any] = []
    crew = on_ray.RayCrew(order_for(tmp_path, 3000), 1000, 0.0)
    Drive(crew, range(3000), 1000, told.append).run()
    assert sorted(news.record.shard for news in told if isinstance(news, Done)) == list(range(3000))


def test_all_that_is_there_is_heard_at_once(hire: Hire) -> None:
    crew, simulated = hire(of_a_good_actor, 100)
    assert len(heard(crew, 100)) == 100
    for worker in range(100):
        crew.give(worker, worker)
    simulated.actors[0].node.remote().future().result(SOON)  # calls are answered in their order
    assert [news.worker for news in crew.listen(1) if isinstance(news, Done)] == list(range(100))


def test_of_many_actors_some_are_asked_in_turn(hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "POLL_SECONDS", 0.0)
    crew, simulated = hire(never_done, 100)
    assert len(heard(crew, 100)) == 100
    for worker in range(100):
        crew.give(worker, worker)
    asked = []
    for _ in range(100 // on_ray.POLLS):
        asked.append(simulated.asked["progress"])
        crew.listen(0)
        time.sleep(0.02)
    assert max(later - before for before, later in pairwise(asked)) == on_ray.POLLS
    told = {news.worker for news in heard(crew, 100) if isinstance(news, Working)}
    assert len(told) >= 100 - on_ray.POLLS, "each had its turn before any had a second one"


def test_a_death_names_its_node_and_its_reason(hire: Hire) -> None:
    def dies(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
        if method == "run":
            raise ActorDiedError
        return of_a_good_actor(actor, method, given)

    crew, simulated = hire(dies, 11)
    assert len(heard(crew, 11)) == 11
    crew.give(10, 0)
    (lost,) = heard(crew, 1)
    assert isinstance(lost, Lost)
    assert (lost.worker, lost.node, lost.blameless, lost.fault.blame) == (10, "node 1", False, Blame.WORKER)
    assert "died" in lost.fault.reason
    assert simulated.actors[10].killed


@pytest.mark.parametrize("later", [NodeDiedError("gone"), None])
def test_a_node_out_of_reach_costs_its_shard_no_try_and_the_driver_no_wait(
    hire: Hire, monkeypatch: pytest.MonkeyPatch, later: Exception | None
) -> None:
    """later: what becomes of it: the node is gone, or its actor answers again."""
    monkeypatch.setattr(on_ray, "POLL_SECONDS", 0.3)

    def answer(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
        if method == "run" and given == (7,):
            raise ActorUnavailableError("no answer", None)
        if method == "node" and ready and later:
            raise later
        return of_a_good_actor(actor, method, given)

    ready: list[bool] = []
    crew, _ = hire(answer, 2)
    assert len(heard(crew, 2)) == 2
    ready.append(True)
    crew.give(0, 7)
    crew.give(1, 8)
    done, lost = (news for news in heard(crew, 2) if not isinstance(news, Working))
    assert isinstance(done, Done), "the other one is heard meanwhile"
    assert isinstance(lost, Lost)
    assert (lost.worker, lost.blameless) == (0, True)


def test_an_actor_that_stays_out_of_reach_is_given_up(hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(on_ray, "NODE_LOSS_SECONDS", 0.1)

    def answer(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
        if method == "run" or (method == "node" and ready):
            raise ActorUnavailableError("no answer", None)
        return of_a_good_actor(actor, method, given)

    ready: list[bool] = []
    crew, simulated = hire(answer, 1)
    assert len(heard(crew, 1)) == 1
    ready.append(True)
    crew.give(0, 7)
    (lost,) = [news for news in heard(crew, 1) if isinstance(news, Lost)]
    assert not lost.blameless
    assert simulated.actors[0].killed


def test_a_start_that_raised_says_what_and_the_actor_is_let_go(hire: Hire) -> None:
    def refuses(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
        if method == "start":
            return fault_of(UsageError("node x does not see /data: put --out on a file system all nodes share."))
        return of_a_good_actor(actor, method, given)

    crew, simulated = hire(refuses, 1)
    (lost,) = heard(crew, 1)
    assert isinstance(lost, Lost)
    assert lost.fault.blame is Blame.RUN
    assert str(lost.fault.error).startswith("node x does not see /data")
    assert simulated.actors[0].killed
    assert not any(isinstance(news, Ready) for news in crew.listen(0.05))
