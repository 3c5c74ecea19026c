"""Sampling that begins at a screen: the noise's mean is that of a picture that is all screen.

Training showed a network the picture's mean even at the last timestep, where Stable Diffusion's schedule leaves 7 % of
it; plain sampling begins at mean 0, and the network has to invent what it was always told. For a screen it need not.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from factory.diffusion.sample.samplers import screen_latent
from factory.diffusion.sizes import Size
from factory.greenscreen.colours import KEY_COLOURS, KeyName

Codes: TypeAlias = dict[tuple[KeyName, Size], Tensor]
"""(1, C, h, w) of bare screens, by colour and size in pixels."""


def screen_start(
    pipeline: Any, generators: Sequence[torch.Generator], keys: Sequence[KeyName], call: Mapping[str, Any], codes: Codes
) -> Tensor:
    """(B, C, h, w) what a pipeline of Stable Diffusion's kind is to be given as `latents`.

    The code is that of the whole bare screen, with its rims, as in sample/pipeline.py. Such a pipeline multiplies what
    it is given by its scheduler's `init_noise_sigma`. Schedulers that work with variances begin at √ᾱ·z + √(1−ᾱ)·ε,
    those that work with σ at z + σ·ε.
    keys: the screen of each picture.  call: the arguments; `height` among them only where a size is asked.
    codes: those of earlier calls, to which new ones are added.
    """
    vae, scheduler, device = pipeline.vae, pipeline.scheduler, pipeline._execution_device
    own = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    size = Size(int(call.get("height", own)), int(call.get("width", own)))
    latent = (side // pipeline.vae_scale_factor for side in size)
    shape = (len(generators), pipeline.unet.config.in_channels, *latent)
    noise = randn_tensor(shape, generator=list(generators), device=device, dtype=pipeline.unet.dtype).float()
    for key in set(keys):
        if (key, size) not in codes:
            codes[key, size] = screen_latent(vae, KEY_COLOURS[key], size, device)
    screen = _as_the_network_sees(torch.cat([codes[key, size] for key in keys]).to(noise), vae.config)
    steps = inspect.signature(pipeline.__call__).parameters["num_inference_steps"].default
    scheduler.set_timesteps(call.get("num_inference_steps", steps), device=device)  # else it is as it was left
    first = float(scheduler.init_noise_sigma)
    if first == 1:  # variances
        kept = scheduler.alphas_cumprod[int(scheduler.timesteps[0])].to(noise)
        begin = kept.sqrt() * screen + (1 - kept).sqrt() * noise
    else:
        begin = (screen + scheduler.sigmas[0].to(noise) * noise) / first
    latents: Tensor = begin.to(pipeline.unet.dtype)
    return latents


def has_known_noise(scheduler: Any) -> bool:
    """Whether a scheduler says by how much noise it begins: flow matching does not."""
    return hasattr(scheduler, "init_noise_sigma") and (
        hasattr(scheduler, "alphas_cumprod") or hasattr(scheduler, "sigmas")
    )


def _as_the_network_sees(code: Tensor, config: Any) -> Tensor:
    """A latent scaled as training did it; some autoencoders have a mean and a deviation beside the factor."""
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        shape = (1, -1, 1, 1)
        code = (code - code.new_tensor(mean).view(shape)) / code.new_tensor(deviation).view(shape)
    return code * float(config.scaling_factor)
