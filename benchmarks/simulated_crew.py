"""A crew without processes: what a thousand workers on a hundred nodes say to the driver, in the order they would.

Some starts fail, some shards raise wherever they are tried, and on ill nodes every shard fails at once.
"""

import errno
import random
from collections import Counter, deque
from collections.abc import Callable, Container, Sequence

from factory.engine.crew import Done, Lost, News, Ready, Working
from factory.engine.faults import Blame, Fault, fault_of
from factory.engine.worker import ShardProgress
from factory.shards.commit import CommitRecord

SLOTS = 256  # samples in a shard
REPORTS = 4  # of a worker's progress, while it makes a shard
PER_NODE = 10
FAILED_START = Fault(Blame.WORKER, "killed by SIGKILL")
STALE = fault_of(OSError(errno.ESTALE, "Stale file handle", "/shared/set"))
RAISED = fault_of(ValueError("cannot reshape"))


def nodes_for(workers: int) -> list[str]:
    """The node of each place for a worker."""
    return [f"node {place // PER_NODE}" for place in range(workers)]


class SimulatedCrew:
    """Every worker gets on by one step before any gets on by two; one piece of news comes at a time."""

    def __init__(
        self,
        places: Sequence[str],
        *,
        raising: Container[int] = (),
        ill: Container[str] = (),
        failing_starts: float = 0.0,
        seed: int = 0,
    ) -> None:
        """places: the node of each place.  raising: shards.  ill: nodes.  failing_starts: their share, 0..1."""
        self._free = deque(places)
        self._raising = raising
        self._ill = ill
        self._failing_starts = failing_starts
        self._random = random.Random(seed)
        self._node: dict[int, str] = {}
        self._steps: deque[Callable[[], News]] = deque()
        self.made: Counter[int] = Counter()
        self.hired_on: Counter[str] = Counter()
        self.dismissed = False

    def hire(self) -> int:
        """The place that became free last is taken first: as Ray does, on an ill node too."""
        number = self.hired_on.total()
        node = self._node[number] = self._free.popleft()
        self.hired_on[node] += 1
        if self._random.random() < self._failing_starts:
            self._steps.append(lambda: self._lose(number, FAILED_START))
        else:
            self._steps.append(lambda: Ready(number, "cpu", node))
        return number

    def give(self, worker: int, shard: int) -> None:
        if self._node[worker] in self._ill:
            self._steps.appendleft(lambda: self._lose(worker, STALE))  # before anyone else gets on
        elif shard in self._raising:
            self._steps.append(lambda: self._lose(worker, RAISED))
        else:
            self._steps.append(lambda: self._get_on(worker, shard, 1))

    def listen(self, seconds: float) -> list[News]:
        return [self._steps.popleft()()] if self._steps else []

    def dismiss(self) -> None:
        self.dismissed = True

    def _get_on(self, worker: int, shard: int, step: int) -> News:
        if step > REPORTS:
            self.made[shard] += 1
            return Done(worker, record_of(shard))
        self._steps.append(lambda: self._get_on(worker, shard, step + 1))
        return Working(worker, ShardProgress(shard, SLOTS * step // REPORTS, SLOTS * step // REPORTS))

    def _lose(self, worker: int, fault: Fault) -> News:
        node = self._node.pop(worker)
        self._free.appendleft(node)
        return Lost(worker, fault, node)


def record_of(shard: int) -> CommitRecord:
    """The record of a shard that went well."""
    return CommitRecord(
        shard=shard,
        split="train",
        fingerprint="",
        run="simulated",
        slots=SLOTS,
        attempts=SLOTS,
        accepted=SLOTS,
        seconds={"total": 1.0},
        device="cpu",
    )
