"""A small experiment: drawn photographs with their mattes, and a pixelwise regression in the place of a network."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import factory
from factory.experiments.cells import Measured
from factory.experiments.matting.cell import MattingCell
from factory.experiments.matting.one_cell import measured
from factory.quality.evaluation import trimap_of

SIDE = 48
FAILS, DIES, WAITS = 0.5, 0.25, 0.125  # learning rates: what an arm with them does
NAMES = ("apple", "bell", "cup", "drum", "egg", "fan")


def draw_photographs(root: Path, names: Sequence[str] = NAMES) -> Path:
    """root/picture, matte and foreground, as the public set "pairs" has them, and root/trimap."""
    for kind in ("picture", "matte", "foreground", "trimap"):
        (root / kind).mkdir(parents=True)
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        alpha = np.zeros((SIDE, SIDE), np.uint8)
        corners = SIDE // 2 + rng.uniform(-0.45, 0.45, (4 + number, 2)) * SIDE
        cv2.fillPoly(alpha, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        alpha = cv2.GaussianBlur(alpha, (0, 0), 1.5)
        few = rng.integers(120, 256, (4, 4, 3), np.uint8)
        foreground = cv2.resize(few, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        behind = rng.integers(0, 110, (SIDE, SIDE, 3))
        share = alpha[..., None] / 255
        picture = np.rint(share * foreground + (1 - share) * behind).astype(np.uint8)
        cv2.imwrite(str(root / "picture" / f"{name}.png"), picture)
        cv2.imwrite(str(root / "matte" / f"{name}.png"), alpha)
        cv2.imwrite(str(root / "foreground" / f"{name}.png"), foreground)
        cv2.imwrite(str(root / "trimap" / f"{name}.png"), trimap_of(alpha))
    return root


def recipe(photographs: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """Real pictures in two folds, and drawn objects."""
    lenient = {"border_max": None, "coverage_max": None, "key_distance_min": None, "green_residue_max": None}
    build = {"job": "build-green100k", "size": 32, "gates": {**lenient, "duplicate_distance": -1}}
    pairs = {"type": "public", "dataset": "pairs", "path": str(photographs), "include_test": True, "repeat": 2}
    fields: dict[str, Any] = {
        "job": "experiment",
        "out": str(out),
        "seeds": [1, 2, 3],
        "folds": {"sets": ["real"], "count": 2},
        "test": {
            kind: str(photographs / folder)
            for kind, folder in (("pictures", "picture"), ("trimaps", "trimap"), ("alphas", "matte"))
        },
        "training": {"steps": 3, "loader": {"crop": 32, "screen": True}},
        "sets": {
            "real": {"recipe": build | {"sources": [pairs]}},
            "drawn": {"recipe": build | {"sources": [{"type": "procedural", "n": 6, "classes": ["heart"]}]}},
        },
        "arms": {"real": {"sets": {"real": 1}}, "real+drawn": {"sets": {"real": 1, "drawn": 1}}},
        "compare": ["real"],
    }
    return fields | changes


def regress(cell: MattingCell, folder: Path) -> Sequence[Measured]:
    """α as a linear function of a pixel's colour, fitted to random pixels of the cell's sets; fails where asked to."""
    with (folder / "runs.txt").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if cell.training.lr == FAILS:
        raise ValueError("this arm was asked to fail")
    if cell.training.lr == DIES:
        os.kill(os.getpid(), 9)
    if cell.training.lr == WAITS:
        time.sleep(60)
    rng = np.random.default_rng(cell.seed)
    colours, alphas = [], []
    for entry in cell.training.loader.sets:
        for sample in factory.open(entry.path):
            chosen = rng.integers(0, sample.alpha.size, 50)
            colours.append(sample.rgb.reshape(-1, 3)[chosen])
            alphas.append(sample.alpha.ravel()[chosen])
    known = np.concatenate(colours).astype(np.float64)
    weights, *_ = np.linalg.lstsq(np.c_[known, np.ones(len(known))], np.concatenate(alphas), rcond=None)
    mattes = folder / "mattes"
    mattes.mkdir(exist_ok=True)
    for picture in cell.pictures:
        rgb = cv2.imread(str(picture.picture))[..., ::-1].reshape(-1, 3)
        alpha = np.clip(np.c_[rgb, np.ones(len(rgb))] @ weights, 0, 255).reshape(SIDE, SIDE)
        cv2.imwrite(str(mattes / f"{picture.name}.png"), alpha.astype(np.uint8))
    return measured(cell, mattes)
