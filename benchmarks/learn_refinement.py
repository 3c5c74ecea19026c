"""Train the keyer's fine pass: makes factory/greenscreen/keyer/refinement.safetensors.

    factory build-green100k keyer-objects --set size=448 --out runs/objects    large ones, for edges at full resolution
    python benchmarks/learn_refinement.py examples runs/objects --out FOLDER --n 1500 --seed 1
    python benchmarks/learn_refinement.py train FOLDER      takes the place of the weights that ship

To be run again whenever the keyer has changed. Scenes are those that shapes are learned from (factory/refine/train),
larger, a part of them coded as JPEG or H.264. Each is keyed up to the fine pass, and squares in which something is open
are kept: the clues, α so far, the truth. Several seeds can be made at once; scenes depend on their seed alone.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from edge_examples import coded
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.evidence import evidence
from factory.greenscreen.keyer.frame import by_rules
from factory.greenscreen.keyer.refinement import LEAST, REACH, clues_of, what_is_open
from factory.greenscreen.keyer.refinement_network import WEIGHTS, RefinementNetwork
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.tiles import TILE, tile_of
from factory.refine.train.objects import read_objects
from factory.refine.train.scenes import Cutout, scene

SIDE = 448  # pixels of a scene, as of its objects
TRIES = 14  # at a square of a scene: five or six have enough that is open
OPEN = 0.02  # of a square that must be open
H264, JPEG = 0.3, 0.2  # of the scenes
TRICKY = 0.4  # of the scenes: shapes are learned from harder ones than people have to key
BATCH, RATE, AVERAGE = 32, 2e-3, 0.999
HELD_OUT = 20  # of so many scenes one is not learned from
HOPELESS = 0.08  # MSE from which a square is not learned from: nobody can key it
LEAST_ERROR = 0.01  # mean error of a square's open pixels under which it weighs no more
CLASSES = (2.0, 20.0)  # MSE (e-3) of squares whose errors are small, or large
SQUARE, EDGE = 4.0, 0.5  # weight of the squared error, and of that of differences, beside the absolute one
Floats = NDArray[np.float32]


class Square(NamedTuple):
    """known: (CLUES, TILE + 2·REACH, TILE + 2·REACH).  Others: (TILE, TILE).

    may: 0: α stays; −1: it may rise; 1: … and fall.
    """

    scene: np.int32
    known: NDArray[np.float16]
    alpha: NDArray[np.float16]
    truth: NDArray[np.float16]
    may: NDArray[np.int8]


def main() -> int:
    """Make one seed's examples, or train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["examples", "train"])
    parser.add_argument("folder", type=Path, help="a finished set of objects, or the folder of examples")
    parser.add_argument("--out", type=Path, default=Path("runs/refinement"), help="for the examples")
    parser.add_argument("--n", type=int, default=1500, help="scenes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1 if arguments.what == "examples" else arguments.threads)
    if arguments.what == "train":
        train(arguments.folder, arguments.steps)
    else:
        objects = read_objects([str(arguments.folder)])
        found = [
            one for n in range(arguments.n) for one in squares(objects, np.random.default_rng((arguments.seed, n)), n)
        ]
        arguments.out.mkdir(parents=True, exist_ok=True)
        fields = {name: np.stack([getattr(one, name) for one in found]) for name in Square._fields}
        np.savez(arguments.out / f"{arguments.seed}.npz", **fields)
        print(f"\n{len(found):,} squares")
    return 0


def squares(objects: list[Cutout], random: np.random.Generator, number: int) -> Iterator[Square]:
    """What one scene shows where something is open."""
    print(f"\r{number}", end="", flush=True)
    made = scene(objects, SIDE, random, tricky=random.random() < TRICKY)
    picture, halved = filmed(made.picture, random)
    try:
        screen = find_screen([picture])
        plate = plate_at(clean_plate([picture], screen), SIDE, SIDE)
        seen = evidence(picture, plate, screen, KeyerSettings(), halved=halved)
    except DataError:
        return
    alpha, kept = by_rules(seen, picture, KeyerSettings())
    known, where = clues_of(seen, picture, alpha), what_is_open(seen, picture, alpha, kept)
    may = np.where(where.fall, 1, -where.rise.astype(np.int8)).astype(np.int8)
    for _ in range(TRIES):
        top, left = (2 * int(random.integers((SIDE - TILE) // 2 + 1)) for _ in range(2))
        part = (slice(top, top + TILE), slice(left, left + TILE))
        if random.random() < min(1, 3 * float((may[part] != 0).mean())) and (may[part] != 0).mean() > OPEN:
            clues = tile_of(known, top, left, TILE, REACH).astype(np.float16)
            yield Square(
                np.int32(number), clues, alpha[part].astype(np.float16), made.alpha[part].astype(np.float16), may[part]
            )


def filmed(picture: Floats, random: np.random.Generator) -> tuple[Floats, bool]:
    """The picture as it is stored, and whether its chroma has half resolution."""
    levels, way = as_levels(picture), random.random()
    if way < H264:
        options = {"crf": str(random.integers(14, 30)), "preset": str(random.choice(["fast", "medium"]))}
        return coded([levels], options, "left" if random.random() < 0.5 else "centre", hd=False), True
    if way < H264 + JPEG:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(60, 97))]
        stored = cv2.imdecode(cv2.imencode(".jpg", levels[..., ::-1], quality)[1], cv2.IMREAD_COLOR)
        return as_unit(np.ascontiguousarray(np.asarray(stored, np.uint8)[..., ::-1])), True
    return as_unit(levels), False


def train(folder: Path, steps: int) -> None:
    """Learn from all files of the folder; say what is left of the errors in squares that are held out."""
    read = [np.load(file) for file in sorted(folder.glob("*.npz"))]
    scenes, *fields = (torch.from_numpy(np.concatenate([one[name] for one in read])) for name in Square._fields)
    count = len(scenes)
    held = scenes % HELD_OUT == 0
    off = (fields[1].float() - fields[2].float()).square().mean(dim=(1, 2))
    learned, unseen = torch.nonzero(~held & (off < HOPELESS))[:, 0], torch.nonzero(held)[:, 0]
    print(f"{count:,} squares")
    torch.manual_seed(0)
    network = RefinementNetwork()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.05)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        some = learned[torch.randint(len(learned), (BATCH,), generator=generator)]
        known, alpha, truth, may = turned([field[some].float() for field in fields], generator)
        with torch.autocast("cpu", torch.bfloat16):
            change = network(known)
        loss = loss_of(taken(change.float(), alpha, may), alpha, truth, may)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - min(AVERAGE, (step + 1) / (step + 10)))
        if (step + 1) % 500 == 0 or step + 1 == steps:
            told(average, [field[unseen].float() for field in fields], f"step {step + 1}: ")
    save_file({name: value.half().contiguous() for name, value in average.items()}, WEIGHTS)


