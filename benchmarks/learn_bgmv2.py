"""Train BackgroundMattingV2 (MobileNetV2, random weights) on the scenes of the keyer's own network: a row of labels.py.

    factory build-green100k keyer-objects
    python benchmarks/learn_bgmv2.py runs/keyer-objects --out runs/bgmv2 --minutes 60

Objects and scenes are those of `factory train-keyer` (factory/refine/train), but the network sees the picture and its
plate, and more of their pixels. The base alone is trained: pictures of GreenBench's size are given to it whole, and the
refiner has no part. α, its edges and the expected error are learned as in the paper; colours are not: scenes tell none.

OUT/bgmv2.safetensors is for `labels.py --bgmv2`; OUT/curve.csv and curve.png are its losses. `--minutes` are the
processor's, of all threads, so that a busy machine takes nothing away; with the last of them the learning rate arrives
at zero. Ctrl-C and SIGTERM end it there and then, with the weights as they are; nothing resumes.
"""

import argparse
import csv
import math
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from factory.refine.bgmv2.network import BackgroundMatting
from factory.refine.train.objects import read_objects
from factory.refine.train.scenes import Cutout, scene
from factory.training.interrupts import interrupts_wait

BACKBONE = "mobilenetv2"
LEARNING_RATE, WARM_UP = 1e-3, 100  # steps
NOTED = 20  # steps that a point of the curve is the mean of
PARTS = ("alpha", "edges", "error")


class Batch(NamedTuple):
    """(N, 3, S, S), (N, 3, S, S), (N, 1, S, S), all in 0..1."""

    picture: Tensor
    plate: Tensor
    alpha: Tensor


class Point(NamedTuple):
    """Of the curve. processor: seconds of all threads.  clock: seconds.  losses: by PARTS."""

    step: int
    processor: float
    clock: float
    losses: tuple[float, ...]


def main() -> int:
    """Train for as long as is said, then write weights and curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="finished sets, of whose objects scenes are made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of the processor: the keyer's own network had about")
    parser.add_argument("--side", type=int, default=192, help="pixels; a multiple of 16")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="beside the one that draws")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    objects = read_objects(arguments.data)
    print(f"{len(objects):,} objects", flush=True)
    torch.manual_seed(arguments.seed)
    network = BackgroundMatting(BACKBONE, None)
    curve = train(network, objects, 60 * arguments.minutes, (arguments.batch, arguments.side), arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), arguments.out / "bgmv2.safetensors")
    with (arguments.out / "curve.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "processor_seconds", "seconds", *PARTS])
        writer.writerows(
            [point.step, *(f"{value:.5g}" for value in (point.processor, point.clock, *point.losses))]
            for point in curve
        )
    cv2.imwrite(str(arguments.out / "curve.png"), curve_picture([point.losses[0] for point in curve]))
    return 0


def train(
    network: BackgroundMatting, objects: Sequence[Cutout], seconds: float, shape: tuple[int, int], seed: int
) -> list[Point]:
    """Train until the processor's time is over, at least one step; returns the curve. shape: scenes, and their side."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-3)
    begin, clock, step = time.process_time(), time.monotonic(), 0
    curve, noted = list[Point](), list[list[float]]()
    with suppress(KeyboardInterrupt), ThreadPoolExecutor(1) as drawing, interrupts_wait() as interrupted:
        coming = drawing.submit(batch_of, objects, shape, (seed, step))
        ending = False
        while not ending:
            batch = coming.result()
            coming = drawing.submit(batch_of, objects, shape, (seed, step + 1))
            share = min((time.process_time() - begin) / max(seconds, 1e-9), 1)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * min((step + 1) / WARM_UP, (1 + math.cos(math.pi * share)) / 2)
            terms = losses(network, batch)
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(terms).sum())
            clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            noted.append([float(term.detach()) for term in terms])
            passed = time.process_time() - begin
            ending = passed >= seconds or interrupted()
            if len(noted) == NOTED or ending:
                means = tuple(float(mean) for mean in np.mean(noted, axis=0))
                curve.append(Point(step, passed, time.monotonic() - clock, means))
                noted.clear()
                told = ", ".join(f"{name} {value:.4f}" for name, value in zip(PARTS, means, strict=True))
                print(f"  step {step:,}, {passed / 60:.1f} min: {told}", flush=True)
    network.eval()
    return curve


def batch_of(objects: Sequence[Cutout], shape: tuple[int, int], seeds: tuple[int, int]) -> Batch:
    """The scenes of one step: a pure function of the arguments."""
    count, side = shape
    scenes = [scene(objects, side, np.random.default_rng((*seeds, place))) for place in range(count)]
    picture, plate = (
        torch.from_numpy(np.stack([getattr(one, name).transpose(2, 0, 1) for one in scenes]))
        for name in ("picture", "plate")
    )
    return Batch(picture, plate, torch.from_numpy(np.stack([one.alpha[None] for one in scenes])))


def losses(network: BackgroundMatting, batch: Batch) -> list[Tensor]:
    """By PARTS. α is not bounded, as it is when the network is used: what lies outside of 0..1 would learn nothing."""
    x, *skips = network.backbone(torch.cat([batch.picture, batch.plate], dim=1))
    told = network.decoder(network.aspp(x), skips)
    alpha, error = told[:, :1], told[:, 4:5]
    wrong = alpha - batch.alpha
    edges = wrong.diff(dim=-1).abs().mean() + wrong.diff(dim=-2).abs().mean()
    return [wrong.abs().mean(), edges, (error - wrong.detach().abs()).square().mean()]


def curve_picture(values: Sequence[float], width: int = 480, height: int = 240) -> NDArray[np.uint8]:
    """The curve of a loss, logarithmic, each line of the grid a tenth of the one above; (height, width, 3) in BGR."""
    picture = np.full((height, width, 3), 255, np.uint8)
    logarithms = np.log10(np.maximum(values, 1e-9))
    low, high = math.floor(float(logarithms.min())), math.ceil(float(logarithms.max()))
    high += high == low

    def row(value: float) -> int:
        return round((high - value) / (high - low) * (height - 1))

    for power in range(low, high + 1):
        cv2.line(picture, (0, row(power)), (width, row(power)), (200, 200, 200), 1)
        place = (4, min(max(row(power) - 4, 12), height - 4))
        cv2.putText(picture, f"{10.0**power:g}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (90, 90, 90), 1, cv2.LINE_AA)
    across = np.linspace(0, width - 1, len(values)).round().astype(int)
    points = np.array([[x, row(float(value))] for x, value in zip(across, logarithms, strict=True)], np.int32)
    cv2.polylines(picture, [points], isClosed=False, color=(160, 60, 20), thickness=1, lineType=cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    sys.exit(main())
