"""The attention that a picture pays to words in transformers that read text and picture in one sequence.

Each attention's own code runs untouched; while it does, the one call of softmax(QKᵀ)V that it makes is seen, and the
same queries and keys (normed, rotated) are asked once more for the words alone.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF
from torch import Tensor, nn
from torch.nn import functional as nnf
from torch.overrides import TorchFunctionMode

from factory.diffusion.joint_models import by_class
from factory.diffusion.token_attention import Probe
from factory.errors import UsageError

Among: TypeAlias = Literal["text", "all"]


class Layout(NamedTuple):
    """Where things stand in the joint sequence of a kind of transformer.

    layers: what the name of each joint attention matches, whole.
    text_first: [text, image]; else [image, text], with the image filled up to a multiple of so many tokens.
    """

    layers: str
    text_first: bool = True
    multiple: int = 1

    def places(self, pixels: int, length: int) -> tuple[slice, slice]:
        """Of the image's tokens and of the text's, padding of the latter included, in a sequence of this length."""
        if self.text_first:
            return slice(length - pixels, length), slice(0, length - pixels)
        return slice(0, pixels), slice(-(-pixels // self.multiple) * self.multiple, length)


LAYOUTS = {
    "SD3Transformer2DModel": Layout(r"transformer_blocks\.\d+\.attn", text_first=False),  # attn2 reads the image alone
    "FluxTransformer2DModel": Layout(r"(single_)?transformer_blocks\.\d+\.attn"),
    "Flux2Transformer2DModel": Layout(r"(single_)?transformer_blocks\.\d+\.attn"),
    "QwenImageTransformer2DModel": Layout(r"transformer_blocks\.\d+\.attn"),
    "ZImageTransformer2DModel": Layout(r"layers\.\d+\.attention", text_first=False, multiple=SEQ_MULTI_OF),
}
"""By the transformer's class."""


class JointAttention(Probe):
    """What the probe reads and writes in one forward pass.

    words: (B, S, K) bool, which of the text's tokens each word is made of; a word of several has their sum.
    text: (B, S) bool, which tokens are text and no padding. pixels: how many image tokens there are. All three are set
    before the pass.
    maps: layer name → (B, pixels, K) float32, mean over heads. A dict: with gradient checkpointing every layer runs a
    second time in the backward pass and just writes its entry again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.zeros(0, 0, 1, dtype=torch.bool)
        self.text = torch.zeros(0, 0, dtype=torch.bool)
        self.pixels = 0


@contextmanager
def jointly_probed(
    transformer: nn.Module, among: Among = "text", seen: JointAttention | None = None
) -> Iterator[JointAttention]:
    """Put the probe on every joint attention of one of `LAYOUTS`; afterwards the transformer is as it was.

    seen: what it shall read and write; None: a new one.
    among: the keys that a softmax is over. "all" is A_ij as the layer has it, text and image together; it costs the
    layer's attention once more. "text" is A_ij / Σ A_ij' over the real text tokens j', of each head: the image's keys
    cancel out, so it costs a few hundred keys, and what it tells has cross-attention's range and meaning.
    """
    seen = JointAttention() if seen is None else seen
    layout = by_class(LAYOUTS, transformer)
    with ExitStack() as stack:
        for name, attention in transformer.named_modules():
            if re.fullmatch(layout.layers, name):
                stack.callback(_put_back, attention, vars(attention).get("forward"))
                attention.forward = partial(_run_watched, attention.forward, name, layout, seen, among)
        yield seen


def _put_back(attention: nn.Module, forward: Callable[..., Any] | None) -> None:
    """forward: the object's own, where something else had laid one over its class's."""
    del attention.forward
    if forward is not None:
        attention.forward = forward


def _run_watched(
    forward: Callable[..., Any], name: str, layout: Layout, seen: JointAttention, among: Among, *args: Any, **more: Any
) -> Any:
    if seen.resting:
        return forward(*args, **more)
    with _Watch(name, layout, seen, among):
        told = forward(*args, **more)
    if name not in seen.maps:
        raise UsageError(
            f"what {name} attends to cannot be read, as it computes attention with something else than PyTorch: leave "
            "DIFFUSERS_ATTN_BACKEND unset."
        )
    return told


class _Watch(TorchFunctionMode):
    """Sees PyTorch's attention called, by whatever code."""

    def __init__(self, name: str, layout: Layout, seen: JointAttention, among: Among) -> None:
        super().__init__()
        self.name, self.layout, self.seen, self.among = name, layout, seen, among

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is nnf.scaled_dot_product_attention:
            self._read(*args, **kwargs)
        return func(*args, **kwargs)

    def _read(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *_: Any,
        scale: float | None = None,
        enable_gqa: bool = False,
        **__: Any,
    ) -> None:
        """Of the call's own arguments: Q (B, heads, L, D), K and V of as many heads or fewer, what the mask says."""
        seen, length = self.seen, key.shape[2]
        image, text = self.layout.places(seen.pixels, length)
        missing = text.stop - text.start - seen.text.shape[1]  # of the shorter texts of a batch, and of a multiple
        real, words = nnf.pad(seen.text, (0, missing)), nnf.pad(seen.words, (0, 0, 0, missing))
        bias = None if attn_mask is None else _rows(_additive(attn_mask), image)
        if self.among == "text":
            real = real | ~real.any(dim=1, keepdim=True)  # no text at all: any number, but one
            bias = _additive(real[:, None, None]) + (0 if bias is None else bias[..., text])
            key = key[:, :, text]
        else:
            words = nnf.pad(words, (0, 0, text.start, length - text.stop))
        A = attention_to(query[:, :, image], key, words, bias, scale, gqa=enable_gqa)
        if seen.writing:
            seen.maps[self.name] = A


def attention_to(
    query: Tensor, key: Tensor, words: Tensor, bias: Tensor | None, scale: float | None = None, *, gqa: bool = False
) -> Tensor:
    """softmax(QKᵀ + bias) summed over each word's keys, mean over heads: (B, L_q, K) float32, differentiable.

    query (B, heads, L_q, D), key (B, heads or fewer, L_k, D), words (B, L_k, K) bool with K ≤ D, bias to be broadcast.
    The words are V's columns, so the output *is* the attention, and no matrix is written down. V is filled up to the
    width of K, as all kernels take it. In float32, because it is supervised directly.
    """
    count = words.shape[-1]
    columns = nnf.pad(words.float(), (0, key.shape[-1] - count))[:, None].expand(-1, key.shape[1], -1, -1)
    with torch.autocast(query.device.type, enabled=False):
        out = nnf.scaled_dot_product_attention(
            query.float(), key.float(), columns, attn_mask=bias, scale=scale, enable_gqa=gqa
        )
    return out[..., :count].mean(dim=1)


def _additive(mask: Tensor) -> Tensor:
    """What a mask adds to the logits, float32; of a boolean one, where it is false, −∞."""
    if mask.dtype != torch.bool:
        return mask.float()
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, -torch.inf)


def _rows(bias: Tensor, queries: slice) -> Tensor:
    return bias if bias.shape[-2] == 1 else bias[..., queries, :]
