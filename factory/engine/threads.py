"""Thread counts change pixels: every executor pins torch, OpenCV and BLAS to the plan's number. And keeps memory."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from threadpoolctl import threadpool_limits

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt(3)


def worker_environment(threads: int) -> dict[str, str]:
    """Variables for a fresh worker process; they must be set before its libraries load."""
    return dict.fromkeys(VARIABLES, str(threads))


def keep_memory() -> None:
    """Keep freed memory in this process, for the next picture; of no effect without glibc.

    Left to itself glibc gives it back to the system and asks for it again, page by page: a third of the time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(TRIM_THRESHOLD, 256 << 20)
    if not mallopt(MMAP_THRESHOLD, 64 << 20):
        mallopt(MMAP_THRESHOLD, 32 << 20)  # the most that glibc before 2.35 takes


def pin_threads(threads: int) -> None:
    """Set the number for all libraries loaded in this process so far, and for children."""
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
    cv2.setNumThreads(threads)
    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """The same for a while, of the libraries that are loaded; torch apart."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        cv2.setNumThreads(before)
