"""Flow matching in the paper's symbols: what stands in the place of ε, ᾱ_t and Eq. 6 where paths are straight.

z_t = (1 − t)·z0 + t·ε (Lipman et al., ICLR 2023; Esser et al., "Stable Diffusion 3", ICML 2024), so that the network
tells dz/dt = v = ε − z0. Latents are (B, C, h, w) float32; t is (B,) in 0..1, 0 at the picture and 1 at noise.

L_noise is `losses.noise_loss` of v, with weight 1. L_g is `losses.green_background_loss` of maps that are shared out
among the text's tokens alone (`joint_attention.jointly_probed`). Not of A_ij itself: it is shared with thousands of
image tokens, so that its target 1 would tell every pixel of the screen to look at no other pixel. Nor of a map divided
by its greatest value: there one pixel moves all others, and a flat map is perfect wherever there is no object.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def noisy(z0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """z_t = (1 − t)·z0 + t·ε."""
    t = t.view(-1, 1, 1, 1)
    return (1 - t) * z0 + t * epsilon


def velocity(z0: Tensor, epsilon: Tensor) -> Tensor:
    """The path's direction, v = ε − z0."""
    return epsilon - z0


def estimate_z0(z_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """Eq. 6 of a straight path: ẑ0 = z_t − t·v."""
    return z_t - t.view(-1, 1, 1, 1) * v


def timestep_weight(t: Tensor) -> Tensor:
    """w(t) = min(1, (1 − t)/t) of L_detail: `losses.timestep_weight` at the same ratio of signal to noise.

    A flow divided by √((1 − t)² + t²) is a diffusion with √ᾱ : √(1 − ᾱ) = 1 − t : t, and w depends on that ratio alone.
    In errors: ẑ0's is t times v's and ε̂'s is 1 − t times v's, so that w·|ẑ0 − z0| is |ε̂ − ε| from t = ½ on, as it is
    for a diffusion. Nothing grows beyond bounds here; what w is still for: near t = 1 ẑ0 is a blur, whose gradients no
    sharp picture has.
    """
    return ((1 - t) / t).clamp(max=1)


def logit_normal(count: int, generator: torch.Generator) -> Tensor:
    """(count,) t whose logit is normal: most in the middle of the path, where v is hardest to tell.

    Esser et al. found mean 0 and deviation 1 best of all that they tried, with `shifted` for large pictures.
    """
    return torch.randn(count, generator=generator).sigmoid()


def shifted(t: Tensor, shift: float) -> Tensor:
    """s·t/(1 + (s − 1)·t): a larger picture needs more noise to be as unrecognisable (Esser et al., section 5.3.2)."""
    return shift * t / (1 + (shift - 1) * t)


def shift_of(scheduler: Mapping[str, Any], tokens: int) -> float:
    """What a `FlowMatchEulerDiscreteScheduler`'s configuration names for pictures of so many image tokens.

    Either one number, or e^μ (of time_shift_type "linear" μ) with μ on a line through two sizes. Flux 2 bends μ where a
    sampler takes few steps; from 200 on, and so for a training, which meets every t, it is that line.
    """
    if not scheduler["use_dynamic_shifting"]:
        return float(scheduler["shift"])
    least, most = scheduler["base_image_seq_len"], scheduler["max_image_seq_len"]
    rise = (scheduler["max_shift"] - scheduler["base_shift"]) / (most - least)
    mu = float(scheduler["base_shift"] + rise * (tokens - least))
    return mu if scheduler["time_shift_type"] == "linear" else math.exp(mu)
