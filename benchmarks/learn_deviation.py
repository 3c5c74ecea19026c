"""Fit how far α may be off to scenes whose α is known: makes factory/greenscreen/keyer/deviation.npz.

    factory run greenbench --set group=develop --set per_kind=4 --set plain=8 --out runs/develop
    python benchmarks/learn_deviation.py runs/develop [--check runs/validate] [--check-only]

To be run again whenever the keyer has changed. Each scene is keyed; of up to 10,000 of its pixels the clues
(factory/greenscreen/keyer/deviation.py) and the error are kept. A small regression learns the 96 % quantile of the
error that goes with the clues, of which the deviation is half: nine errors of ten shall lie within twice the deviation.
A sum that is off twice as far is no worse than one off half as far, so it learns logarithms.

What is said of a set, with the figures to reach: the share of pixels of the unknown region whose error is at most twice
their deviation; Spearman's correlation of both there, in the median scene; median deviation ÷ median error by screen.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from figures import exit_code, shown
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import factory
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer import deviation
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import looked_at
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.quality.evaluation import trimap_of
from factory.quality.metrics import unknown
from factory.sources.greenbench.facts import facts_in

HALVED = ("h264", "phone")
UNKNOWN, ELSEWHERE = 8_000, 2_000  # pixels of a scene, at most
HIDDEN = 16  # numbers in each of the two hidden layers
QUANTILE = 0.96  # of nine in ten, with room for scenes of other kinds
STEPS, AT_ONCE, RATE, DECAY = 2500, 2048, 1e-2, 0.02
BEGIN = -3.0  # logarithm of an error, before anything is learned
LEVEL = 1 / 255
COVERED, ORDERED, LARGE = 0.9, 0.5, 3.0  # to reach

Floats = NDArray[np.float32]


class Seen(NamedTuple):
    """Some pixels of one scene."""

    screen: str
    clues: Floats  # (N, CLUES)
    error: Floats  # (N,) of the 8-bit α
    open: NDArray[np.bool_]  # (N,) others have no deviation
    unknown: NDArray[np.bool_]  # (N,)


def main() -> int:
    """Fit and write, then say what is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GreenBench, group develop")
    parser.add_argument("--check", type=Path, help="GreenBench, group validate")
    parser.add_argument("--check-only", action="store_true", help="fit nothing")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    seen = list(scenes(arguments.data))
    if not arguments.check_only:
        layers = fitted(seen)
        arrays = {
            f"{name}_{i}": one
            for i, layer in enumerate(layers)
            for name, one in zip(("weights", "bias"), layer, strict=True)
        }
        np.savez(deviation.WEIGHTS, **arrays)
        deviation._layers.cache_clear()
    reached = told(seen, str(arguments.data))
    if arguments.check:
        reached += told(list(scenes(arguments.check)), str(arguments.check))
    return exit_code(*reached)


def scenes(data: Path) -> Iterator[Seen]:
    """Some pixels of every scene in which a screen is found."""
    for number, sample in enumerate(factory.open(data)):
        screen = facts_in(sample.meta["prompt"])["screen"]
        try:
            yield pixels_of(sample.rgb, sample.alpha, screen, np.random.default_rng(number))
        except DataError as fault:
            print(f"  {sample.key}: {fault}")


def pixels_of(picture: NDArray[np.uint8], truth: NDArray[np.uint8], screen: str, random: np.random.Generator) -> Seen:
    """Key a picture. Raises DataError where there is no screen."""
    whole, settings, halved = as_unit(picture), KeyerSettings(), screen in HALVED
    behind = find_screen([whole])
    plate = plate_at(clean_plate([whole], behind), *truth.shape)
    found = looked_at(whole, plate, behind, settings, halved=halved)
    error = np.abs(as_levels(found.alpha).astype(np.float32) - truth) / 255
    region = unknown(trimap_of(truth))
    chosen = [
        random.permutation(np.flatnonzero(mask))[:most]
        for mask, most in ((region, UNKNOWN), (found.open & ~region, ELSEWHERE))
    ]
    where = np.concatenate(chosen)
    return Seen(
        screen,
        np.stack([clue.ravel()[where] for clue in found.clues], axis=-1),
        np.asarray(error.ravel()[where], np.float32),
        found.open.ravel()[where],
        region.ravel()[where],
    )


def fitted(seen: list[Seen]) -> deviation.Layers:
    """The regression's layers. Scenes count equally."""
    generator = torch.Generator().manual_seed(0)
    clues = torch.from_numpy(np.concatenate([one.clues[one.open] for one in seen]))
    goal = torch.log(torch.from_numpy(np.concatenate([one.error[one.open] for one in seen])) + deviation.HALF_A_LEVEL)
    sizes = (deviation.CLUES, HIDDEN, HIDDEN, 1)
    layers = [
        ((torch.randn(a, b, generator=generator) * a**-0.5).requires_grad_(), torch.zeros(b, requires_grad=True))
        for a, b in pairwise(sizes)
    ]
    with torch.no_grad():
        layers[-1][0].mul_(0.1)
        layers[-1][1].fill_(BEGIN)
    weights = [tensor for layer in layers for tensor in layer]
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        some = torch.randint(len(goal), (AT_ONCE,), generator=generator)
        missed = goal[some] - _regression(clues[some], layers)
        loss = torch.maximum(QUANTILE * missed, (QUANTILE - 1) * missed).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"  step {step}: {loss.item():.4f}", flush=True)
    return [(weights.detach().numpy(), bias.detach().numpy()) for weights, bias in layers]


def _regression(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    for weights, bias in layers[:-1]:
        x = functional.relu(x @ weights + bias)
    return (x @ layers[-1][0] + layers[-1][1])[:, 0]


def told(seen: list[Seen], name: str) -> list[bool]:
    """Say what is reached on a set."""
    from scipy.stats import spearmanr

    print(f"\n{name}: {len(seen)} scenes")
    by_screen = defaultdict[str, list[tuple[Floats, Floats]]](list)
    for one in seen:
        expected = np.zeros_like(one.error)
        expected[one.open] = deviation.regression(one.clues[one.open], deviation._layers())
        by_screen[one.screen].append((expected[one.unknown], one.error[one.unknown]))
    reached, orders = [], list[float]()
    for screen, pairs in by_screen.items():
        expected, error = (np.concatenate(side) for side in zip(*pairs, strict=True))
        own = [float(spearmanr(a, b).statistic) for a, b in pairs if a.std() > 0 and b.std() > 0]
        orders += own
        ratio = max(float(np.median(expected)), LEVEL) / max(float(np.median(error)), LEVEL)
        covered = float(np.mean(error <= 2 * expected + 1e-6))
        means = float(expected.mean()) / float(error.mean())
        print(f"  {screen:10} Spearman {np.median(own):.2f} in the median scene; mean σ ÷ mean error {means:.2f}")
        reached.append(shown(f"within 2σ, {screen}", f"{covered:.3f}", f"{COVERED}", covered / COVERED, 1))
        reached.append(shown(f"median σ ÷ median error, {screen}", f"{ratio:.2f}", f"{LARGE:g}", LARGE / ratio, 1))
    middle = float(np.median(orders))
    return [*reached, shown("Spearman, median scene", f"{middle:.2f}", f"{ORDERED}", middle / ORDERED, 1)]


if __name__ == "__main__":
    sys.exit(main())
