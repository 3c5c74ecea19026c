"""Keeping libraries from writing to stderr past Python: such a line names no file, and the fault is told anyway."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MUTING = threading.Lock()


@contextmanager
def muted() -> Iterator[None]:
    """What libtiff, libpng and OpenCV say of broken data is lost; so is what other threads write meanwhile.

    Therefore only for data that is known to be broken, or that is rare.
    """
    if sys.__stderr__ is None:  # it was closed from the start: number 2 may be any file
        yield
        return
    with _MUTING, Path(os.devnull).open("wb") as nowhere:
        stderr = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
