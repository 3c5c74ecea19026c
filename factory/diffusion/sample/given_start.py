"""Sampling that begins with a given picture (SDEdit, Meng et al. 2022), and may keep parts of it (inpainting).

Steps are counted, and what is kept is noised, as diffusers' image-to-image and inpainting pipelines do it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import interpolate

from factory.diffusion.given.pictures import GivenBatch


class GivenLatents(NamedTuple):
    """code: (B, 4, h, w) float32, scaled as the network sees it.

    mask: (B, 1, h, w) float32, 1 where the picture is painted anew and 0 where it is kept; None where all is.
    strength: share of the steps that are taken.
    """

    code: Tensor
    mask: Tensor | None
    strength: float


def encoded(vae: AutoencoderKL, given: GivenBatch, generators: Sequence[torch.Generator]) -> GivenLatents:
    """One after the other, each with noise of its own, so that a code depends on its picture and seed alone."""
    pictures = torch.from_numpy(given.pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    codes = [
        vae.encode(picture[None].to(vae.device, vae.dtype)).latent_dist.sample(generator)
        for picture, generator in zip(pictures, generators, strict=True)
    ]
    code = torch.cat(codes).float() * vae.config.scaling_factor
    mask = None
    if given.masks is not None:
        mask = interpolate(torch.from_numpy(given.masks)[:, None].to(code), size=code.shape[2:])
    return GivenLatents(code, mask, given.strength)


def begin_given(scheduler: Any, given: GivenLatents, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The timesteps that are taken, and the latents to begin with."""
    count = len(scheduler.timesteps)
    first = count - int(count * given.strength)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    timesteps = scheduler.timesteps[first:]
    if given.mask is not None and given.strength == 1:
        return timesteps, noise * float(scheduler.init_noise_sigma)
    return timesteps, scheduler.add_noise(given.code, noise, timesteps[:1].expand(len(noise)))


def kept(scheduler: Any, given: GivenLatents, noise: Tensor, following: Tensor, latents: Tensor) -> Tensor:
    """After a step: outside the mask the given picture, with the noise of the next one.

    following: the timesteps that are still to come.
    """
    if given.mask is None:
        return latents
    still = scheduler.add_noise(given.code, noise, following[:1]) if len(following) else given.code
    return torch.lerp(still, latents, given.mask)
