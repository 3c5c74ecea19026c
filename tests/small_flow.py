"""A training of low-rank changes on a small joint transformer, seconds long: discs and squares before a screen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import small_joint
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from small_training import COLOURS, GREEN, SIZE, small_settings
from torch import Tensor

from factory.diffusion.flow_latents import encode, feature_width, is_of_frames
from factory.diffusion.joint_models import Text
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.train import data as training_data
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.flow_task import FlowParts, FlowTask
from factory.diffusion.train.low_rank import LowRankChanges
from factory.diffusion.train.settings import LowRankSettings
from factory.greenscreen.compositing import paint_on_screen

CPU = torch.device("cpu")
NEVER = 10**6  # a step that no training here comes to: what is measured on


def drawn_set(count: int = 48) -> TrainingSet:
    """Discs with soft borders and squares with binary masks, in turn; each is about half of its picture."""
    rng = np.random.default_rng(3)
    rgb, alpha = np.zeros((count, SIZE, SIZE, 3), np.uint8), np.zeros((count, SIZE, SIZE), np.uint8)
    captions = []
    for i in range(count):
        colour, (x, y), half = sorted(COLOURS)[i % 3], (int(v) for v in rng.integers(4, 12, 2)), int(rng.integers(5, 8))
        if i % 2:
            alpha[i, max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 255
        else:
            cv2.circle(alpha[i], (x, y), half, 255, -1, cv2.LINE_AA)
        rgb[i] = paint_on_screen(np.full((SIZE, SIZE, 3), COLOURS[colour], np.uint8), alpha[i], GREEN)
        captions.append(f"a {colour} {'square' if i % 2 else 'disc'}")
    soft = np.arange(count) % 2 == 0
    return TrainingSet(rgb, alpha, tuple(captions), soft, np.arange(count), manifests=())


def make_task(family: str, *, seed: int = 0, **changes: Any) -> FlowTask:
    """On `drawn_set`."""
    settings, data = small_settings(Path(), train_text_encoder=False, seed=seed, **changes), drawn_set()
    vae = small_joint.autoencoder(family)
    everything = np.arange(len(data.captions))
    as_is, mirrored = (
        training_data.pictures(data, everything, np.full(len(everything), twin)) for twin in (False, True)
    )
    normalise(vae, as_is)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MattingHead(feature_width(vae), hidden_channels=8)
    parts = FlowParts(
        transformer=small_joint.transformer(family, seed).requires_grad_(False),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.2),
        head=head,
    )
    latents = torch.stack([encode(vae, as_is), encode(vae, mirrored)], dim=1).numpy().astype(np.float16)
    prompts = training_data.templated(data.captions, settings.template, settings.key)
    return FlowTask(parts, data, latents, texts(prompts), settings, 1, CPU, with_head=True)


@torch.no_grad()
def normalise(vae: Any, x: Tensor) -> None:
    """As published ones do: latents of mean 0 and deviation 1."""
    if hasattr(vae, "bn"):
        vae.bn.running_mean.zero_()
        vae.bn.running_var.fill_(1 - vae.config.batch_norm_eps)
        z0 = encode(vae, x)
        vae.bn.running_mean.fill_(float(z0.mean()))
        vae.bn.running_var.fill_(float(z0.var()))
    elif is_of_frames(vae):
        mean = vae.encode(x[:, :, None]).latent_dist.mean
        vae.register_to_config(
            latents_mean=mean.mean(dim=(0, 2, 3, 4)).tolist(), latents_std=mean.std(dim=(0, 2, 3, 4)).tolist()
        )
    else:
        mean = vae.encode(x).latent_dist.mean
        vae.register_to_config(shift_factor=float(mean.mean()), scaling_factor=1 / float(mean.std()))


def texts(prompts: list[str]) -> Callable[[Tensor], Text]:
    """Each word is one token, a vector of its own; the first is the key colour's. The last row is the empty prompt."""
    split = [[*prompt.replace(",", "").split(), "<end>"] for prompt in [*prompts, ""]]
    vocabulary = sorted({word for row in split for word in row})
    table = torch.randn(len(vocabulary), small_joint.WIDTH, generator=torch.Generator().manual_seed(5))
    most = max(map(len, split))
    real = torch.arange(most) < torch.tensor([len(row) for row in split])[:, None]
    embeddings = torch.zeros(len(split), most, small_joint.WIDTH)
    embeddings[real] = table[[vocabulary.index(word) for row in split for word in row]]
    words = torch.zeros(len(split), most, 1, dtype=torch.bool)
    words[:-1, 0] = True
    pooled = embeddings.sum(dim=1)[:, :8]
    return lambda rows: Text(embeddings[rows], real[rows], words[rows], pooled[rows])


def backward(task: FlowTask, step: int, size: int) -> dict[str, Tensor]:
    """Add the gradients of a step."""
    with task.watching():
        terms = task.losses(task.batch(step, size))
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
    return terms


def learn(task: FlowTask, steps: int, rank: int = 8, lr: float = 2e-2) -> list[dict[str, float]]:
    """Changes in all layers, and the head. Returns each step's losses."""
    changes = LowRankChanges(task.parts.transformer, LowRankSettings(rank=rank, layers="all"), task.settings.seed)
    optimizer = torch.optim.AdamW(
        [{"params": list(changes.parameters())}, {"params": list(task.parts.head.parameters()), "lr": 5e-2}], lr=lr
    )
    told = []
    for step in range(steps):
        terms = backward(task, step, 8)
        optimizer.step()
        optimizer.zero_grad()
        told.append({name: term.item() for name, term in terms.items()})
    return told
