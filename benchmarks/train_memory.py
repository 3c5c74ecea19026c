"""Memory of `factory train` on a CPU, networks of Stable Diffusion 1.5's size in float32: all weights, and a LoRA.

The joint phase at 512², batch 1, with gradient checkpointing, Adam and the average of the weights, which lies in a
file (train.ema_in). The program as a user runs it: it takes two steps, gets SIGTERM in the third, saves and ends.
Weights are random. Five copies of 860 million (weights, gradients, two moments, average) are 17.2 GB alone.

    python benchmarks/train_memory.py [--lora] [--in-memory] [--folder WITH_ROOM]     # 25 GB of disk; some minutes
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cpu_memory
import yaml
from figures import exit_code, within

from factory.training.folder import LOG_FILE, STATE_FILE
from factory.training.log import read_log

FULL_GB, LORA_GB = 17.5, 7.0
SIZE, OBJECTS, STEPS = 512, 4, 2


def main() -> int:
    """Draw the set, make the model, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", action="store_true", help="rank 16, in attention")
    parser.add_argument("--in-memory", action="store_true", help="the average in memory, as on larger machines")
    parser.add_argument("--folder", type=Path, help="where to write; without it the system's temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        home = Path(folder)
        source = {"type": "procedural", "n": OBJECTS, "classes": ["feather"]}
        _write(
            home / "set.yaml", {"job": "build-green100k", "out": str(home / "set"), "size": SIZE, "sources": [source]}
        )
        subprocess.run([sys.executable, "-m", "factory", "run", home / "set.yaml"], check=True)
        cpu_memory.cost_of(cpu_memory.__file__, "make", home / "model")
        train: dict[str, Any] = {
            "data": [{"folder": str(home / "set")}],
            "phases": [{"name": "joint", "steps": 1000, "batch": 1}],
            "base": str(home / "model"),
            "size": SIZE,
            "gradient_checkpointing": True,
            "log_every": 1,
            "ema_in": "memory" if asked.in_memory else "files",
        }
        if asked.lora:
            train["lora"] = {"rank": 16}
        _write(home / "train.yaml", {"job": "train", "out": str(home / "run"), "train": train})
        peak, seconds = _trained(home / "train.yaml", home / "run")
        state = (home / "run" / STATE_FILE).stat().st_size / 1e9
        print(f"a step took {seconds:.0f} s of one core, the last one; what was saved has {state:.1f} GB")
    limit = LORA_GB if asked.lora else FULL_GB
    return exit_code(within("most memory held", peak, limit, "GB"))


def _write(file: Path, recipe: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(recipe))


def _trained(recipe: Path, out: Path) -> tuple[float, float]:
    """The most memory in GB, with the save at the end, and the seconds of the last step."""
    log, times = out / LOG_FILE, list[float]()
    with subprocess.Popen(
        [sys.executable, "-m", "factory", "train", recipe], env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        while len(times) < STEPS:
            time.sleep(0.1)
            if process.poll() is not None:
                raise SystemExit(f"the training ended by itself: {process.returncode}")
            if len(read_log(log)) > len(times):
                times.append(time.monotonic())
        process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss * 1024 / 1e9, times[-1] - times[-2]


if __name__ == "__main__":
    sys.exit(main())
