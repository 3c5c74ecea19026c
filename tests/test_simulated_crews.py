"""The driver's promise to large crews: every shard is made once or quarantined with its reason, whoever is ill."""

import random
from typing import Any

import pytest
from simulated_crew import SimulatedCrew, nodes_for

from factory.engine.crew import Done, Lost
from factory.engine.drive import PATIENCE, Drive, Quarantined
from factory.engine.faults import fault_of
from factory.errors import InputChanged, MachineError


class Told(list[Any]):
    """All that the driver told."""

    def __call__(self, news: object) -> None:
        self.append(news)

    def of(self, kind: type) -> list[Any]:
        return [news for news in self if isinstance(news, kind)]


def ill_nodes(places: list[str]) -> set[str]:
    """Every tenth node, where there are ten."""
    nodes = list(dict.fromkeys(places))
    return set(nodes[9::10])


@pytest.mark.parametrize("workers", [1, 100, 1000])
def test_every_shard_is_made_once_or_quarantined_with_its_reason(workers: int) -> None:
    shards = range(max(200, 10 * workers))
    raising = set(random.Random(1).sample(shards, len(shards) // 100))
    places = nodes_for(workers)
    crew = SimulatedCrew(places, raising=raising, ill=ill_nodes(places), failing_starts=0.02)
    told = Told()
    drive = Drive(crew, shards, workers, told)
    drive.run()
    assert set(drive.quarantined) == raising, "a healthy shard is not blamed for an ill node"
    assert set(drive.quarantined.values()) == {"ValueError: cannot reshape, 2 times (the traceback is in events.jsonl)"}
    assert {news.shard: "cannot reshape" in news.trace for news in told.of(Quarantined)} == dict.fromkeys(raising, True)
    assert set(crew.made) == set(shards) - raising
    assert set(crew.made.values()) == {1}
    assert crew.dismissed


def test_an_ill_node_gets_no_more_workers_and_the_others_do() -> None:
    places = nodes_for(100)
    crew = SimulatedCrew(places, ill={"node 3"})
    told = Told()
    Drive(crew, range(5000), 100, told).run()
    assert len(crew.made) == 5000
    assert 10 + PATIENCE <= crew.hired_on["node 3"] <= 21, "its ten, and some until it is known to be ill"
    assert {loss.node for loss in told.of(Lost)} == {"node 3"}
    assert all(loss.shard is not None for loss in told.of(Lost))


@pytest.mark.parametrize(("workers", "lost"), [(1, 4), (2, 4), (1000, 1500)])
def test_a_crew_of_which_half_is_out_of_service_ends_the_run(workers: int, lost: int) -> None:
    places = nodes_for(workers)
    crew = SimulatedCrew(places, ill=set(places))
    with pytest.raises(MachineError, match=r"Stale file handle: /shared/set.*run the same command again") as ended:
        Drive(crew, range(10_000), workers, Told()).run()
    so_far = int(str(ended.value).split("lost, ")[1].split()[0].replace(",", ""))
    assert so_far <= lost + workers // 10
    assert crew.dismissed


def test_four_early_deaths_do_not_end_the_run_of_a_thousand() -> None:
    crew = SimulatedCrew(nodes_for(1000), failing_starts=0.2, seed=3)
    told = Told()
    Drive(crew, range(3000), 1000, told).run()
    assert len(told.of(Lost)) > 200
    assert len(crew.made) == 3000


def test_a_worker_that_fails_over_every_shard_does_not_get_the_blame_put_on_them() -> None:
    crew = SimulatedCrew(["good"] * 9 + ["bad"], ill={"bad"})
    drive = Drive(crew, range(200), 10, Told())
    drive.run()
    assert not drive.quarantined
    assert len(crew.made) == 200


def test_a_machine_that_falls_ill_late_ends_the_run_soon() -> None:
    ill: set[str] = set()
    crew = SimulatedCrew(["node"], ill=ill)
    told = Told()

    def tell(news: object) -> None:
        told(news)
        if len(crew.made) == 500:
            ill.add("node")

    with pytest.raises(MachineError, match="4 so far"):
        Drive(crew, range(1000), 1, tell).run()


def test_a_fault_in_every_shard_is_raised_as_it_is() -> None:
    crew = SimulatedCrew(["node"], raising=range(1000))
    with pytest.raises(ValueError, match="cannot reshape") as ended:
        Drive(crew, range(1000), 1, Told()).run()
    assert "ValueError" in ended.value.__notes__[0]


def test_what_only_people_can_mend_ends_the_run_at_once() -> None:
    class Changed(SimulatedCrew):
        """Its first worker finds an input changed."""

        def listen(self, seconds: float) -> list[Any]:
            news = super().listen(seconds)
            return [Lost(0, fault_of(InputChanged("a.png has changed")))] if isinstance(news[0], Done) else news

    crew = Changed(nodes_for(1000))
    with pytest.raises(InputChanged, match=r"a\.png has changed"):
        Drive(crew, range(10), 1000, Told()).run()
    assert crew.dismissed
