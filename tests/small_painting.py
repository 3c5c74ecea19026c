"""A small experiment on ways to train: 16×16 discs and squares on a base that knows nothing yet."""

from pathlib import Path
from typing import Any

from small_training import NETWORKS, SIZE, make_set

from factory.diffusion import model_folder
from factory.diffusion.train import networks

HELD_OUT = "held-out"
FAST = {"generation": 2, "joint": 2}


def make_data(folder: Path) -> Path:
    """A set to train on, and beside it one that is held out."""
    make_set(folder.parent / HELD_OUT, slots=24, seed=9)
    return make_set(folder)


def make_base(folder: Path) -> Path:
    """An untrained model folder."""
    captions = [f"green screen, a {colour} {shape}" for colour in ("red", "blue") for shape in ("disc", "square")]
    model_folder.save(networks.build(NETWORKS, SIZE, captions, seed=1), folder)
    return folder


def recipe(data: Path, base: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """Two arms, two rates, two classes × two pictures."""
    phases = [
        {"name": name, "steps": steps, "batch": 2, "lr": 1e-3, "head_lr": 1e-2, "warmup": 0}
        for name, steps in FAST.items()
    ]
    fields: dict[str, Any] = {
        "job": "painting-experiment",
        "out": str(out),
        "seeds": [1, 2],
        "choose_seeds": [101],
        "rates": [1e-3, 1e-2],
        "sets": {
            "discs": {"path": str(data)},
            "other": {"path": str(data.parent / HELD_OUT)},
            "base": {"path": str(base)},
        },
        "training": {
            "base": "set:base",
            "data": [{"folder": "set:discs"}],
            "phases": phases,
            "size": SIZE,
            "ema": 0.5,
            "log_every": 1,
            "save_every": 1,
        },
        "painting": {
            "classes": ["disc", "square"],
            "each": 2,
            "sampler": {"steps": 2, "guidance": 1.0, "negative_prompt": "", "start": "noise"},
        },
        "held_out": {"data": "set:other", "split": "train", "most": 5},
        "arms": {
            "ours": {"paper": {"gsg": 98.98, "aesthetic": 5.26}},
            "without L_g": {"training": {"green_background": False}, "paper": {"gsg": 119.8}},
        },
        "compare": ["ours"],
    }
    return fields | changes
