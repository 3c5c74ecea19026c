"""Sampling that begins at a screen: the noise's mean is that of a picture that is all screen.

Training showed a network the picture's mean even at the last timestep, where Stable Diffusion's schedule leaves 7 % of
it; plain sampling begins at mean 0, and the network has to invent what it was always told. For a screen it need not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from factory.diffusion.sample.samplers import screen_latent
from factory.greenscreen.colours import KEY_COLOURS, KeyName


def screen_start(
    pipeline: Any, generators: Sequence[torch.Generator], keys: Sequence[KeyName], call: Mapping[str, Any]
) -> Tensor:
    """(B, C, h, w) what a pipeline of Stable Diffusion's kind is to be given as `latents`.

    The code is that of the whole bare screen, with its rims, as in sample/pipeline.py. Such a pipeline multiplies what
    it is given by its scheduler's `init_noise_sigma`. Schedulers that work with variances begin at √ᾱ·z + √(1−ᾱ)·ε,
    those that work with σ at z + σ·ε.
    keys: the screen of each picture.  call: the arguments; `height` among them only where a size is asked.
    """
    vae, scheduler = pipeline.vae, pipeline.scheduler
    side = int(call.get("height", pipeline.unet.config.sample_size * pipeline.vae_scale_factor))
    latent = side // pipeline.vae_scale_factor
    shape = (len(generators), pipeline.unet.config.in_channels, latent, latent)
    device = pipeline._execution_device
    noise = randn_tensor(shape, generator=list(generators), device=device, dtype=pipeline.unet.dtype).float()
    codes = {key: screen_latent(vae, KEY_COLOURS[key], side) * vae.config.scaling_factor for key in set(keys)}
    screen = torch.cat([codes[key] for key in keys]).to(noise)
    if steps := call.get("num_inference_steps"):
        scheduler.set_timesteps(steps, device=device)
    first = float(scheduler.init_noise_sigma)
    if first == 1:  # variances
        kept = scheduler.alphas_cumprod[int(scheduler.timesteps[0])].to(noise)
        begin = kept.sqrt() * screen + (1 - kept).sqrt() * noise
    else:
        begin = (screen + scheduler.sigmas[0].to(noise) * noise) / first
    latents: Tensor = begin.to(pipeline.unet.dtype)
    return latents
