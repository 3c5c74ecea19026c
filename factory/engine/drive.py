"""The driver: hands out shards, sees each death, quarantines what kills its workers."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from factory.engine.crew import Crew, Died, Done, Failed, News, Ready, Working
from factory.errors import FactoryError, MachineError

DEATHS_PER_SHARD = 3  # then the shard is quarantined and the run goes on
DEATHS_IN_A_ROW = 4  # with no success between them: the machine is ill, not a shard
LISTEN_SECONDS = 0.5


@dataclass
class Drive:
    """One run of a crew over shards. `tell` hears every piece of news, and None when there was none for a while."""

    crew: Crew
    shards: Iterable[int]
    workers: int
    tell: Callable[[News | None], None]
    quarantined: dict[int, str] = field(default_factory=dict)  # shard → how its last worker died
    _hired: set[int] = field(default_factory=set)
    _idle: list[int] = field(default_factory=list)
    _busy: dict[int, int] = field(default_factory=dict)  # worker → shard
    _deaths: Counter[int] = field(default_factory=Counter)  # by shard
    _deaths_in_a_row: int = 0

    def run(self) -> None:
        """Make all shards.

        Raises MachineError after DEATHS_IN_A_ROW deaths, and the error of a worker that failed without dying.
        """
        waiting = deque[int]()
        shards = iter(self.shards)
        try:
            while True:
                if not waiting and (following := next(shards, None)) is not None:
                    waiting.append(following)
                if not waiting and not self._busy:
                    return
                while waiting and len(self._hired) < self.workers:
                    self._hired.add(self.crew.hire())
                if waiting and self._idle:
                    worker = self._idle.pop()
                    self._busy[worker] = waiting.popleft()
                    self.crew.give(worker, self._busy[worker])
                    continue
                news = self.crew.listen(LISTEN_SECONDS)
                if not news:
                    self.tell(None)
                for event in news:
                    self.tell(event)
                    waiting.extend(self._hear(event))
        finally:
            self.crew.dismiss()

    def _hear(self, event: News) -> list[int]:
        """Take note; returns shards to be tried again."""
        match event:
            case Ready(worker, _):
                self._idle.append(worker)
            case Working():
                pass
            case Done(worker):
                del self._busy[worker]
                self._idle.append(worker)
                self._deaths_in_a_row = 0
            case Failed(_, error):
                raise _for_people(error) from error
            case Died():
                return self._bury(event)
        return []

    def _bury(self, death: Died) -> list[int]:
        self._hired.discard(death.worker)
        if death.worker in self._idle:
            self._idle.remove(death.worker)
        shard = self._busy.pop(death.worker, None)
        if not death.blameless:
            self._deaths_in_a_row += 1
            if shard is not None:
                self._deaths[shard] += 1
        if self._deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise MachineError(
                f"{DEATHS_IN_A_ROW} workers died one after another (the last: {death.reason}): look at the machine's "
                "memory, then run the same command again."
            )
        if shard is None:
            return []
        if self._deaths[shard] >= DEATHS_PER_SHARD:
            self.quarantined[shard] = death.reason
            return []
        return [shard]


def _for_people(error: Exception) -> Exception:
    if isinstance(error, FactoryError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return MachineError("a worker ran out of memory: use a smaller --batch or fewer --workers, then run it again.")
    return error
