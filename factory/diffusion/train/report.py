"""Pictures of the present weights, to look at while a training runs."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_folder import Components
from factory.diffusion.sample.samplers import draw_noise, sample_latents, screen_latent
from factory.diffusion.sample.settings import SamplerSettings, Start
from factory.diffusion.sizes import square
from factory.diffusion.train import data as training_data
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.reading import TokenRows, predict, read
from factory.diffusion.train.settings import TrainSettings
from factory.sample import Picture


def to_pictures(x: Tensor) -> list[Picture]:
    """(B, 3, H, W) in −1..1 → pictures."""
    levels = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return list(levels)


def to_grey(M: Tensor) -> list[Picture]:
    """(B, 1, H, W) in 0..1 → grey pictures."""
    return to_pictures(M.expand(-1, 3, -1, -1) * 2 - 1)


@torch.no_grad()
def sample(components: Components, captions: Sequence[str], s: TrainSettings) -> tuple[list[Picture], list[Picture]]:
    """Pictures and coarse masks of the present weights, drawn as `factory generate` would by default."""
    vae, unet = components.vae, components.unet
    tokens = training_data.tokenize(components.tokenizer, captions, s.template, s.key, components.tokenizer_2)
    second = None if tokens.second is None else tokens.second.to(unet.device)
    real = torch.arange(len(tokens.ids), device=unet.device) < len(captions)
    told = read(components, TokenRows(tokens.ids.to(unet.device), second, real), s.size)
    screen = screen_latent(vae, s.key_rgb, square(s.size)) * vae.config.scaling_factor
    z = sample_latents(
        lambda z_t, t, *told: predict(components, z_t, t, told),
        components.scheduler,
        draw_noise(range(len(captions)), screen.shape[1:]).to(unet.device),
        prompt_embeds=told[0][:-1],
        negative_embeds=told[0][-1:],
        prompt_added=[each[:-1] for each in told[1:]],
        negative_added=[each[-1:] for each in told[1:]],
        key_latent=screen,
        settings=drawing_settings(s),
    )
    pictures, masks = [], []
    for one in torch.split(z, 1):  # eight of 1024² at once would take tens of gigabytes
        x, features = decode_with_features(vae, one / vae.config.scaling_factor)
        pictures += to_pictures(x)
        masks += to_grey(components.head(features))
    return pictures, masks


def drawing_settings(s: TrainSettings) -> SamplerSettings:
    """No negative prompt: a small model has never seen the words of the usual one. From the screen, if it saw one."""
    start: Start = "marginal" if s.on_screen else "noise"
    return SamplerSettings(negative_prompt="", guidance=s.picture_guidance, key=s.key, start=start)


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, data: TrainingSet, count: int = 10) -> list[list[Picture]]:
    """Two rows: pictures evenly spread over the data, and what the autoencoder makes of them."""
    chosen = np.linspace(0, len(data.captions) - 1, count).round().astype(np.int64)
    x = training_data.pictures(data, chosen, np.zeros(count, bool)).to(next(vae.parameters()).device)
    x_hat = torch.cat([vae.decode(vae.encode(one).latent_dist.mean).sample for one in torch.split(x, 1)])
    return [to_pictures(x), to_pictures(x_hat)]
