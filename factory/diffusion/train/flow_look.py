"""What shows how far a training on a joint model is: pictures of the averaged changes, and their GSG."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from factory.diffusion.flow_latents import features, is_of_frames
from factory.diffusion.joint_models import image_tokens, velocity
from factory.diffusion.train import flow
from factory.diffusion.train.flow_task import FlowTask
from factory.diffusion.train.held_out import measure
from factory.diffusion.train.look import show
from factory.diffusion.train.report import to_grey, to_pictures
from factory.greenscreen.gsg import gsg
from factory.models.precision import autocast

STEPS = 20


def look_at_flow(
    task: FlowTask,
    rows: Tensor,
    captions: Sequence[str],
    shown: Path,
    step: int,
    *,
    held_out: FlowTask | None = None,
) -> dict[str, float]:
    """Pictures of always the same texts and noise above their coarse masks; `gsg` is the pictures' mean (Eq. 11).

    rows: of the texts.  held_out: as of `look_at_generation`.
    """
    with task.attention.resting_meanwhile():
        z = painted(task, rows)
    pictures, masks = [], []
    for one in torch.split(z, 1):
        f_decoder = features(task.parts.vae, one)
        last = task.parts.vae.decoder.conv_out
        x = last(f_decoder[:, :, None])[:, :, 0] if is_of_frames(task.parts.vae) else last(f_decoder)
        pictures += to_pictures(x.float())
        masks += to_grey(task.parts.head(f_decoder.float()))
    show([pictures, masks], shown, step, captions)
    s = task.settings
    told = {"gsg": float(np.mean([gsg(picture, s.key_rgb) for picture in pictures]))} if s.on_screen else {}
    return told | (measure(held_out, s.validation_items) if held_out else {})


def painted(task: FlowTask, rows: Tensor) -> Tensor:
    """Latents (B, C, h, w) by Euler steps along the velocity, from t = 1 to 0, without guidance; of fixed noise."""
    transformer, s = task.parts.transformer, task.settings
    generator = torch.Generator().manual_seed(s.seed)
    z = torch.randn(len(rows), *task.latents.shape[2:], generator=generator).to(task.device)
    times = torch.linspace(1, 0, STEPS + 1)
    times = flow.shifted(times, flow.shift_of(task.parts.scheduler.config, image_tokens(transformer, z)))
    text = task.texts(rows).to(task.device)
    for t, following in pairwise(times):
        with autocast(s.bf16, task.device):
            v = velocity(transformer, z, t.expand(len(z)).to(task.device), text).float()
        z = z + (following - t) * v
    return z
