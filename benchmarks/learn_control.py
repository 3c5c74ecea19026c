"""Teach the embedded model to paint into given outlines by a ControlNet, then see that objects fill them.

    python benchmarks/learn_control.py [--steps 1400] [--objects 6000] [--n 128] [--shapes 3] [--out runs/learn_control]

The ControlNet (Zhang et al. 2023) begins as the embedded U-Net's encoder and is shown the outlines of drawn objects'
mattes (the classes that the model knows), as `--control FOLDER=contour` shows them; it alone learns, by the project's
own losses. Then shapes of another seed, which it has never seen, are painted through `factory generate`. Peer: the
same prompts, slots and seeds without it. The share of attempts that pass the gate on GSG must be 0.9 of that; the IoU
of given and painted mattes (at half coverage) must be 0.8. `sheet-3.png` has of each slot what the network is shown,
the picture without it, the picture with it, and that one's alpha.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from control_shapes import MET, has_outline, held_out, in_words, listed, outline, painted, sheet
from diffusers import ControlNetModel
from drawn_objects import SIZE, drawn_objects
from figures import exit_code, shown, within
from learning import BATCH, take_steps
from torch import Tensor

from factory.diffusion import model_folder
from factory.diffusion.control.settings import Control
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.train.data import encode_all, tokenize, unpack
from factory.diffusion.train.generation import Batch, GenerationTask
from factory.diffusion.train.settings import Phase, TrainingFolder, TrainSettings

WARMUP, LR = 50, 5e-4
WITHOUT_CAPTION = 0.3  # of the examples: there the outline alone tells what to paint
LEARNT_FROM = 1  # the seed of the objects that it learns from; those of 2 were looked at while it was made
LEVELS = (16, 32, 64)  # channels of the outline's encoder, which halves between them: 64 pixels, latents of 16
MUST, MINUTES = 0.9, 30


def main() -> int:
    """Make the examples, learn, paint with and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--objects", type=int, default=6000)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--shapes", type=int, default=3, help="seed of the shapes to paint into")
    parser.add_argument("--out", type=Path, default=Path("runs/learn_control"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out: Path = arguments.out
    network, in_time = out / "controlnet", True
    if not (network / "config.json").is_file():
        started, busy = time.monotonic(), time.process_time()
        learn(drawn_objects(out / f"objects-{LEARNT_FROM}", arguments.objects, LEARNT_FROM), network, arguments.steps)
        minutes, busy = (time.monotonic() - started) / 60, (time.process_time() - busy) / 60
        print(f"examples and {arguments.steps} steps, of a core {busy:.1f} minutes")
        in_time = within("examples and training", minutes, MINUTES, "minutes")
    made = {name: out / f"{name}-{arguments.shapes}" for name in ("objects", "given", "without", "with")}
    shapes = list(held_out(made["objects"], arguments.n, arguments.shapes))
    prompts = listed(shapes, made["given"])
    bare = painted(made["without"], prompts, shapes, ())
    filled = painted(made["with"], prompts, shapes, (Control(model=network, kind="contour"),))
    print(in_words("without", shapes, bare))
    print(in_words("with", shapes, filled))
    sheet(shapes, bare.samples, filled.samples, out / f"sheet-{arguments.shapes}.png")
    passing, peer = filled.passing / bare.passing, f"without {bare.passing:.3f}"
    same, unguided = fmean(filled.overlaps.values()), fmean(bare.overlaps.values())
    return exit_code(
        shown("attempts that pass GSG with control", f"{filled.passing:.3f}", peer, passing, MUST),
        shown("IoU of given and painted", f"{same:.3f}", f"without {unguided:.3f}", same, MET),
        in_time,
    )


def learn(examples: Path, network: Path, steps: int) -> None:
    """The ControlNet, saved as diffusers saves it."""
    settings = TrainSettings(
        data=(TrainingFolder(folder=str(examples)),),
        phases=(Phase(name="generation", steps=steps, batch=BATCH),),
        base=str(EMBEDDED),
        size=SIZE,
        flip=False,
        green_background=False,  # it is the frozen U-Net's attention that L_g is about
        caption_dropout=WITHOUT_CAPTION,
        seed=1,
    )
    device, cache = torch.device("cpu"), network.parent / "cache"
    components = model_folder.load(EMBEDDED)
    data = unpack(settings.data, SIZE, settings.key, cache)
    data = replace(data, order=np.array([index for index in data.order if has_outline(data.alpha[index])]))
    latents = encode_all(components.vae, data, 1, device, cache / "latents.f16")
    tokens = tokenize(components.tokenizer, data.captions, settings.template, settings.key)
    for part in (components.unet, components.vae, components.text_encoder, components.head):
        part.requires_grad_(requires_grad=False)
    torch.manual_seed(settings.seed)
    controlnet = ControlNetModel.from_unet(components.unet, conditioning_embedding_out_channels=LEVELS)
    controlnet.requires_grad_(requires_grad=True).train()
    weights = list(controlnet.parameters())
    optimizer = torch.optim.AdamW(weights, lr=LR, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    task = Controlled(components, data, latents, tokens, settings, 0, device, with_head=False, controlnet=controlnet)
    take_steps(task, weights, optimizer, steps, WARMUP)
    controlnet.save_pretrained(network)


@dataclass(frozen=True)
class Controlled(GenerationTask):
    """The losses of a step where a ControlNet is shown the outlines of the batch's mattes."""

    controlnet: ControlNetModel = field(kw_only=True)

    def predict(self, z_t: Tensor, b: Batch) -> Tensor:
        context = self.components.text_encoder(b.token_ids).last_hidden_state
        mattes = b.M[:, 0].mul(255).round().byte().numpy()
        outlines = torch.from_numpy(np.stack([outline(matte) for matte in mattes])).permute(0, 3, 1, 2).float() / 255
        down, middle = self.controlnet(z_t, b.t, context, outlines, return_dict=False)
        predicted: Tensor = self.components.unet(
            z_t, b.t, context, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
        return predicted.float()


if __name__ == "__main__":
    sys.exit(main())
