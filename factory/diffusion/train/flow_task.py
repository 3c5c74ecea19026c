"""Stages "generation" and "joint" on a base that reads text and picture in one sequence: one step's losses of Eq. 10.

As `generation.py` does for a U-Net: from cached latents, and from texts that a frozen encoder has read once. What
differs is the path from picture to noise (`flow.py`), and whom the attention of 'green' is shared with.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from diffusers import SchedulerMixin
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from factory.diffusion.flow_latents import features
from factory.diffusion.joint_attention import JointAttention, jointly_probed
from factory.diffusion.joint_models import Text, image_tokens, velocity
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.train import data as training_data
from factory.diffusion.train import flow, losses
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.drawn import draw
from factory.diffusion.train.settings import TrainSettings
from factory.models.precision import autocast
from factory.training.draws import WHOLE, Share

STEPS = 1000  # in which settings count t


@dataclass(frozen=True, kw_only=True)
class FlowParts:
    """The parts of a model that losses need.  vae: an AutoencoderKL, or Flux 2's or Qwen-Image's own."""

    transformer: Any  # of `joint_models.VELOCITIES`; what learns lies in it
    vae: Any
    scheduler: SchedulerMixin  # its configuration names the shift of t
    head: MattingHead


@dataclass(frozen=True)
class FlowBatch:
    """One step's inputs on the training device.

    z0 (B, C, h, w) latents as the transformer knows them · M (B, 1, H, W) · text, whose word is the key colour's
    has_word (of the screen), soft_alpha (B,) bool · epsilon like z0 · t (B,) in 0..1.
    worded, soft () how many of the step's samples are so, over the number of its shares (1 at least of all).
    """

    z0: Tensor
    M: Tensor
    text: Text
    has_word: Tensor
    soft_alpha: Tensor
    epsilon: Tensor
    t: Tensor
    worded: Tensor
    soft: Tensor


@dataclass(frozen=True)
class FlowTask:
    """Everything the losses of a step are computed from.

    latents: (N, 1 or 2, C, h, w) of `flow_latents.encode`; [:, 1] of the mirrored pictures.
    texts: of the samples in these rows (B,), row N being the empty prompt; each with one word, the key colour's.
    """

    parts: FlowParts
    data: TrainingSet
    latents: NDArray[np.float16]
    texts: Callable[[Tensor], Text]
    settings: TrainSettings
    phase: int
    device: torch.device
    with_head: bool  # stage "joint"
    attention: JointAttention = field(default_factory=JointAttention)

    def batch(self, step: int, size: int, share: Share = WHOLE) -> FlowBatch:
        """A share of the inputs of a step of so many samples: a pure function of (seed, phase, step)."""
        s, at = self.settings, (self.phase, step)
        drawn = draw(self.data, self.latents, s, flow.logit_normal, at=at, size=size, share=share)
        shift = flow.shift_of(self.parts.scheduler.config, image_tokens(self.parts.transformer, drawn.z0))
        inputs: dict[str, Any] = {
            "z0": drawn.z0,
            "M": training_data.mattes(self.data, drawn.chosen, drawn.mirrored),
            "text": self.texts(drawn.rows(empty=len(self.data.captions))),
            "has_word": drawn.has_word,
            "soft_alpha": drawn.soft_alpha,
            "epsilon": drawn.epsilon,
            "t": flow.shifted(drawn.t, shift),
            "worded": drawn.worded,
            "soft": drawn.soft,
        }
        return FlowBatch(**{name: value.to(self.device) for name, value in inputs.items()})

    def watching(self) -> AbstractContextManager[object]:
        """Steps are taken in it. Its probe must be there in the backward pass, where checkpointed layers run again."""
        wanted = self.settings.green_background
        return jointly_probed(self.parts.transformer, seen=self.attention) if wanted else nullcontext()

    def losses(self, b: FlowBatch) -> dict[str, Tensor]:
        """L_noise, and L_g, L_detail, L_latent where settings and stage ask for them; weighted, to be summed."""
        s, attention = self.settings, self.attention
        z_t = flow.noisy(b.z0, b.epsilon, b.t)
        attention.words, attention.text, attention.pixels = (
            b.text.words,
            b.text.real,
            image_tokens(self.parts.transformer, z_t),
        )
        with attention.written(), autocast(s.bf16, self.device):
            v = velocity(self.parts.transformer, z_t, b.t, b.text).float()
        everywhere = torch.ones_like(b.t)
        terms = {"noise": losses.noise_loss(flow.velocity(b.z0, b.epsilon), v, everywhere)}
        height, width = b.z0.shape[-2:]
        M_z = nnf.adaptive_avg_pool2d(b.M, (height, width))
        z0_hat = flow.estimate_z0(z_t, v, b.t)
        if s.green_background:
            maps = {layer: A[..., 0] for layer, A in attention.maps.items()}
            terms["green"] = s.green_weight * losses.green_background_loss(maps, M_z, b.has_word, b.worded)
        if s.detail:
            M_detail = losses.transition_mask(M_z, b.soft_alpha)
            weight = flow.timestep_weight(b.t) if s.detail_timestep_weight else everywhere
            terms["detail"] = s.detail_weight * losses.detail_loss(z0_hat, b.z0, M_detail, weight, s.detail_form)
        if self.with_head:
            near_clean = (b.t <= s.head_timestep / STEPS).view(-1, 1, 1, 1)
            terms["latent"] = self.head_loss(torch.where(near_clean, z0_hat.detach(), b.z0), b)
        return terms

    def head_loss(self, z: Tensor, b: FlowBatch) -> Tensor:
        """Eq. 8 on the frozen decoder's features: the gradient reaches the head only."""
        return losses.matting_loss(self._coarse(z), b.M, b.soft_alpha, b.soft)

    def masks(self, b: FlowBatch) -> tuple[Tensor, Tensor]:
        """M̃_cp of the encoded pictures, and M: (B, 1, H, W) each."""
        return self._coarse(b.z0), b.M

    def _coarse(self, z: Tensor) -> Tensor:
        with torch.no_grad(), autocast(self.settings.bf16, self.device):
            f_decoder = features(self.parts.vae, z)
        masks: Tensor = self.parts.head(f_decoder.float())
        return masks
