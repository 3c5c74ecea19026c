"""What LayerDiffuse changes in a U-Net so that it paints transparent latents, in the three forms that it is published.

* SD 1.5 (`hookers.*`): LoRA factors of all attention projections, and a temporal attention after each. Over the one
  frame of a single picture its softmax is 1, so it is linear: it is folded into one layer behind the attention.
* SDXL as Forge reads it (`…::lora::n`, `…::diff::n`): factors and differences, by ldm's names.
* SDXL as diffusers reads it: differences, by the names of the U-Net's own weights.

As with other adapters, a key that names nothing of the U-Net is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from factory.diffusion.ldm_names import ldm_names
from factory.diffusion.lora.names import BLOCKS
from factory.errors import UsageError

HOOKERS = "hookers.layers."
ROOT = "diffusion_model."  # of Forge's names
PROJECTIONS = {"to_q_lora": "to_q", "to_k_lora": "to_k", "to_v_lora": "to_v", "to_out_lora": "to_out.0"}
TEMPORAL = ("i", "n", "q", "k", "v", "o")  # input, norm, query, key, value, output
KINDS = ("lora", "diff")


class WithTemporal(nn.Module):
    """An attention layer with what a temporal attention over one frame adds behind it: T(x) of x = input + output."""

    def __init__(self, attention: nn.Module, norm: nn.LayerNorm, linear: nn.Linear) -> None:
        super().__init__()
        self.attention, self.norm, self.linear = attention, norm, linear

    def forward(self, hidden_states: Tensor, *more: Any, **named: Any) -> Tensor:
        """(B, T, C) as the attention itself."""
        told: Tensor = self.attention(hidden_states, *more, **named)
        return told + cast(Tensor, self.linear(self.norm(hidden_states + told)))


@torch.no_grad()
def patch(unet: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Change a U-Net in place.  file: for what is said of it. Raises UsageError where it does not fit."""
    if any(key.startswith("kwargs_encoder.") for key in tensors):
        raise UsageError(
            f"{file} paints before or behind a given picture, which is not supported: take transparent_attn."
        )
    if any(key.startswith(HOOKERS) for key in tensors):
        _hook(unet, tensors, file)
    elif any("::" in key for key in tensors):
        _add(unet, _of_forge(unet, tensors, file), file)
    else:
        _add(unet, {key: {"diff": [value]} for key, value in tensors.items()}, file)


def patched(weight: Tensor, factors: Mapping[str, list[Tensor]], scale: float = 1.0) -> Tensor:
    """A weight with Forge's change of one kind: up and down, or a difference. What is smaller is filled up with zeros.

    Raises ValueError for factors of no such weight.
    """
    (kind, parts) = next(iter(factors.items()))
    if kind == "lora":
        up, down = (part.float() for part in parts)
        change = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    else:
        change = parts[0].float()
    size = tuple(map(max, weight.shape, change.shape))
    if len(weight.shape) != len(change.shape) or (size != tuple(weight.shape) and weight.dim() != 4):
        raise ValueError(f"a change of {tuple(change.shape)} for a weight of {tuple(weight.shape)}")
    return _filled(weight.float(), size) + scale * _filled(change, size)


def _filled(tensor: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(tensor.shape) == size:
        return tensor
    whole = tensor.new_zeros(size)
    whole[tuple(slice(0, length) for length in tensor.shape)] = tensor
    return whole


def _add(unet: nn.Module, changes: Mapping[str, Mapping[str, list[Tensor]]], file: Path) -> None:
    weights = dict(unet.named_parameters())
    strangers = sorted(changes.keys() - weights.keys())
    if strangers:
        raise UsageError(f"{file}: {strangers[0]} names nothing of the model: it is for another one.")
    for name, factors in changes.items():
        try:
            changed = patched(weights[name].data, factors)
        except (ValueError, RuntimeError) as error:
            raise UsageError(f"{file} does not fit {name}: {error}") from error
        if changed.shape != weights[name].shape:
            raise UsageError(
                f"{file} paints before or behind a given picture ({name} takes more channels): take another."
            )
        weights[name].data.copy_(changed)


def _of_forge(unet: Any, tensors: Mapping[str, Tensor], file: Path) -> dict[str, dict[str, list[Tensor]]]:
    """By diffusers' names. Of two kinds for one weight the later in the file counts."""
    own = ldm_names([name for name, module in unet.named_modules() if hasattr(module, "weight")], unet.config)
    found = dict[str, dict[str, list[Tensor]]]()
    for key, value in tensors.items():
        name, _, rest = key.partition("::")
        kind, _, _ = rest.partition("::")
        layer, _, ending = name.removeprefix(ROOT).rpartition(".")
        if kind not in KINDS or layer not in own or not name.startswith(ROOT):
            raise UsageError(f"{file}: {key} names nothing of the model: it is for another one.")
        weight = f"{own[layer]}.{ending}"
        if kind not in found.setdefault(weight, {}):
            found[weight] = {kind: []}
        found[weight][kind].append(value)
    return found


def attention_layers(unet: nn.Module) -> list[str]:
    """In the order in which `hookers` counts them: self and cross of each block; down, up, then the middle."""
    names = [name for name, _ in unet.named_modules() if name.endswith((".attn1", ".attn2"))]
    return sorted(names, key=lambda name: BLOCKS.index(name.partition(".")[0]))


def _hook(unet: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    layers, left = attention_layers(unet), set(tensors)

    def take(key: str) -> Tensor:
        if key not in tensors:
            raise UsageError(f"{file} lacks {key}: copy it again, whole.")
        left.discard(key)
        return tensors[key].float()

    if any(".to_q_lora.1." in key for key in tensors):
        raise UsageError(f"{file} paints several layers at once, which is not supported: take transparent_attn.")
    for index, layer in enumerate(layers):
        start, attention = f"{HOOKERS}{index}.", unet.get_submodule(layer)
        for lora, projection in PROJECTIONS.items():
            weight = cast(Tensor, attention.get_submodule(projection).weight)
            up, down = (take(f"{start}{lora}.0.{side}.weight") for side in ("up", "down"))
            if (up.shape[0], down.shape[1]) != weight.shape:
                raise UsageError(f"{file} does not fit {layer}.{projection}: it is for another model.")
            weight.data += (up @ down).to(weight)
        parts = {
            part: (take(f"{start}temporal_{part}.weight"), take(f"{start}temporal_{part}.bias")) for part in TEMPORAL
        }
        block, _, name = layer.rpartition(".")
        setattr(unet.get_submodule(block), name, _temporal(attention, parts, weight))
    if left:
        raise UsageError(f"{file}: {min(left)} names nothing of the model: it is for another one.")


def _temporal(attention: nn.Module, parts: Mapping[str, tuple[Tensor, Tensor]], like: Tensor) -> WithTemporal:
    """Over one frame: output(value(input(norm(x)))); queries and keys have no say."""
    channels = len(parts["n"][0])
    norm, linear = nn.LayerNorm(channels), nn.Linear(channels, channels)
    norm.weight.copy_(parts["n"][0])
    norm.bias.copy_(parts["n"][1])
    weight, bias = parts["i"]
    for part in ("v", "o"):
        weight, bias = parts[part][0] @ weight, parts[part][0] @ bias + parts[part][1]
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    whole = WithTemporal(attention, norm, linear)
    whole.norm.to(like)
    whole.linear.to(like)
    return whole.requires_grad_(requires_grad=False)
