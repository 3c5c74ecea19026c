"""Teach the embedded model a style by ordinary pictures, without a screen, and see that the screen stays.

    python benchmarks/learn_style.py [--steps 400] [--objects 600] [--n 128] [--out runs/learn_style]

As the paper's Fig. 8 has it, which lays a LoRA of a style over DiffuMatting. The pictures are drawn objects of classes
that the model knows before photographs (of FACTORY_DATA), the whole picture toned sepia, each with its caption in a
file beside it: what a user would bring. `factory train` learns low-rank changes from them under captions that name no
screen, and beside them from as many that the model itself has painted on its screen, as DreamBooth's prior has it;
`--alone` leaves these out. Then `factory generate` paints the same slots and seeds without and with the changes. The
share of attempts that pass the gate on GSG must be 0.9 of that without; objects must come nearer to sepia, in levels,
by a tenth at least. `sheet.png` has the same slots without (left) and with it (right).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from adapter_screens import held_against, in_words, painted
from drawn_objects import SIZE, drawn_objects
from figures import exit_code, within
from learn_lora import from_sepia, sheet, toned
from material import DATA

from factory.diffusion.lora.settings import Lora
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.train.low_rank import LORA_FILE
from factory.diffusion.train.settings import LowRankSettings, Phase, TrainingFolder, TrainSettings
from factory.diffusion.train.trainer import train
from factory.greenscreen.compositing import as_levels, as_unit
from factory.shards.reader import read_samples

MUST, NEARER = 0.9, 0.9
RANK, LR, BATCH = 8, 5e-4, 16


def main() -> int:
    """Make the pictures, learn, paint without and with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--objects", type=int, default=600)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--alone", action="store_true", help="without pictures on the screen")
    parser.add_argument("--out", type=Path, default=Path("runs/learn_style"))
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    pictures = ordinary_pictures(asked.out, asked.objects)
    training = "alone" if asked.alone else "training"
    out = {"without": asked.out / "without", "with": asked.out / f"with-{training}"}
    bare = painted(out["without"], (), asked.n)
    own = () if asked.alone else (TrainingFolder(folder=str(out["without"]), repeat=asked.objects // asked.n),)
    train(settings(pictures, own, asked.steps), asked.out / training, lambda _: None)
    laid = painted(out["with"], (Lora(file=asked.out / training / LORA_FILE),), asked.n)
    for name, screens in (("none", bare), ("the style", laid)):
        print(in_words(name, screens))
    apart = {name: from_sepia(place) for name, place in out.items()}
    sheet(out["without"], out["with"], asked.out / "sheet.png")
    print(f"objects, levels from sepia: {apart['without']:.1f} without, {apart['with']:.1f} with")
    return exit_code(
        held_against(laid, bare, MUST),
        within("distance from sepia", apart["with"], NEARER * apart["without"], "levels"),
    )


def ordinary_pictures(out: Path, count: int) -> Path:
    """A folder of PNGs, SIZE pixels large, with captions in .txt files."""
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted((DATA / "backgrounds" / "mdn_cc0").glob("*.jpg"))
    photographs = [picture for file in files if (picture := cv2.imread(str(file))) is not None]
    random = np.random.default_rng(0)
    for sample in read_samples(drawn_objects(out / "objects", count, 3), "train"):
        behind = as_unit(_part(photographs[int(random.integers(len(photographs)))][..., ::-1], random))
        alpha = as_unit(sample.alpha)[..., None]
        whole = toned(alpha * as_unit(sample.foreground) + (1 - alpha) * behind)
        cv2.imwrite(str(folder / f"{sample.key}.png"), np.ascontiguousarray(as_levels(whole)[..., ::-1]))
        (folder / f"{sample.key}.txt").write_text(sample.meta["caption"])
    return folder


def _part(photograph: Any, random: np.random.Generator) -> Any:
    """(SIZE, SIZE, 3), a third of the photograph's height seen small."""
    side = min(photograph.shape[:2]) // 3
    top, left = (int(random.integers(room - side)) for room in photograph.shape[:2])
    return cv2.resize(photograph[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def settings(pictures: Path, own: tuple[TrainingFolder, ...], steps: int) -> TrainSettings:
    """Low-rank changes in all layers: from L_noise, and from L_g of the pictures that show a screen."""
    return TrainSettings(
        data=(TrainingFolder(folder=str(pictures), screen=False), *own),
        phases=(Phase(name="generation", steps=steps, batch=BATCH, lr=LR, warmup=20, decay="cosine"),),
        base=str(EMBEDDED),
        lora=LowRankSettings(rank=RANK, layers="all"),
        green_background=bool(own),
        detail=False,
        size=SIZE,
        flip=False,
        ema=0.98,
        save_every=100,
        seed=1,
    )


if __name__ == "__main__":
    sys.exit(main())
