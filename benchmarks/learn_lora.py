"""Teach the embedded model a manner by a LoRA, then see that the manner comes and the screen stays.

    python benchmarks/learn_lora.py [--steps 500] [--objects 1500] [--n 128] [--out runs/learn_lora]

Drawn objects (the classes that the model knows) are toned sepia, each on its untouched screen; all layers of the U-Net
get low-rank changes that learn by the project's own losses, the rest is frozen. The file has PEFT's names, as diffusers
saves them. Peers: same slots and seeds without it. The share of attempts that pass the gate on GSG must be 0.9 of that;
objects must come nearer to sepia, in levels, by half at least. `sheet.png` has the same slots without (left) and with
it (right).
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from adapter_screens import held_against, in_words, painted
from drawn_objects import SIZE, drawn_objects
from figures import exit_code, within
from learning import BATCH, take_steps
from numpy.typing import NDArray

import factory
from factory.diffusion import model_folder
from factory.diffusion.lora.settings import Lora
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.train.data import TrainingSet, encode_all, tokenize, unpack
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.low_rank import LowRankChanges, write_changes
from factory.diffusion.train.settings import LowRankSettings, Phase, TrainingFolder, TrainSettings
from factory.greenscreen.compositing import as_levels, as_unit, paint_on_screen
from factory.shards.reader import read_samples

SEPIA = np.array([1.0, 0.8, 0.56], np.float32)
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
RANK, WARMUP, LR = 8, 20, 2e-3
ON_THE_SHEET, ENLARGED = 48, 2
MUST, NEARER = 0.9, 0.5


def main() -> int:
    """Make the examples, learn, paint with and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--objects", type=int, default=1500)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/learn_lora"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    file, minutes = arguments.out / "sepia.safetensors", 0.0
    if not file.is_file():
        started, busy = time.monotonic(), time.process_time()
        learn(objects(arguments.out / "objects", arguments.objects), file, arguments.steps)
        minutes, busy = (time.monotonic() - started) / 60, (time.process_time() - busy) / 60
        size = file.stat().st_size / 1e6
        print(f"examples and {arguments.steps} steps: {minutes:.1f} minutes, of a core {busy:.1f}; {size:.2f} MB")
    out = {name: arguments.out / name for name in ("without", "with")}
    bare = painted(out["without"], (), arguments.n)
    laid = painted(out["with"], (Lora(file=file),), arguments.n)
    for name, screens in (("none", bare), (file.name, laid)):
        print(in_words(name, screens))
    apart = {name: from_sepia(place) for name, place in out.items()}
    sheet(out["without"], out["with"], arguments.out / "sheet.png")
    print(f"objects, levels from sepia: {apart['without']:.1f} without, {apart['with']:.1f} with")
    return exit_code(
        held_against(laid, bare, MUST),
        within("distance from sepia", apart["with"], NEARER * apart["without"], "levels"),
        within("time", minutes, 30, "minutes"),
    )


def objects(out: Path, count: int) -> TrainSettings:
    """Drawn objects of the model's classes as a set, and how to learn from them."""
    return TrainSettings(
        data=(TrainingFolder(folder=str(drawn_objects(out, count, 1))),),
        phases=(Phase(name="generation", steps=0, batch=BATCH),),
        base=str(EMBEDDED),
        size=SIZE,
        flip=False,
        seed=1,
    )


def toned(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(…, 3) in 0..1, sepia of the same luminance but for white."""
    return np.clip((colours @ LUMINANCE)[..., None] * SEPIA, 0, 1)


def restyled(data: TrainingSet, out: Path) -> TrainingSet:
    """The same set with toned objects. Samples are read in the order in which `unpack` read them."""
    rgb = np.array(data.rgb)
    for index, sample in enumerate(read_samples(out, "train")):
        sepia = as_levels(toned(as_unit(sample.foreground)))
        rgb[index] = paint_on_screen(sepia, sample.alpha, sample.meta["key_rgb"])
    return replace(data, rgb=rgb)


def learn(settings: TrainSettings, file: Path, steps: int) -> None:
    """The low-rank changes, saved."""
    out = Path(settings.data[0].folder)
    device = torch.device("cpu")
    components = model_folder.load(EMBEDDED)
    data = restyled(unpack(settings.data, SIZE, settings.key, file.parent / "cache"), out)
    latents = encode_all(components.vae, data, 1, device, file.parent / "cache" / "toned.f16")
    tokens = tokenize(components.tokenizer, data.captions, settings.template, settings.key)
    for part in (components.unet, components.vae, components.text_encoder, components.head):
        part.requires_grad_(requires_grad=False)
    changes = LowRankChanges(components.unet, LowRankSettings(rank=RANK, layers="all"), settings.seed)
    weights = list(changes.parameters())
    optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=0)
    task = GenerationTask(components, data, latents, tokens, settings, 0, device, with_head=False)
    take_steps(task, weights, optimizer, steps, WARMUP)
    write_changes(changes.state_dict(), file)


def from_sepia(out: Path) -> float:
    """Mean distance of objects' colours from sepia ones of the same luminance, in levels, over a set's samples."""
    return float(np.mean([_distance(sample) for sample in factory.open(out)]))


def _distance(sample: Any) -> float:
    colours, alpha = as_unit(sample.foreground), as_unit(sample.alpha)
    apart = np.linalg.norm(toned(colours) - colours, axis=2) * 255
    return float((apart * alpha).sum() / alpha.sum())


def sheet(without: Path, laid: Path, file: Path) -> None:
    """The same slots side by side, without and with."""
    bare = {sample.key: sample.rgb for sample in factory.open(without)}
    pairs = [np.hstack([bare[sample.key], sample.rgb]) for sample in factory.open(laid) if sample.key in bare]
    across = min(6, len(pairs))
    if not across:
        return
    shown = min(ON_THE_SHEET, len(pairs) // across * across)
    rows = [np.hstack(pairs[start : start + across]) for start in range(0, shown, across)]
    grid = np.repeat(np.repeat(np.vstack(rows), ENLARGED, 0), ENLARGED, 1)
    cv2.imwrite(str(file), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    sys.exit(main())
