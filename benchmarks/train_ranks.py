"""Two processes of one thread that train together, held against one: images a second, and the same losses.

    python benchmarks/train_ranks.py [--steps 60]

`factory train` as torchrun starts it, on drawn objects, with the shipped model's networks and all losses; over gloo on
the cores of this machine, which must be idle. The losses of the two trainings are compared step by step.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from drawn_objects import drawn_objects
from figures import exit_code, shown, within

from factory.shipped_files import find_shipped
from factory.training.folder import FINISHED_FILE, LOG_FILE
from factory.training.log import VALIDATION, read_log

FASTER, APART = 1.6, 0.02
BATCH, OBJECTS = 16, 200


def main() -> int:
    """Train alone, then by two, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        data = drawn_objects(home / "set", OBJECTS, 1)
        told = {}
        for processes in (1, 2):
            out = home / f"by-{processes}"
            _train(_recipe(home / f"{processes}.yaml", out, data, asked.steps), processes)
            seconds = json.loads((out / FINISHED_FILE).read_text())["seconds"]
            told[processes] = asked.steps * BATCH / seconds, _losses(out)
            print(f"processes: {processes}, {told[processes][0]:.2f} images/s")
    (alone, losses), (both, others) = told[1], told[2]
    apart = max(abs(a - b) / b for a, b in zip(others, losses, strict=True))
    return exit_code(
        shown("two processes", f"{both:.2f} images/s", f"one, {alone:.2f}", both / alone, FASTER),
        within("losses apart, of the one's, at the most of all steps", apart, APART, ""),
    )


def _recipe(file: Path, out: Path, data: Path, steps: int) -> Path:
    """The shipped model's networks, one short phase with all losses; the autoencoder is what chance makes it."""
    shipped = find_shipped("pipelines", "tiny")
    assert shipped is not None
    fields: dict[str, Any] = yaml.safe_load(shipped.read_text())
    fields |= {"out": str(out)}
    phases = [{"name": "joint", "steps": steps, "batch": BATCH, "lr": 1e-4, "warmup": 10}]
    fields["train"] |= {"data": [{"folder": str(data)}], "phases": phases, "log_every": 1, "bf16": "off", "threads": 1}
    fields["train"] |= {"picture_prompts": ["a red balloon"], "sampler": None}
    file.write_text(yaml.safe_dump(fields))
    return file


def _train(recipe: Path, processes: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "factory", "train", str(recipe)]
    running = [
        subprocess.Popen(command, env=os.environ | own | {"RANK": str(number), "LOCAL_RANK": str(number)})
        for number in range(processes)
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("a process failed")


def _losses(out: Path) -> list[float]:
    return [sum(one["losses"].values()) for one in read_log(out / LOG_FILE) if one["name"] != VALIDATION]


if __name__ == "__main__":
    sys.exit(main())
