"""A live line for what takes long and is counted. Light, for commands import it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from factory.shards.counting import Counting


@contextmanager
def counting(what: str) -> Iterator["Counting"]:
    """A live line, "7 of 1,000 pictures measured"; is told how many are done, and of how many."""
    from factory.engine.progress import LiveLine  # noqa: PLC0415  (as above)
    from factory.engine.survey import PATIENCE  # noqa: PLC0415  (as above)

    counts = (0, 0)
    line = LiveLine(lambda: f"{counts[0]:,} of {counts[1]:,} {what}", sys.stderr, PATIENCE)

    def progress(done: int, total: int) -> None:
        nonlocal counts
        counts = done, total
        line.show()

    yield progress
    line.end()
