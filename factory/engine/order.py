"""The order that a worker gets: all it needs to start, small enough to send anywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory.engine.line import Build
from factory.engine.plan import Plan
from factory.engine.threads import keep_memory, pin_threads
from factory.engine.worker import ShardWorker
from factory.sample import Rejection


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """build, thumbnail: importable by name, for they travel.  thumbnail: PNG bytes of a rejected sample, for people."""

    root: Path
    run: str
    plan: Plan
    build: Build
    thumbnail: Callable[[Rejection], bytes]
    finishing_threads: int = 1

    def start(self) -> ShardWorker:
        """Build the line in this process."""
        keep_memory()
        pin_threads(self.plan.threads)
        line = self.build(self.plan, self.root)
        pin_threads(self.plan.threads)  # again: libraries that the line just loaded
        return ShardWorker(
            self.root,
            self.run,
            self.plan,
            line,
            thumbnail=self.thumbnail,
            finishing_threads=self.finishing_threads,
        )
