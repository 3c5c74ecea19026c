"""What a base paints of some classes before it is taught: DreamBooth's class images (Ruiz et al., CVPR 2023).

Learnt beside the new pictures under their own prompts, they keep the base from forgetting (the paper's prior
preservation).
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from PIL import Image

from factory.diffusion import model_folder
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train.no_screen import CAPTION
from factory.models.device import best_device
from factory.shards.durable import appearing, make_folder, write_durably

BATCH = 16


def seed_of(name: str, number: int) -> int:
    """The noise of the picture `number` of a class, whatever else is painted."""
    return int.from_bytes(sha256(f"{name}\0{number}".encode()).digest()[:8], "big") >> 1


def paint_classes(
    model: Path, out: Path, slots: Sequence[tuple[str, int, str]], settings: SamplerSettings, say: Callable[[str], None]
) -> None:
    """Each slot's picture as PNG with its prompt in a .txt beside it; those that are there stay.

    model: a folder of Stable Diffusion, with a matting head or without.  slots: class, number, prompt.
    """
    make_folder(out)
    missing = [slot for slot in slots if not (out / f"{_name(slot)}{CAPTION}").is_file()]
    if not missing:
        return
    device = torch.device(best_device().torch)
    components = model_folder.load_base(model, head_hidden=1, seed=0)
    for part in (components.unet, components.vae, components.text_encoder, components.head):
        part.to(device)
    pipeline = DiffuMattingPipeline(components)
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        prompts, seeds = [prompt for _, _, prompt in batch], [seed_of(name, number) for name, number, _ in batch]
        pictures, _ = pipeline(prompts, seeds, settings)
        for slot, picture in zip(batch, pictures, strict=True):
            with appearing(out / f"{_name(slot)}.png") as file:
                Image.fromarray(picture).save(file, "PNG")
            write_durably(out / f"{_name(slot)}{CAPTION}", slot[2].encode())
        say(f"{min(start + BATCH, len(missing)):,} of {len(missing):,} class pictures are painted")


def _name(slot: tuple[str, int, str]) -> str:
    name, number, _ = slot
    return f"{name.replace('/', ' ')}-{number:04d}"
