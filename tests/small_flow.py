"""A training of low-rank changes on a small joint transformer, seconds long: discs and squares before a screen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import small_joint
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from small_training import small_settings
from torch import Tensor

from factory.diffusion.flow_latents import encode, feature_width, is_of_frames
from factory.diffusion.joint_models import Text
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.train import data as training_data
from factory.diffusion.train.flow_task import FlowParts, FlowTask
from factory.diffusion.train.low_rank import LowRankChanges
from factory.diffusion.train.settings import LowRankSettings

CPU = torch.device("cpu")
NEVER = 10**6  # a step that no training here comes to: what is measured on


def make_task(family: str, folder: Path, *, seed: int = 0, **changes: Any) -> FlowTask:
    """On the set in `folder`."""
    settings = small_settings(folder, train_text_encoder=False, seed=seed, **changes)
    data = training_data.unpack(settings.data, settings.size, settings.key, folder.with_name("cache"))
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


def learn(task: FlowTask, steps: int, rank: int = 8, lr: float = 2e-2) -> list[dict[str, float]]:
    """Changes in all layers, and the head. Returns each step's losses."""
    changes = LowRankChanges(task.parts.transformer, LowRankSettings(rank=rank, layers="all"), task.settings.seed)
    optimizer = torch.optim.AdamW(
        [{"params": list(changes.parameters())}, {"params": list(task.parts.head.parameters()), "lr": 5e-2}], lr=lr
    )
    told = []
    for step in range(steps):
        terms = task.backward(step, 8)
        optimizer.step()
        optimizer.zero_grad()
        told.append({name: term.item() for name, term in terms.items()})
    return told
