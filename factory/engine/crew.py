"""What an executor must offer: workers that can be hired, given a shard, and heard of. The driver does the rest."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from factory.engine.worker import ShardProgress
from factory.shards.commit import CommitRecord


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has built its line. device: what it computes on, such as "cpu" or the GPU's name."""

    worker: int
    device: str


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
class Died:
    """A worker's process ended. blameless: its node was lost, which says nothing about the shard."""

    worker: int
    reason: str
    blameless: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker lives, but its line or shard raised: an error of the machine or of ours. It ends the run."""

    worker: int
    error: Exception


News: TypeAlias = Ready | Working | Done | Died | Failed


class Crew(Protocol):
    """Workers of one executor."""

    def hire(self) -> int:
        """Start one worker and return its number; it will be heard of as Ready, Died or Failed."""
        ...

    def give(self, worker: int, shard: int) -> None:
        """Let a ready worker make a shard; it will be heard of as Working…, then Done, Died or Failed."""
        ...

    def listen(self, seconds: float) -> list[News]:
        """What happened since, waiting at most so long for the first news."""
        ...

    def dismiss(self) -> None:
        """End all workers at once; shards in flight are given up."""
        ...