def turned(fields: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """A batch as it is, upside down, left to right, or with rows for columns.

    Chroma's siting turns with it, to some that no camera has: so the network relies on none.
    """
    ways = torch.rand(3, generator=generator) < 0.5
    for way, dims in zip(ways[:2], ((-1,), (-2,)), strict=True):
        if way:
            fields = [field.flip(dims) for field in fields]
    return [field.transpose(-1, -2).contiguous() for field in fields] if ways[2] else fields


def taken(change: Tensor, alpha: Tensor, may: Tensor) -> Tensor:
    """α with a change where it may: nowhere, upwards, or both ways. Beyond 0 and 1 a little gradient is left."""
    change = torch.where(may == 0, 0.0, torch.where(may < 0, torch.nn.functional.leaky_relu(change, 0.05), change))
    moved = alpha + change
    return moved.clamp(0, 1) + 0.02 * (moved - moved.clamp(0, 1).detach()).clamp(-1, 1)


def loss_of(found: Tensor, before: Tensor, truth: Tensor, may: Tensor) -> Tensor:
    """Of open pixels; squares weigh the less the larger the error before, or those that nobody can key would rule."""
    where = (may != 0).float()
    pixels = where.sum(dim=(1, 2)).clamp(min=1)
    worth = 1 / (LEAST_ERROR + ((before - truth).abs() * where).sum(dim=(1, 2)) / pixels)
    error = (found - truth) * where
    edges = error.diff(dim=-1).abs().sum(dim=(1, 2)) + error.diff(dim=-2).abs().sum(dim=(1, 2))
    parts = (error.abs() + SQUARE * error.square()).sum(dim=(1, 2)) + EDGE * edges
    return (worth * parts / pixels).sum() / worth.sum()


def told(weights: dict[str, Tensor], fields: list[Tensor], before: str) -> None:
    """Say MSE before and after, of squares with small, with middling and with large errors."""
    network = RefinementNetwork()
    network.load_state_dict(weights)
    known, alpha, truth, may = fields
    with torch.inference_mode():
        change = torch.cat([network(part) for part in known.split(64)])
    change = change.sign() * (change.abs() - LEAST).clamp(min=0)
    new = torch.where(may == 0, 0.0, torch.where(may < 0, change.clamp(min=0), change))
    was, became = (1e3 * (found - truth).square().mean(dim=(1, 2)) for found in (alpha, (alpha + new).clamp(0, 1)))
    parts = (was < CLASSES[0], (was >= CLASSES[0]) & (was < CLASSES[1]), was >= CLASSES[1])
    words = (f"{float(was[part].mean()):.2f} → {float(became[part].mean()):.2f}" for part in parts)
    print(f"  {before}MSE e-3: {', '.join(words)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
