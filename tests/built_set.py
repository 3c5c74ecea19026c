"""A small Green100K from sources of every kind, each with something in it that a gate turns down, or that is broken."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from program import LOCAL, Ended, factory
from small_clips import Pixels, encode

GREEN = (10, 250, 12)  # of an object: a gate proposes another screen for it
SCREEN = (0, 177, 64)
SIDE = 96


def disc(colour: Sequence[int], radius: float, middle: float = SIDE / 2) -> tuple[Pixels, Pixels]:
    """A shaded disc and its alpha: (SIDE, SIDE, 3) and (SIDE, SIDE)."""
    across, down = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    alpha = np.clip(radius + 0.5 - np.hypot(across - middle, down - SIDE / 2), 0, 1)
    shade = 0.75 + 0.25 * np.cos((across + 2 * down) / (4 + radius % 5))
    colours = np.rint(np.array(colour) * shade[..., None]).astype(np.uint8)
    return colours, np.rint(alpha * 255).astype(np.uint8)


def write(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)


def paintings(folder: Path) -> None:
    """Five pictures with alpha: one twice, a green one, an empty one; and a torn one."""
    folder.mkdir(parents=True)
    colours = {"red ball": (220, 40, 50), "red ball again": (220, 40, 50), "blue ball": (40, 60, 230), "leaf": GREEN}
    for name, colour in colours.items():
        picture, alpha = disc(colour, 40 if "ball" in name else 30)
        cv2.imwrite(str(folder / f"{name}.png"), np.dstack([picture[..., ::-1], alpha]))
    cv2.imwrite(str(folder / "nothing.png"), np.zeros((SIDE, SIDE, 4), np.uint8))
    (folder / "torn.png").write_bytes((folder / "leaf.png").read_bytes()[:200])


def animals(folder: Path) -> None:
    """Five photographs with mattes as AM-2k has them: a green one, one whose matte is torn; one benchmark image."""
    noise = np.random.default_rng(5).integers(0, 256, (6, 6, 3), np.uint8)
    ground = cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    colours = {"m_cat": (200, 150, 90), "m_dog": (90, 70, 60), "m_fox": (230, 120, 30), "m_frog": GREEN}
    for name, colour in (colours | {"m_torn": (80, 80, 80)}).items():
        picture, alpha = disc(colour, 25 + len(colour) + len(name) ** 2 / 3)
        a = alpha[..., None] / 255
        write(folder / "train" / "original" / f"{name}.png", np.rint(a * picture + (1 - a) * ground).astype(np.uint8))
        write(folder / "train" / "mask" / f"{name}.png", alpha)
    torn = folder / "train" / "mask" / "m_torn.png"
    torn.write_bytes(torn.read_bytes()[:100])
    for kind in ("original", "mask"):
        write(folder / "validation" / kind / "m_test.png", disc((9, 90, 200), 20)[kind == "mask"])


def clips(folder: Path) -> None:
    """A ball that rolls before a screen for thirty frames, and a file that is no video."""
    folder.mkdir(parents=True)
    frames = []
    for number in range(30):
        picture, alpha = disc((210, 120, 70), 26, 35 + number)
        a = alpha[..., None] / 255
        frames.append(np.rint(a * picture + (1 - a) * np.array(SCREEN)).astype(np.uint8))
    encode(folder / "rolling ball.mp4", frames, tagged="bt601", options={"g": "10"})
    (folder / "no film.mp4").write_bytes(b"not a video" * 100)


def build(folder: Path, *arguments: str | Path) -> Ended:
    """Make the files, and the set in folder / "set". It ends with exit code 1, for there is bad data."""
    paintings(folder / "paintings")
    animals(folder / "AM-2k")
    clips(folder / "clips")
    sources = [
        {"type": "procedural", "n": 12, "classes": ["heart", "star"]},
        {"type": "rgba_folder", "path": str(folder / "paintings"), "licence": "CC0-1.0", "repeat": 2},
        {"type": "public", "dataset": "am-2k", "path": str(folder / "AM-2k"), "repeat": 3, "allowed_failures": 0.5},
        {"type": "videos", "path": str(folder / "clips"), "select": {"every": 6}, "class_name": "ball", "paper": 4},
    ]
    recipe = {"job": "build-green100k", "out": str(folder / "set"), "size": 96, "shard_size": 6, "sources": sources}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return factory("build-green100k", folder / "recipe.yaml", *LOCAL, *arguments)
