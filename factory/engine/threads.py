"""Thread counts change pixels: every executor pins torch, OpenCV and BLAS to the plan's number."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from threadpoolctl import threadpool_limits

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
# glibc gives the memory of each picture back to the system and asks for it again, page by page: a third of the time.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(64 << 20)}


def worker_environment(threads: int) -> dict[str, str]:
    """Variables for a fresh worker process; they must be set before its libraries load."""
    return dict.fromkeys(VARIABLES, str(threads)) | MEMORY


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
