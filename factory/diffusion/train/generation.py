"""Stages "generation" and "joint": one step's losses of Eq. 10, from cached latents."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from factory.diffusion.matting_head import decoder_features
from factory.diffusion.model_folder import Components
from factory.diffusion.token_attention import TokenAttention, probed
from factory.diffusion.train import data as training_data
from factory.diffusion.train import losses
from factory.diffusion.train.data import Tokens, TrainingSet
from factory.diffusion.train.drawn import draw
from factory.diffusion.train.reading import TokenRows, predict, read
from factory.diffusion.train.settings import TrainSettings
from factory.models.precision import autocast
from factory.training.draws import WHOLE, Share


@dataclass(frozen=True)
class Batch:
    """One step's inputs on the training device.

    z0 (B, 4, h, w) scaled latents · M (B, 1, H, W) · token_ids (B, L), with XL token_ids_2, too
    key (B,) index j of the key colour's word · has_caption, has_word (of the screen), soft_alpha (B,) bool
    epsilon like z0 · t (B,) in 0..999
    worded, soft () how many of the step's samples are so, over the number of its shares (1 at least of all).
    """

    z0: Tensor
    M: Tensor
    token_ids: Tensor
    token_ids_2: Tensor | None
    key: Tensor
    has_caption: Tensor
    has_word: Tensor
    soft_alpha: Tensor
    epsilon: Tensor
    t: Tensor
    worded: Tensor
    soft: Tensor


@dataclass(frozen=True)
class GenerationTask:
    """Everything the losses of a step are computed from."""

    components: Components
    data: TrainingSet
    latents: NDArray[np.float16]  # (N, 1 or 2, 4, h, w), unscaled; [:, 1] of the mirrored pictures
    tokens: Tokens
    settings: TrainSettings
    phase: int
    device: torch.device
    with_head: bool  # stage "joint"
    attention: TokenAttention = field(default_factory=TokenAttention)

    def batch(self, step: int, size: int, share: Share = WHOLE) -> Batch:
        """A share of the inputs of a step of so many samples: a pure function of (seed, phase, step)."""
        s = self.settings
        times = partial(losses.draw_timesteps, kind=s.timesteps)
        drawn = draw(self.data, self.latents, s, times, at=(self.phase, step), size=size, share=share)
        rows = drawn.rows(empty=len(self.tokens.ids) - 1)
        batch = Batch(
            z0=drawn.z0 * self.components.vae.config.scaling_factor,
            M=training_data.mattes(self.data, drawn.chosen, drawn.mirrored),
            token_ids=self.tokens.ids[rows],
            token_ids_2=None if self.tokens.second is None else self.tokens.second[rows],
            key=self.tokens.key[rows],
            has_caption=drawn.captioned,
            has_word=drawn.has_word,
            soft_alpha=drawn.soft_alpha,
            epsilon=drawn.epsilon,
            t=drawn.t,
            worded=drawn.worded,
            soft=drawn.soft,
        )
        there = {name: value.to(self.device) for name, value in vars(batch).items() if value is not None}
        return replace(batch, **there)

    def watching(self) -> AbstractContextManager[object]:
        """Steps are taken in it. Its probe must be there in the backward pass, where checkpointed layers run again."""
        return probed(self.components.unet, self.attention) if self.settings.green_background else nullcontext()

    def losses(self, b: Batch) -> dict[str, Tensor]:
        """L_noise, and L_g, L_detail, L_latent where settings and stage ask for them; to be summed (Eq. 10)."""
        s, attention = self.settings, self.attention
        alpha_bar = self.components.scheduler.alphas_cumprod.to(self.device)[b.t]
        a = alpha_bar.view(-1, 1, 1, 1)
        z_t = a.sqrt() * b.z0 + (1 - a).sqrt() * b.epsilon
        attention.tokens = b.key[:, None]
        with attention.written(), autocast(s.bf16, self.device):
            predicted = self.predict(z_t, b)
        prediction = self.components.prediction
        wanted = losses.target(b.z0, b.epsilon, alpha_bar, prediction)
        noise_weight = losses.min_snr_weight(alpha_bar, s.min_snr_gamma, prediction)
        terms = {"noise": losses.noise_loss(wanted, predicted, noise_weight)}
        height, width = b.z0.shape[-2:]
        M_z = nnf.adaptive_avg_pool2d(b.M, (height, width))
        z0_hat = losses.estimate_z0(z_t, predicted, alpha_bar, prediction)
        if s.green_background:
            maps = {layer: A_j[..., 0] for layer, A_j in attention.maps.items()}
            terms["green"] = s.green_weight * losses.green_background_loss(maps, M_z, b.has_word, b.worded)
        if s.detail:
            M_detail = losses.transition_mask(M_z, b.soft_alpha)
            weight = losses.timestep_weight(alpha_bar) if s.detail_timestep_weight else torch.ones_like(alpha_bar)
            terms["detail"] = s.detail_weight * losses.detail_loss(z0_hat, b.z0, M_detail, weight, s.detail_form)
        if self.with_head:
            near_clean = (b.t <= s.head_timestep).view(-1, 1, 1, 1)
            terms["latent"] = self.head_loss(torch.where(near_clean, z0_hat.detach(), b.z0), b)
        return terms

    def predict(self, z_t: Tensor, b: Batch) -> Tensor:
        """ε_θ(z_t, t, C) or v_θ, float32."""
        rows = TokenRows(b.token_ids, b.token_ids_2, b.has_caption)
        return predict(self.components, z_t, b.t, read(self.components, rows, self.settings.size))

    def head_loss(self, z: Tensor, b: Batch) -> Tensor:
        """Eq. 8 on the frozen decoder's features: the gradient reaches the head only."""
        return losses.matting_loss(self._coarse(z), b.M, b.soft_alpha, b.soft)

    def masks(self, b: Batch) -> tuple[Tensor, Tensor]:
        """M̃_cp of the encoded pictures, and M: (B, 1, H, W) each."""
        return self._coarse(b.z0), b.M

    def _coarse(self, z: Tensor) -> Tensor:
        vae = self.components.vae
        with torch.no_grad(), autocast(self.settings.bf16, self.device):
            features = decoder_features(vae, z / vae.config.scaling_factor)
        masks: Tensor = self.components.head(features.float())
        return masks
