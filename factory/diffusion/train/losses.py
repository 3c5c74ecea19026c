"""The losses of DiffuMatting as plain functions, in the paper's symbols. All reduce to one number.

Latents z are (B, 4, h, w) float32; masks M are (B, 1, H, W) float32 in 0..1 with 1 on the object; ᾱ_t is (B,) in 0..1.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as nnf

from factory.diffusion.model_files import Prediction

EPS = 1e-6
STEPS = 1000  # of the noise


def per_sample(values: Tensor) -> Tensor:
    """(B, …) → (B,), the mean of each sample."""
    return values.flatten(1).mean(dim=1)


def target(z0: Tensor, epsilon: Tensor, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
    """What the U-Net is to say: ε as in the paper, or v = √ᾱ_t ε − √(1 − ᾱ_t) z0 (Salimans & Ho, ICLR 2022).

    Where noise is strong ε can be guessed without the text, v cannot: there v is −z0. It teaches words much faster.
    """
    if prediction == "epsilon":
        return epsilon
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * epsilon - (1 - a).sqrt() * z0


def draw_timesteps(count: int, generator: torch.Generator, kind: Literal["uniform", "logit_normal"]) -> Tensor:
    """(count,) in 0..999, of which each is as likely, or as 1000·sigmoid(u) falls with u standard normal."""
    if kind == "uniform":
        return torch.randint(0, STEPS, (count,), generator=generator)
    return (torch.randn(count, generator=generator).sigmoid() * STEPS).long().clamp(max=STEPS - 1)


def noise_loss(wanted: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Eq. 1: ‖ε − ε_θ(z_t, t, C)‖² as a mean, or the same of v; `weight` (B,) is 1 in the paper."""
    return (weight * per_sample((wanted - predicted) ** 2)).mean()


def min_snr_weight(alpha_bar: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v (Hang et al., ICCV 2023); γ = 0 gives the paper's 1."""
    if gamma <= 0:
        return torch.ones_like(alpha_bar)
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / (snr if prediction == "epsilon" else snr + 1)


def masked_mean(values: Tensor, keep: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of (B,) values over the samples that `keep` (B,) bool names; 0 when it names none.

    count: what to divide by where these are a share of a batch: so that the shares' mean is the batch's.
    """
    kept = keep.to(values.dtype)
    return (values * kept).sum() / (kept.sum().clamp(min=1) if count is None else count)


def green_background_loss(
    attention: Mapping[str, Tensor], M: Tensor, has_token: Tensor, count: Tensor | None = None
) -> Tensor:
    """Eq. 3: L_g = 1/u Σ_l |A_j^l − (1 − M)|_mean over the u cross-attention layers.

    attention: layer name → A_j (B, h·w) of the 'green' token, mean over heads (heads stay free to specialise).
    M is brought to each layer's size by exact area means, which keep thin parts. Samples whose caption was dropped have
    no such token: `has_token` (B,) bool leaves them out.  count: as of `masked_mean`.
    """
    height, width = M.shape[-2:]
    terms = []
    for A_j in attention.values():
        shrink = round((height * width / A_j.shape[1]) ** 0.5)
        background = 1 - nnf.adaptive_avg_pool2d(M, (height // shrink, width // shrink))
        terms.append(masked_mean(per_sample((A_j - background.flatten(1)).abs()), has_token, count))
    return torch.stack(terms).mean()


def sobel(I: Tensor) -> tuple[Tensor, Tensor]:  # noqa: E741 - the paper's I
    """I ⊗ S_x and I ⊗ S_y per channel, divided by 8 so that a unit ramp has slope 1. Borders repeat."""
    s_x = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=I.device, dtype=I.dtype) / 8
    channels = I.shape[1]
    padded = nnf.pad(I, (1, 1, 1, 1), mode="replicate")
    kernels = torch.stack([s_x, s_x.T]).unsqueeze(1).repeat(channels, 1, 1, 1)
    both = nnf.conv2d(padded, kernels, groups=channels)
    return both[:, 0::2], both[:, 1::2]


def high_frequency(I: Tensor, M: Tensor, form: Literal["magnitude", "literal"]) -> Tensor:  # noqa: E741
    """Eq. 4: H = (I⊗S_x + I⊗S_y) ⊙ I ⊙ M ("literal"), or sqrt((I⊗S_x)² + (I⊗S_y)² + eps) ⊙ M ("magnitude").

    The literal sum cancels on anti-diagonal edges and, multiplied by I, gives dark hair no weight.
    """
    G_x, G_y = sobel(I)
    if form == "literal":
        return (G_x + G_y) * I * M
    return torch.sqrt(G_x**2 + G_y**2 + EPS) * M


def estimate_z0(z_t: Tensor, predicted: Tensor, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
    """Eq. 6: ẑ0 = (z_t − √(1 − ᾱ_t) ε_θ) / √ᾱ_t; from v it is √ᾱ_t z_t − √(1 − ᾱ_t) v_θ."""
    a = alpha_bar.view(-1, 1, 1, 1)
    if prediction == "epsilon":
        return (z_t - (1 - a).sqrt() * predicted) / a.sqrt()
    return a.sqrt() * z_t - (1 - a).sqrt() * predicted


def timestep_weight(alpha_bar: Tensor) -> Tensor:
    """w(t) = min(1, sqrt(ᾱ_t/(1 − ᾱ_t))), which the paper lacks: ẑ0's error is ε's times the inverse of the root, so
    that without it 58 % of L_detail comes from t ≥ 800, where ẑ0 has no detail.
    """
    return (alpha_bar / (1 - alpha_bar)).sqrt().clamp(max=1)


def transition_mask(M: Tensor, soft_alpha: Tensor) -> Tensor:
    """M for L_detail: samples with a binary mask (`soft_alpha` (B,) false) lose their band 0 < M < 1."""
    certain = (M >= 1 - EPS).to(M.dtype)
    return torch.where(soft_alpha.view(-1, 1, 1, 1), M, certain)


def detail_loss(z0_hat: Tensor, z0: Tensor, M: Tensor, weight: Tensor, form: Literal["magnitude", "literal"]) -> Tensor:
    """Eq. 5: w(t)·|H(ẑ0) − H(z0)| as an L1 mean (the equation has no norm; L1 bears ẑ0's outliers). M at z's size."""
    difference = (high_frequency(z0_hat, M, form) - high_frequency(z0, M, form)).abs()
    return (weight * per_sample(difference)).mean()


def matting_loss(M_cp: Tensor, M: Tensor, soft_alpha: Tensor, count: Tensor | None = None) -> Tensor:
    """Eq. 8: L_latent = mean |M̃_cp − M| + 1 − 2|M̃_cp ∩ M| / (|M̃_cp| + |M|), over samples with a soft alpha.

    ∩ of two soft masks is their minimum, so that M̃_cp = M is exactly 0 (a product is not, where M is fractional).
    count: as of `masked_mean`.
    """
    l1 = per_sample((M_cp - M).abs())
    overlap = per_sample(torch.minimum(M_cp, M))
    dice = 2 * overlap / (per_sample(M_cp.abs()) + per_sample(M)).clamp(min=EPS)
    return masked_mean(l1 + 1 - dice, soft_alpha, count)
