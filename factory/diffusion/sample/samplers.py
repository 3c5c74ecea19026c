"""Samplers as plain functions of (denoiser, text, noise): from noise to the latents of a picture."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from factory.diffusion.sample.settings import Sampler, SamplerSettings

Denoiser: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(latents (B, 4, h, w), timestep (), text (B, T, D)) -> the network's prediction (B, 4, h, w), usually ε."""


def draw_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """(B, *shape) standard normal float32, each sample from its own CPU generator.

    So a sample's noise depends on its seed alone: not on its place, its neighbours or the device.
    """
    return torch.stack([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds])


def sample_latents(
    denoiser: Denoiser,
    noise_schedule: Any,
    noise: Tensor,
    *,
    prompt_embeds: Tensor,
    negative_embeds: Tensor,
    key_latent: Tensor,
    settings: SamplerSettings,
) -> Tensor:
    """Denoise a batch with classifier-free guidance: ε = ε(negative) + g·(ε(prompt) − ε(negative)).

    noise_schedule: the model's own scheduler, of which only the configuration is used.
    noise: (B, 4, h, w) float32.  prompt_embeds: (B, T, D).  negative_embeds: (B, T, D) or (1, T, D).
    key_latent: (1, 4, h, w) or (1, 4, 1, 1), the scaled latent of the bare screen.
    Returns (B, 4, h, w) float32 latents, scaled as the network sees them.
    """
    scheduler = make_scheduler(noise_schedule, settings.sampler)
    scheduler.set_timesteps(settings.steps)
    latents = noise
    if settings.start == "marginal":
        latents = training_marginal(scheduler.alphas_cumprod[scheduler.timesteps[0]], key_latent, noise)
    guided = settings.guidance > 1
    text = torch.cat([negative_embeds.expand_as(prompt_embeds), prompt_embeds]) if guided else prompt_embeds
    # The scheduler keeps its numbers on the CPU: stepping with the CPU's t never waits for the device.
    for t, device_t in zip(scheduler.timesteps, scheduler.timesteps.to(noise.device), strict=True):
        if guided:
            away, toward = denoiser(torch.cat([latents, latents]), device_t, text).chunk(2)
            predicted = torch.lerp(away, toward, settings.guidance)
        else:
            predicted = denoiser(latents, device_t, text)
        latents = scheduler.step(predicted, t, latents, return_dict=False)[0]
    return latents


def training_marginal(alpha_bar: Tensor, key_latent: Tensor, noise: Tensor) -> Tensor:
    """z_T = √ᾱ·z_key + √(1−ᾱ)·ε: what training showed at this timestep, for a picture that is all screen."""
    return alpha_bar.sqrt() * key_latent + (1 - alpha_bar).sqrt() * noise


def make_scheduler(noise_schedule: Any, sampler: Sampler) -> Any:
    """The update rule of `sampler` on the model's noise schedule; a scheduler has state, so each batch has its own."""
    if sampler == "ddim":
        return DDIMScheduler.from_config(noise_schedule.config)
    return DPMSolverMultistepScheduler.from_config(
        noise_schedule.config, algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=True
    )
