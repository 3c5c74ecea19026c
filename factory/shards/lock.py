"""One driver at a time in a data set folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory.errors import UsageError


@contextmanager
def hold(path: Path, run: str) -> Iterator[None]:
    """Hold the folder for one run; the run id stands inside so that workers can tell whose folder it is.

    Raises UsageError while another driver holds it. The kernel frees the lock when the process ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace") or "unknown"
            raise UsageError(
                f"another run ({owner}) works in {path.parent}: wait for it, or give another --out."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, run.encode(), 0)
        os.fsync(descriptor)
        yield
    finally:
        os.close(descriptor)


def owned_by(path: Path, run: str) -> bool:
    """Whether the folder still belongs to this run: an actor can outlive its killed driver by seconds."""
    try:
        return path.read_text() == run
    except FileNotFoundError:
        return False
