"""Thread counts change pixels: every executor pins torch, OpenCV and BLAS to the plan's number."""

import os
import sys

import cv2
from threadpoolctl import threadpool_limits

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def thread_environment(threads: int) -> dict[str, str]:
    """Variables for a fresh worker process; they must be set before its libraries load."""
    return dict.fromkeys(VARIABLES, str(threads))


def pin_threads(threads: int) -> None:
    """Set the number for all libraries loaded in this process so far, and for children."""
    os.environ.update(thread_environment(threads))
    cv2.setNumThreads(threads)
    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
