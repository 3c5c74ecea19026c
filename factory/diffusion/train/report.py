"""Pictures of the present weights, to look at while a training runs."""

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_folder import Components
from factory.diffusion.sample.samplers import draw_noise, sample_latents, screen_latent
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sizes import square
from factory.diffusion.train import data as training_data
from factory.diffusion.train.data import TrainingSet
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
    tokens = training_data.tokenize(components.tokenizer, captions, s.template, s.key)
    context = components.text_encoder(tokens.ids.to(unet.device)).last_hidden_state
    screen = screen_latent(vae, s.key_rgb, square(s.size)) * vae.config.scaling_factor
    z = sample_latents(
        lambda z_t, t, text: unet(z_t, t, text).sample,
        components.scheduler,
        draw_noise(range(len(captions)), screen.shape[1:]).to(unet.device),
        prompt_embeds=context[:-1],
        negative_embeds=context[-1:],
        key_latent=screen,
        settings=drawing_settings(s),
    )
    x, features = decode_with_features(vae, z / vae.config.scaling_factor)
    return to_pictures(x), to_grey(components.head(features))


def drawing_settings(s: TrainSettings) -> SamplerSettings:
    """No negative prompt: a small model has never seen the words of the usual one."""
    return SamplerSettings(negative_prompt="", guidance=s.picture_guidance, key=s.key)


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, data: TrainingSet, count: int = 10) -> list[list[Picture]]:
    """Two rows: pictures evenly spread over the data, and what the autoencoder makes of them."""
    chosen = np.linspace(0, len(data.captions) - 1, count).round().astype(np.int64)
    x = training_data.pictures(data, chosen, np.zeros(count, bool)).to(next(vae.parameters()).device)
    x_hat = vae.decode(vae.encode(x).latent_dist.mean).sample
    return [to_pictures(x), to_pictures(x_hat)]
