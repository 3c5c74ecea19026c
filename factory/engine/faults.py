"""What went wrong in a worker, told to the driver: whose fault it is, and what people shall read of it."""

import pickle
import re
import traceback
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from factory.errors import FactoryError, what_failed

REASON_LENGTH = 300  # letters of an error's own words; some print whole arrays
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|ALLOC_FAILED", re.IGNORECASE)
OF_A_DEVICE = re.compile(r"CUDA (error|driver)|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS|NVIDIA driver")


class Blame(Enum):
    """Whose fault it is."""

    RUN = "run"  # what only people can mend: any other worker would meet it too
    WORKER = "worker"  # its process or its machine: another one may do better
    SHARD = "shard"  # an error of ours in one sample


@dataclass(frozen=True, slots=True)
class Fault:
    """reason: one line for people.  trace: the traceback, "" where a process just ended.

    error: what was raised, without its frames: these hold pictures and models.
    """

    blame: Blame
    reason: str
    trace: str = ""
    error: Exception | None = None


def fault_of(error: Exception, trace: str = "") -> Fault:
    """A raised error as a fault that can travel.  trace: of an error that was raised elsewhere."""
    blame, reason = _judged(error)
    return Fault(blame, reason, trace or "".join(traceback.format_exception(error)), _portable(error))


def _judged(error: Exception) -> tuple[Blame, str]:
    said = " ".join(str(error).split())
    named = f"{type(error).__name__}: {said}"[:REASON_LENGTH].removesuffix(": ")
    if isinstance(error, FactoryError):
        return Blame.RUN, said
    if isinstance(error, OSError) and error.errno is not None:  # without a number it is some library's own OSError
        return Blame.WORKER, what_failed(error, Path("some file"))
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(said)):
        return Blame.WORKER, "it ran out of memory: use fewer --workers, or a smaller --batch and a new --out"
    if isinstance(error, RuntimeError) and OF_A_DEVICE.search(said):
        return Blame.WORKER, named
    return Blame.SHARD, named


def _portable(error: Exception) -> Exception:
    """A copy of the error, or its text where it cannot travel to another process."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (an error's own code may raise anything here)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return copy if isinstance(copy, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
