"""The driver: hands out shards, replaces lost workers, finds out whether a shard, a node or the crew is at fault."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from factory.engine.crew import Crew, Done, Lost, News, Ready, Working
from factory.engine.faults import Blame, Fault
from factory.errors import MachineError

LOSSES_PER_SHARD = 3  # workers that died or whose machine failed over one shard: then it is quarantined
RAISES_PER_SHARD = 2  # an error of ours that another worker meets too will come again each time
PATIENCE = 3  # workers that a node may lose, however few it has, without making a shard for each
LISTEN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A shard was given up; the rest is made.  reason, trace: as in Fault."""

    shard: int
    reason: str
    trace: str


@dataclass
class Node:
    """A machine of the crew.  size: the most workers it had ready.  owing: workers it lost, less the shards it made."""

    workers: int = 0
    size: int = 0
    owing: int = 0

    @property
    def is_ill(self) -> bool:
        """Whether more was lost on it than bad luck explains: its lost workers are then not replaced."""
        return self.owing > max(PATIENCE, self.size)


@dataclass
class Drive:
    """One run of a crew over shards.

    tell: hears every piece of news and of quarantines, and None when there was none for a while.
    """

    crew: Crew
    shards: Iterable[int]
    workers: int
    tell: Callable[[News | Quarantined | None], None]
    quarantined: dict[int, str] = field(default_factory=dict)  # shard → why
    _fresh: deque[int] = field(default_factory=deque)
    _again: deque[int] = field(default_factory=deque)  # shards that have cost a worker
    _losses: dict[int, list[Lost]] = field(default_factory=lambda: defaultdict(list))  # by shard
    _hired: int = 0
    _idle: list[int] = field(default_factory=list)
    _busy: dict[int, int] = field(default_factory=dict)  # worker → shard
    _proven: set[int] = field(default_factory=set)  # workers that have made a shard
    _places: dict[int, str] = field(default_factory=dict)  # worker that was ready → node
    _nodes: dict[str, Node] = field(default_factory=lambda: defaultdict(Node))
    _lost: int = 0
    _out_of_service: int = 0  # lost on an ill node, and not replaced

    def run(self) -> None:
        """Make all shards but those that cannot be made.

        Raises MachineError when half of the crew is out of service (or the error of ours that brought it there), and
        at once the error of a worker that only people can mend.
        """
        self._fresh.extend(self.shards)
        try:
            while waiting := len(self._fresh) + len(self._again) + len(self._busy):
                while self._hired < min(self.workers - self._out_of_service, waiting):
                    self.crew.hire()
                    self._hired += 1
                while self._idle and (self._fresh or self._again):
                    worker = self._idle.pop()
                    self._busy[worker] = self._shard_for(worker)
                    self.crew.give(worker, self._busy[worker])
                news = self.crew.listen(LISTEN_SECONDS)
                if not news:
                    self.tell(None)
                for event in news:
                    self._hear(event)
        finally:
            self.crew.dismiss()

    def _shard_for(self, worker: int) -> int:
        """A shard that has cost a worker is for those that have made one: a broken machine fails fast, comes back
        first, and would fail over the same shard until that seemed to be at fault.
        """
        if self._again and (worker in self._proven or not self._fresh):
            return self._again.popleft()
        return self._fresh.popleft()

    def _hear(self, event: News) -> None:
        match event:
            case Ready(worker, _, place):
                self.tell(event)
                self._idle.append(worker)
                self._places[worker] = place
                node = self._nodes[place]
                node.workers += 1
                node.size = max(node.size, node.workers)
            case Working():
                self.tell(event)
            case Done(worker):
                self.tell(event)
                self._losses.pop(self._busy.pop(worker), None)
                self._idle.append(worker)
                self._proven.add(worker)
                self._pay_back(self._places[worker])
            case Lost(worker):
                if event.fault.blame is Blame.RUN:
                    raise _as_raised(event.fault)
                place = event.node or self._places.get(worker, "")
                lost = replace(event, node=place, shard=self._busy.pop(worker, None))
                self.tell(lost)
                self._strike_off(worker)
                self._take(lost)

    def _strike_off(self, worker: int) -> None:
        self._hired -= 1
        self._proven.discard(worker)
        if worker in self._places:
            self._nodes[self._places.pop(worker)].workers -= 1
        if worker in self._idle:
            self._idle.remove(worker)

    def _take(self, lost: Lost) -> None:
        """Find out what a loss means for its shard, its node and the crew."""
        if lost.blameless:
            if lost.shard is not None:
                self._again.append(lost.shard)
            return
        self._lost += 1
        self._nodes[lost.node].owing += 1
        if lost.shard is not None:
            self._judge(lost.shard, lost)
        if not self._nodes[lost.node].is_ill:
            return
        self._out_of_service += 1
        if 2 * self._out_of_service < self.workers:
            return
        if lost.fault.blame is Blame.SHARD:
            raise _as_raised(lost.fault)
        raise MachineError(
            f"too many workers were lost, {self._lost:,} so far (the last: {lost.fault.reason}): "
            "mend that, then run the same command again."
        )

    def _judge(self, shard: int, lost: Lost) -> None:
        """Try a shard again, or quarantine it."""
        losses = self._losses[shard]
        losses.append(lost)
        raises = [loss for loss in losses if loss.fault.blame is Blame.SHARD]
        if len(raises) >= RAISES_PER_SHARD:
            for loss in raises:  # now the shard is known to be at fault, and not where it was tried
                self._pay_back(loss.node)
            self._give_up(shard, f"{lost.fault.reason}, {len(raises)} times (the traceback is in events.jsonl)", lost)
        elif len(losses) - len(raises) >= LOSSES_PER_SHARD:
            self._give_up(shard, f"it cost {LOSSES_PER_SHARD} workers, the last: {lost.fault.reason}", lost)
        else:
            self._again.append(shard)

    def _give_up(self, shard: int, reason: str, lost: Lost) -> None:
        del self._losses[shard]
        self.quarantined[shard] = reason
        self.tell(Quarantined(shard, reason, lost.fault.trace))

    def _pay_back(self, place: str) -> None:
        node = self._nodes[place]
        node.owing = max(0, node.owing - 1)


def _as_raised(fault: Fault) -> Exception:
    """The worker's error, with where it was raised for whoever asks for a traceback."""
    assert fault.error is not None  # only a raised error can be the run's or ours
    fault.error.add_note(fault.trace)
    return fault.error
