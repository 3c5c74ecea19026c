"""What `RayCrew` asks of the module `ray`, without Ray: a thousand actors that answer from another thread, in turn."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

PAUSE = 5e-5  # seconds between two shards that are done: the driver hears each by itself, as from a real cluster

Answer: TypeAlias = Callable[["SimulatedActor", str, tuple[Any, ...]], Any]
"""What an actor answers to (itself, method, arguments); raises what the call would raise."""


class SimulatedRay:
    """Takes the module's place while the crew is made and used."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: SimpleQueue[tuple[SimulatedActor, str, tuple[Any, ...], Future[Any]]] = SimpleQueue()
        self.actors: list[SimulatedActor] = []
        self.asked: Counter[str] = Counter()  # by method
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            actor, method, arguments, answer = self._calls.get()
            if method == "run":
                time.sleep(PAUSE)
            try:
                answer.set_result(self._answer(actor, method, arguments))
            except NeverAnswered:
                continue
            except Exception as error:  # noqa: BLE001  (as Ray does)
                answer.set_exception(error)

    def call(self, actor: "SimulatedActor", method: str, arguments: tuple[Any, ...]) -> "Reference":
        answer: Future[Any] = Future()
        self.asked[method] += 1
        self._calls.put((actor, method, arguments, answer))
        return Reference(answer)

    def remote(self, actor_class: type) -> "ActorClass":
        return ActorClass(self)

    def put(self, value: Any) -> Any:
        return value

    def kill(self, actor: "SimulatedActor") -> None:
        actor.killed = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1000.0}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": place, "Alive": True} for place in {actor.node_id for actor in self.actors}]


class NeverAnswered(Exception):
    """The call stays open."""


class Reference:
    """An `ObjectRef`."""

    def __init__(self, answer: Future[Any]) -> None:
        self._answer = answer

    def future(self) -> Future[Any]:
        return self._answer


class ActorClass:
    """`ray.remote(…)`."""

    def __init__(self, ray: SimulatedRay) -> None:
        self._ray = ray

    def options(self, **options: Any) -> "ActorClass":
        return self

    def remote(self) -> "SimulatedActor":
        actor = SimulatedActor(self._ray, len(self._ray.actors))
        self._ray.actors.append(actor)
        return actor


class SimulatedActor:
    """An actor's handle; ten of them share a node."""

    def __init__(self, ray: SimulatedRay, number: int) -> None:
        self.number = number
        self.node_id = f"node {number // 10}"
        self.killed = False
        for method in ("node", "start", "run", "progress"):
            setattr(self, method, Method(ray, self, method))


class Method:
    """`actor.method`."""

    def __init__(self, ray: SimulatedRay, actor: SimulatedActor, name: str) -> None:
        self._ray, self._actor, self._name = ray, actor, name

    def remote(self, *arguments: Any) -> Reference:
        return self._ray.call(self._actor, self._name, arguments)
