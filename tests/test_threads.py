"""What a worker's process takes of its machine: threads and memory."""

import subprocess
import sys

import pytest

from factory.run.hire import finishing_threads

FREED = """
import re, sys
from pathlib import Path
import numpy as np
from factory.engine.threads import keep_memory

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

if sys.argv[1] == "kept":
    keep_memory()
held = [np.ones(2**20, np.uint8) for _ in range(100)]
before = resident_mb()
del held
print(before - resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what the process holds")
@pytest.mark.parametrize(("how", "least", "most"), [("kept", 0, 5), ("not kept", 90, 110)])
def test_memory_of_freed_pictures_stays_with_the_worker(how: str, least: float, most: float) -> None:
    done = subprocess.run([sys.executable, "-c", FREED, how], capture_output=True, text=True, check=True)
    assert least - 1 <= float(done.stdout) <= most


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 1, 2), (2, 4, 1), (16, 1, 4), (16, 8, 2), (0, 1, 1)])
def test_cores_are_shared_among_workers_and_few_threads_finish_for_each(cores: int, workers: int, threads: int) -> None:
    assert finishing_threads(cores, workers) == threads
