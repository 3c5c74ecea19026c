"""Samplers as plain functions of (denoiser, text, noise): from noise to the latents of a picture."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, SchedulerMixin
from torch import Tensor

from factory.diffusion.sample.settings import Sampler, SamplerSettings
from factory.greenscreen.colours import Colour

NOISE_FIELDS = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"),
    *("rescale_betas_zero_snr", "prediction_type"),
)
Denoiser: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(latents (B, 4, h, w), timestep (), text (B, T, D)) -> the network's prediction (B, 4, h, w), usually ε."""


def draw_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """(B, *shape) standard normal float32, each sample from its own CPU generator.

    So a sample's noise depends on its seed alone: not on its place, its neighbours or the device.
    """
    return torch.stack([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds])


def sample_latents(
    denoiser: Denoiser,
    model_scheduler: SchedulerMixin,
    noise: Tensor,
    *,
    prompt_embeds: Tensor,
    negative_embeds: Tensor,
    key_latent: Tensor,
    settings: SamplerSettings,
) -> Tensor:
    """Denoise a batch with classifier-free guidance: ε = ε(negative) + g·(ε(prompt) − ε(negative)).

    model_scheduler: the model's own scheduler, of which only the configuration is used.
    noise: (B, 4, h, w) float32.  prompt_embeds: (B, T, D).  negative_embeds: (B, T, D) or (1, T, D).
    key_latent: (1, 4, h, w) or (1, 4, 1, 1), the scaled latent of the bare screen; (B, 4, h, w) of each sample's own.
    Returns (B, 4, h, w) float32 latents, scaled as the network sees them.
    """
    scheduler = make_scheduler(model_scheduler, settings.sampler)
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


def screen_latent(vae: AutoencoderKL, colour: Colour, size: int, device: torch.device | None = None) -> Tensor:
    """(1, 4, h, w) float32, unscaled: the code of a bare screen of size × size pixels.

    device: where the autoencoder works, if its weights wait elsewhere for their turn.
    """
    screen = torch.tensor(colour, device=device or vae.device, dtype=vae.dtype).view(1, 3, 1, 1) / 127.5 - 1
    with torch.no_grad():
        code: Tensor = vae.encode(screen.expand(1, 3, size, size)).latent_dist.mode().float()
    return code


def training_marginal(alpha_bar: Tensor, key_latent: Tensor, noise: Tensor) -> Tensor:
    """z_T = √ᾱ·z_key + √(1−ᾱ)·ε: what training showed at this timestep, for a picture that is all screen."""
    return alpha_bar.sqrt() * key_latent + (1 - alpha_bar).sqrt() * noise


def make_scheduler(model_scheduler: SchedulerMixin, sampler: Sampler) -> Any:
    """The update rule of `sampler` on the model's noise schedule; a scheduler has state, so each batch has its own.

    model_scheduler: of whatever class. It says what noise is; how to step is said here, field by field, as its class
    may not name these fields, and what the sampler's class then assumes is for pixels (DDIM's clips to −1..1).
    """
    own = model_scheduler.config
    noise = {name: own[name] for name in NOISE_FIELDS if name in own}
    if sampler == "ddim":
        trailing = own.get("timestep_spacing") == "trailing"  # what a model without signal at its last timestep needs
        return DDIMScheduler(
            **noise,
            clip_sample=False,
            thresholding=False,
            set_alpha_to_one=own.get("set_alpha_to_one", False),  # not, in Stable Diffusion's own sampler
            timestep_spacing="trailing" if trailing else "leading",  # DDIM steps by T/steps, as linspace does not
            steps_offset=1,
        )
    return DPMSolverMultistepScheduler(
        **noise, algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=True, final_sigmas_type="zero"
    )
