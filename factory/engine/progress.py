"""The one live line: done/total, accepted %, accepted/s over the last minute, time left, workers."""

import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

from factory.engine.crew import Died, Done, News, Ready, Working

WINDOW_SECONDS = 60.0
LINE_SECONDS = 10.0  # between lines where the output is no terminal


@dataclass
class Tally:
    """Counts of a run; shards in work count as far as their workers told."""

    total: int  # slots in the plan
    accepted: int = 0
    attempts: int = 0
    slots: int = 0  # in committed shards, filled or given up
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    workers: set[int] = field(default_factory=set)  # that are ready
    open: dict[int, Working] = field(default_factory=dict)
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque([(time.monotonic(), 0)]))
    _accepted_here: int = 0  # committed by this run, not by earlier ones

    def hear(self, news: News | None) -> None:
        """Count one piece of news."""
        match news:
            case Ready(worker):
                self.workers.add(worker)
            case Working(worker):
                self.open[worker] = news
            case Done(worker, record):
                self.open.pop(worker, None)
                self.add(record.accepted, record.attempts, record.slots)
                self._accepted_here += record.accepted
                self.rejected.update(record.rejected)
                self.failed.update(record.failed)
            case Died(worker):
                self.workers.discard(worker)
                self.open.pop(worker, None)
            case _:
                pass
        now = time.monotonic()
        made = self._accepted_here + sum(work.progress.accepted for work in self.open.values())
        self.marks.append((now, made))
        while self.marks[0][0] < now - WINDOW_SECONDS and len(self.marks) > 2:
            self.marks.popleft()

    def add(self, accepted: int, attempts: int, slots: int) -> None:
        """Count a committed shard."""
        self.accepted += accepted
        self.attempts += attempts
        self.slots += min(slots, attempts)  # for padding no attempt is made

    @property
    def done(self) -> int:
        """Samples accepted so far, those of open shards included."""
        return self.accepted + sum(work.progress.accepted for work in self.open.values())

    @property
    def rate(self) -> float:
        """Accepted samples per second over the last minute."""
        (then, before), (now, made) = self.marks[0], self.marks[-1]
        return max(0.0, made - before) / (now - then) if now > then else 0.0

    @property
    def share(self) -> float:
        """Accepted share of the attempts, 0..1 (1 before the first)."""
        attempts = self.attempts + sum(work.progress.attempts for work in self.open.values())
        return self.done / attempts if attempts else 1.0

    def line(self) -> str:
        """The live line."""
        left = max(0, self.total - self.slots - sum(work.progress.accepted for work in self.open.values()))
        eta = _clock(left / self.rate) if self.rate > 0 else "–"
        count = len(self.workers)
        workers = f"{count} worker{'s' if count != 1 else ''}" if count else "waiting for workers"
        return (
            f"{self.done:,}/{self.total:,} samples · {self.share:.0%} accepted · {self.rate:.2f} accepted/s · "
            f"{eta} left · {workers}"
        )


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class LiveLine:
    """Prints what `text` says: rewritten in place on a terminal, a line now and then elsewhere.

    patience: seconds in which nothing is shown; what ends before leaves no line.  every: seconds between lines.
    """

    def __init__(
        self, text: Callable[[], str], out: TextIO, patience: float = 0.0, every: float = LINE_SECONDS
    ) -> None:
        self._text = text
        self._out = out
        self._every = every
        self._quiet_until = time.monotonic() + patience
        self._shown = 0.0
        self._terminal = out.isatty()

    def show(self) -> None:
        """Refresh if it is time."""
        now = time.monotonic()
        if now < self._quiet_until or now - self._shown < (0.2 if self._terminal else self._every):
            return
        self._shown = now
        self._write(f"\r\033[K{self._text()}" if self._terminal else f"{self._text()}\n")

    def end(self) -> None:
        """Leave the last state standing."""
        if time.monotonic() < self._quiet_until:
            return
        self._write(f"\r\033[K{self._text()}\n" if self._terminal else f"{self._text()}\n")

    def _write(self, text: str) -> None:
        with suppress(OSError):  # whoever read it is gone; the run goes on
            self._out.write(text)
            self._out.flush()
