"""Pictures of the present weights, to look at while a training runs."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_folder import Components
from factory.diffusion.train import data as training_data
from factory.diffusion.train.autoencoder import key_latent
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.losses import estimate_z0
from factory.diffusion.train.settings import TrainSettings
from factory.sample import Picture


def write_grid(rows: Sequence[Sequence[Picture]], file: Path, zoom_to: int = 128) -> None:
    """Rows of equal pictures (H, W, 3) RGB; small ones are enlarged pixel by pixel."""
    zoom = max(1, zoom_to // rows[0][0].shape[0])
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    large = cv2.resize(grid, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(file), cv2.cvtColor(large, cv2.COLOR_RGB2BGR))


def to_pictures(x: Tensor) -> list[Picture]:
    """(B, 3, H, W) in −1..1 → pictures."""
    levels = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return list(levels)


def to_grey(M: Tensor) -> list[Picture]:
    """(B, 1, H, W) in 0..1 → grey pictures."""
    return to_pictures(M.expand(-1, 3, -1, -1) * 2 - 1)


@torch.no_grad()
def sample(
    components: Components, captions: Sequence[str], s: TrainSettings, steps: int = 25
) -> tuple[list[Picture], list[Picture]]:
    """Pictures and coarse masks of the present weights: DDIM (eta 0) from the training marginal of a bare screen."""
    vae, unet = components.vae, components.unet
    device = next(unet.parameters()).device
    alpha_bars = components.scheduler.alphas_cumprod.to(device)
    tokens = training_data.tokenize(components.tokenizer, captions, s.template)
    context = components.text_encoder(tokens.ids.to(device)).last_hidden_state
    context = torch.cat([context[:-1], context[-1:].expand(len(captions), -1, -1)])
    side = unet.config.sample_size
    noise = torch.randn(len(captions), 4, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    pixels = side * 2 ** (len(vae.config.block_out_channels) - 1)
    z_key = key_latent(vae, s.key_rgb, pixels).view(1, 4, 1, 1) * vae.config.scaling_factor
    times = torch.linspace(999, 0, steps).round().long().tolist()
    z = alpha_bars[times[0]].sqrt() * z_key + (1 - alpha_bars[times[0]]).sqrt() * noise
    for now, following in zip(times, [*times[1:], None], strict=True):
        told, untold = unet(torch.cat([z, z]), now, context).sample.chunk(2)
        predicted = untold + s.picture_guidance * (told - untold)
        z0 = estimate_z0(z, predicted, alpha_bars[now].expand(len(z)), components.prediction)
        epsilon = (z - alpha_bars[now].sqrt() * z0) / (1 - alpha_bars[now]).sqrt()
        a = alpha_bars[following] if following is not None else torch.ones((), device=device)
        z = a.sqrt() * z0 + (1 - a).sqrt() * epsilon
    x, features = decode_with_features(vae, z / vae.config.scaling_factor)
    return to_pictures(x), to_grey(components.head(features))


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, data: TrainingSet, count: int = 10) -> list[list[Picture]]:
    """Two rows: pictures evenly spread over the data, and what the autoencoder makes of them."""
    chosen = np.linspace(0, len(data.captions) - 1, count).round().astype(np.int64)
    x = training_data.pictures(data, chosen, np.zeros(count, bool)).to(next(vae.parameters()).device)
    x_hat = vae.decode(vae.encode(x).latent_dist.mean).sample
    return [to_pictures(x), to_pictures(x_hat)]
