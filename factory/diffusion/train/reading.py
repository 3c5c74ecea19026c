"""What a U-Net is told of a batch's prompts while it learns: tokens to states, with Stable Diffusion XL's numbers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from factory.diffusion.conditions import told_by_name
from factory.diffusion.model_folder import Components
from factory.diffusion.sample.text import PENULTIMATE, Told


@dataclass(frozen=True)
class TokenRows:
    """Of a batch.  ids: (B, L).  second: those of XL's other reader.  real: (B,) bool, false for the empty prompt."""

    ids: Tensor
    second: Tensor | None
    real: Tensor


def read(c: Components, rows: TokenRows, size: int) -> Told:
    """As `sample/text.py` reads a text. XL is told that pictures were neither shrunk nor cropped, and of size².

    An empty prompt is zeros to an XL that was trained so.
    """
    if c.text_encoder_2 is None:
        return (c.text_encoder(rows.ids).last_hidden_state,)
    first = c.text_encoder(rows.ids, output_hidden_states=True)
    second = c.text_encoder_2(rows.second, output_hidden_states=True)
    states = torch.cat([reader.hidden_states[PENULTIMATE] for reader in (first, second)], dim=-1)
    pooled = second.text_embeds
    if c.zeros_for_empty:
        real = rows.real.to(states.dtype)
        states, pooled = states * real[:, None, None], pooled * real[:, None]
    return states, pooled, _sizes(size, states).expand(len(states), -1)


def predict(c: Components, z_t: Tensor, t: Tensor, told: Told) -> Tensor:
    """ε_θ(z_t, t, C) or v_θ, float32."""
    named: dict[str, Any] = told_by_name(told)
    predicted: Tensor = c.unet(z_t, t, **named).sample
    return predicted.float()


def _sizes(size: int, like: Tensor) -> Tensor:
    return torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32, device=like.device)
