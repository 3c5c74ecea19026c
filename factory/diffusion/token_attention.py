"""The attention of some text tokens while the U-Net runs (A_j of Eqs. 2 and 3), without materialising the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as nnf


class Probe:
    """What a probe of attention does in one pass of a network. It writes, and it does not rest, unless told."""

    def __init__(self) -> None:
        self.maps: dict[str, Tensor] = {}
        self.resting = False
        self.writing = True  # off in a backward pass: what a layer that runs again wrote would keep all that it saved

    @contextmanager
    def written(self) -> Iterator[None]:
        """A forward pass is made inside; a backward pass after it writes nothing."""
        self.writing = True
        try:
            yield
        finally:
            self.writing = False

    @contextmanager
    def resting_meanwhile(self) -> Iterator[None]:
        """Inside, the network runs as without a probe."""
        self.resting = True
        try:
            yield
        finally:
            self.resting = False


class TokenAttention(Probe):
    """What the probe reads and writes in one forward pass.

    tokens: (B, K) indices j of tokens in each prompt, set before the pass.
    maps: layer name → A_j (B, h·w, K) float32, mean over heads. A dict, not a list: with gradient checkpointing every
    layer runs a second time in the backward pass and just writes its entry again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.zeros(0, 1, dtype=torch.long)


class ProbeProcessor:
    """Cross-attention that also returns A_j: V gets a column for each j, one-hot at token j, whose output *is* A_j.

    Exact and differentiable, whatever kernel runs below. In float32, because A_j is supervised directly.
    """

    def __init__(self, layer: str, seen: TokenAttention, own: Any) -> None:
        """own: the layer's processor while the probe rests."""
        self.layer, self.seen, self.own = layer, seen, own

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        """hidden_states (B, h·w, C), encoder_hidden_states (B, S, D) → (B, h·w, C)."""
        if self.seen.resting:
            plain: Tensor = self.own(attn, hidden_states, encoder_hidden_states, *args, **kwargs)
            return plain
        batch, pixels, _ = hidden_states.shape

        def by_head(x: Tensor) -> Tensor:
            return x.view(batch, -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2).float()

        query = by_head(attn.to_q(hidden_states))
        key = by_head(attn.to_k(encoder_hidden_states))
        value = by_head(attn.to_v(encoder_hidden_states))
        one_hot = nnf.one_hot(self.seen.tokens, key.shape[2]).to(value.dtype).transpose(1, 2)[:, None]
        value = torch.cat([value, one_hot.expand(-1, attn.heads, -1, -1)], dim=-1)
        with torch.autocast(hidden_states.device.type, enabled=False):
            out = nnf.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        count = one_hot.shape[-1]
        A_j = out[..., -count:].mean(dim=1)
        if self.seen.writing:
            self.seen.maps[self.layer] = A_j
        out = out[..., :-count].transpose(1, 2).reshape(batch, pixels, -1).to(hidden_states.dtype)
        return attn.to_out[1](attn.to_out[0](out))  # type: ignore[no-any-return]


@contextmanager
def probed(unet: UNet2DConditionModel, seen: TokenAttention | None = None) -> Iterator[TokenAttention]:
    """Put the probe on every cross-attention (`.attn2.`) of the U-Net; its own processors come back at the end.

    seen: what it shall read and write; None: a new one.
    """
    seen = TokenAttention() if seen is None else seen
    own = dict(unet.attn_processors)
    unet.set_attn_processor(
        {name: ProbeProcessor(name, seen, kept) if ".attn2." in name else kept for name, kept in own.items()}
    )
    try:
        yield seen
    finally:
        unet.set_attn_processor(own)
