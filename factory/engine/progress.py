"""The one live line: done/total, accepted %, accepted/s over the last minute, time left, workers."""

import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import TextIO

from factory.engine.crew import Done, Lost, Ready, Working
from factory.engine.worker import ShardProgress
from factory.errors import count_of

WINDOW_SECONDS = 60.0
LINE_SECONDS = 10.0  # between lines where the output is no terminal


@dataclass
class Tally:
    """Counts of a run; shards in work count as far as their workers told. No call looks at all workers."""

    total: int  # slots in the plan
    accepted: int = 0
    attempts: int = 0
    slots: int = 0  # in committed shards, filled or given up
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    workers: set[int] = field(default_factory=set)  # that are ready
    open: dict[int, ShardProgress] = field(default_factory=dict)
    marks: deque[tuple[float, int]] = field(default_factory=lambda: deque([(time.monotonic(), 0)]))
    _accepted_here: int = 0  # committed by this run, not by earlier ones
    _open_accepted: int = 0  # over all of `open`
    _open_attempts: int = 0

    def hear(self, news: object) -> None:
        """Count one piece of news."""
        match news:
            case Ready(worker):
                self.workers.add(worker)
            case Working(worker, progress):
                self._close(worker)
                self.open[worker] = progress
                self._open_accepted += progress.accepted
                self._open_attempts += progress.attempts
            case Done(worker, record):
                self._close(worker)
                self.add(record.accepted, record.attempts, record.slots)
                self._accepted_here += record.accepted
                self.rejected.update(record.rejected)
                self.failed.update(record.failed)
            case Lost(worker):
                self.workers.discard(worker)
                self._close(worker)
            case _:
                pass
        now = time.monotonic()
        self.marks.append((now, self._accepted_here + self._open_accepted))
        while self.marks[0][0] < now - WINDOW_SECONDS and len(self.marks) > 2:
            self.marks.popleft()

    def _close(self, worker: int) -> None:
        if before := self.open.pop(worker, None):
            self._open_accepted -= before.accepted
            self._open_attempts -= before.attempts

    def add(self, accepted: int, attempts: int, slots: int) -> None:
        """Count a committed shard."""
        self.accepted += accepted
        self.attempts += attempts
        self.slots += min(slots, attempts)  # for padding no attempt is made

    @property
    def done(self) -> int:
        """Samples accepted so far, those of open shards included."""
        return self.accepted + self._open_accepted

    @property
    def rate(self) -> float:
        """Accepted samples per second over the last minute."""
        (then, before), (now, made) = self.marks[0], self.marks[-1]
        return max(0.0, made - before) / (now - then) if now > then else 0.0

    @property
    def share(self) -> str:
        """Accepted share of the attempts, for people; a dash before the first."""
        attempts = self.attempts + self._open_attempts
        return f"{self.done / attempts:.0%}" if attempts else "–"

    def line(self) -> str:
        """The live line."""
        left = max(0, self.total - self.slots - self._open_accepted)
        time_left = clock(left / self.rate) if self.rate > 0 else "–"
        attempts = self.attempts + self._open_attempts
        tried = f" of {count_of(attempts, 'attempt', 'attempts')}" if attempts and not self.done else ""
        workers = count_of(len(self.workers), "worker", "workers") if self.workers else "waiting for workers"
        return (
            f"{self.done:,}/{self.total:,} samples · {self.share} accepted{tried} · {self.rate:.2f} accepted/s · "
            f"{f'{time_left} left' if left else 'done'} · {workers}"
        )


def clock(seconds: float) -> str:
    """H:MM:SS or M:SS. Rounded up: while something is left, so is a second."""
    hours, rest = divmod(ceil(seconds), 3600)
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
