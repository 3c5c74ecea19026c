"""What an executor must offer: workers that can be hired, given a shard, and heard of. The driver does the rest."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from factory.engine.faults import Fault
from factory.engine.worker import ShardProgress
from factory.shards.commit import CommitRecord


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has built its line.

    device: what it computes on, such as "cpu" or the GPU's name.  node: the machine it is on, "" for the driver's own.
    """

    worker: int
    device: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class Working:
    """A worker is so far with its shard."""

    worker: int
    progress: ShardProgress


@dataclass(frozen=True, slots=True)
class Done:
    """A worker has committed its shard."""

    worker: int
    record: CommitRecord


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is no more: its process ended, or its line or its shard raised and the crew has let it go.

    node: as in Ready; "" also where the worker never came so far.  blameless: its node was lost, which says nothing
    about the shard.  shard: what it was making, which the driver fills in.
    """

    worker: int
    fault: Fault
    node: str = ""
    blameless: bool = False
    shard: int | None = None


News: TypeAlias = Ready | Working | Done | Lost


class Crew(Protocol):
    """Workers of one executor. What a piece of news costs must not grow with their number."""

    def hire(self) -> int:
        """Start one worker and return its number; it will be heard of as Ready or Lost."""
        ...

    def give(self, worker: int, shard: int) -> None:
        """Let a ready worker make a shard; it will be heard of as Working…, then Done or Lost."""
        ...

    def listen(self, seconds: float) -> list[News]:
        """What happened since, waiting at most so long for the first news."""
        ...

    def dismiss(self) -> None:
        """End all workers at once; shards in flight are given up."""
        ...
