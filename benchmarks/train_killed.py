"""`factory train` killed at random moments, held against the same training left alone: bytes, and steps done twice.

    python benchmarks/train_killed.py [--kills 10] [--seed 0]

A training of three phases, saved every fifth step, with networks so small that most of a moment is work of our own.
Each time the program gets SIGKILL after some random steps and a random moment, and the same command goes on. What must
be: the same weights as undisturbed, to the byte; each step once in the log; none lost beyond the interval of saves.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml
from drawn_objects import drawn_objects
from figures import exit_code, shown, within

from factory.training.folder import LOG_FILE, STATE_FILE
from factory.training.log import VALIDATION, read_log

SAVE_EVERY, PHASES = 5, (("autoencoder", 150), ("generation", 150), ("joint", 100))


def main() -> int:
    """Train undisturbed, then killed, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    when = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        data = drawn_objects(home / "set", 64, 1)
        calm, cut = home / "calm", home / "cut"
        _start(_recipe(home / "calm.yaml", calm, data)).wait()
        lost, kills = [0], 0
        most = 2 * sum(count for _, count in PHASES) // (asked.kills + 1)
        for _ in range(asked.kills):
            process = _start(_recipe(home / "cut.yaml", cut, data))
            end = _saved(cut) + when.randint(1, most)
            while process.poll() is None and _done(cut) < end:
                time.sleep(0.02)
            time.sleep(when.uniform(0, 0.5))
            if process.poll() is None:
                process.kill()
                process.wait()
                kills += 1
                lost.append(_done(cut) - _saved(cut))
        _start(_recipe(home / "cut.yaml", cut, data)).wait()
        same = _weights(calm) == _weights(cut)
        steps = [(one["phase"], one["step"]) for one in read_log(cut / LOG_FILE) if one["name"] != VALIDATION]
    expected = [(number, step) for number, (_, count) in enumerate(PHASES) for step in range(1, count + 1)]
    print(f"killed {kills} times")
    return exit_code(
        shown("weights", "the same bytes" if same else "others", "undisturbed", float(same), 1),
        shown("steps in the log", f"{len(steps)}", "each once, in order", float(steps == expected), 1),
        within("steps lost by a kill, at the most", max(lost), SAVE_EVERY, "steps"),
    )


def _recipe(file: Path, out: Path, data: Path) -> Path:
    networks = {
        "vae_channels": [16, 32], "vae_layers": 1, "vae_attention": False, "unet_channels": [16, 32], "unet_layers": 1,
        "unet_heads": 2, "text_width": 32, "text_layers": 1, "text_heads": 2, "text_length": 24, "norm_groups": 8,
        "head_hidden": 8,
    }  # fmt: skip
    train = {
        "data": [{"folder": str(data)}], "size": 64, "networks": networks, "train_text_encoder": True, "ema": 0.9,
        "phases": [{"name": name, "steps": steps, "batch": 2, "lr": 1e-3} for name, steps in PHASES],
        "log_every": 1, "save_every": SAVE_EVERY, "picture_every": 1000, "picture_prompts": ["a red balloon"],
    }  # fmt: skip
    file.write_text(yaml.safe_dump({"job": "train", "out": str(out), "train": train}))
    return file


def _start(recipe: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "factory", "train", recipe], stderr=subprocess.DEVNULL)


def _done(out: Path) -> int:
    """Steps that the log tells of, over all phases."""
    return sum(one["name"] != VALIDATION for one in read_log(out / LOG_FILE))


def _saved(out: Path) -> int:
    """Steps that are kept, over all phases."""
    if not (out / STATE_FILE).is_file():
        return 0
    state = torch.load(out / STATE_FILE, weights_only=True)
    return int(sum(count for _, count in PHASES[: state["phase"]]) + state["step"])


def _weights(out: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((out / "model").rglob("*.safetensors"))]


if __name__ == "__main__":
    sys.exit(main())
