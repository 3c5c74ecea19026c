"""Samplers as plain functions of (denoiser, text, noise): from noise to the latents of a picture."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    SchedulerMixin,
    TCDScheduler,
)
from torch import Tensor

from factory.diffusion.conditions import Hints
from factory.diffusion.sample.few_steps import NOISY
from factory.diffusion.sample.given_start import GivenLatents, begin_given, kept
from factory.diffusion.sample.settings import Sampler, SamplerSettings
from factory.diffusion.sizes import Size
from factory.greenscreen.colours import Colour

NOISE_FIELDS = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"),
    *("rescale_betas_zero_snr", "prediction_type"),
)
Denoiser: TypeAlias = Callable[..., Tensor]
"""(latents (B, 4, h, w), timestep (), text (B, T, D)) -> the network's prediction (B, 4, h, w), usually ε.

What else a network is told of each sample, as XL's, comes after the text; what hints tell it is given as `hints`.
"""


def draw_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """(B, *shape) standard normal float32, each sample from its own CPU generator.

    So a sample's noise depends on its seed alone: not on its place, its neighbours or the device.
    """
    return noise_from(seeded(seeds), shape)


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """Each sample's own source of noise, on the CPU."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def noise_from(generators: Sequence[torch.Generator], shape: tuple[int, int, int]) -> Tensor:
    """(B, *shape) standard normal float32, the next of each generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def sample_latents(
    denoiser: Denoiser,
    model_scheduler: SchedulerMixin,
    noise: Tensor,
    *,
    prompt_embeds: Tensor,
    negative_embeds: Tensor,
    key_latent: Tensor,
    settings: SamplerSettings,
    prompt_added: Sequence[Tensor] = (),
    negative_added: Sequence[Tensor] = (),
    generators: Sequence[torch.Generator] = (),
    given: GivenLatents | None = None,
    hints: Hints | None = None,
) -> Tensor:
    """Denoise a batch with classifier-free guidance: ε = ε(negative) + g·(ε(prompt) − ε(negative)).

    model_scheduler: the model's own scheduler, of which only the configuration is used.
    noise: (B, 4, h, w) float32.  prompt_embeds: (B, T, D).  negative_embeds: (B, T, D) or (1, T, D).
    prompt_added, negative_added: what else the denoiser is told, (B, …), of the negative prompt also (1, …).
    key_latent: (1, 4, h, w) or (1, 4, 1, 1), the scaled latent of the bare screen; (B, 4, h, w) of each sample's own.
    generators: one a sample, for samplers that draw noise at each step, after the noise they begin with.
    given: what sampling begins with in the place of `settings.start`.
    hints: what the denoiser is told beside the text, at each step.
    Returns (B, 4, h, w) float32 latents, scaled as the network sees them.
    """
    scheduler = make_scheduler(model_scheduler, settings.sampler)
    scheduler.set_timesteps(settings.steps)
    if given is not None:
        timesteps, latents = begin_given(scheduler, given, noise)
    else:
        timesteps = scheduler.timesteps
        latents = _begin(scheduler, key_latent if settings.start == "marginal" else None, noise)
    guided = round(settings.guidance_until * len(timesteps)) if settings.guidance > 1 else 0
    told, away_from = (prompt_embeds, *prompt_added), (negative_embeds, *negative_added)
    both = tuple(torch.cat([less.expand_as(full), full]) for less, full in zip(away_from, told, strict=True))
    steps = len(timesteps)
    drawing = _drawing(settings, generators)
    # The scheduler keeps its numbers on the CPU: stepping with the CPU's t never waits for the device.
    for step, (t, device_t) in enumerate(zip(timesteps, timesteps.to(noise.device), strict=True)):
        seen: Tensor = scheduler.scale_model_input(latents, t)
        seen, now = (torch.cat([seen, seen]), both) if step < guided else (seen, told)
        more = {"hints": hints(seen, device_t, now, step / steps, (step + 1) / steps)} if hints else {}
        predicted = denoiser(seen, device_t, *now, **more)
        if step < guided:
            away, toward = predicted.chunk(2)
            predicted = torch.lerp(away, toward, settings.guidance)
        latents = scheduler.step(predicted, t, latents, **drawing, return_dict=False)[0]
        if given is not None:
            latents = kept(scheduler, given, noise, timesteps[step + 1 :], latents)
    return latents


def _begin(scheduler: Any, key_latent: Tensor | None, noise: Tensor) -> Tensor:
    """Where sampling begins, in the scheduler's own terms: Euler's are z + σ·ε, those of the others √ᾱ·z + √(1−ᾱ)·ε."""
    if key_latent is None:
        return noise * float(scheduler.init_noise_sigma)
    alpha_bar: Tensor = scheduler.alphas_cumprod[int(scheduler.timesteps[0])]
    latents = training_marginal(alpha_bar, key_latent, noise)
    return latents if scheduler.init_noise_sigma == 1 else latents / alpha_bar.sqrt()


def _drawing(settings: SamplerSettings, generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """What a step is to be told of the noise that it draws."""
    if settings.sampler in ("lcm", "dmd2"):
        return {"generator": list(generators)}
    return {"eta": settings.eta, "generator": list(generators)} if settings.sampler in NOISY else {}


def screen_latent(vae: AutoencoderKL, colour: Colour, size: Size, device: torch.device | None = None) -> Tensor:
    """(1, 4, h, w) float32, unscaled: the code of a bare screen.

    device: where the autoencoder works, if its weights wait elsewhere for their turn.
    """
    screen = torch.tensor(colour, device=device or vae.device, dtype=vae.dtype).view(1, 3, 1, 1) / 127.5 - 1
    with torch.no_grad():
        code: Tensor = vae.encode(screen.expand(1, 3, *size)).latent_dist.mode().float()
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
    if sampler == "lcm":
        return LCMScheduler(**noise, original_inference_steps=50, timestep_scaling=10.0, clip_sample=False)
    if sampler == "dmd2":  # of 4 timesteps that it was distilled on, which are 999, 749, 499 and 249 of 1000
        return LCMScheduler(**noise, original_inference_steps=4, timestep_scaling=10.0, clip_sample=False)
    if sampler == "tcd":
        return TCDScheduler(**noise, original_inference_steps=50, clip_sample=False)
    if sampler == "euler":
        return EulerDiscreteScheduler(**noise, timestep_spacing="trailing", final_sigmas_type="zero")
    return DPMSolverMultistepScheduler(
        **noise, algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=True, final_sigmas_type="zero"
    )
