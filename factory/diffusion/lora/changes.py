"""By how much an adapter changes a layer's weight, for every kind of adapter that people have files of.

One formula a kind, of the factors as they lie in the file. Where names of factors differ between programs, names.py has
made them equal. Where a factor is given whole, it takes the place of the product that it would be decomposed into.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

Parts: TypeAlias = Mapping[str, Tensor]  # the factors of one layer, by their names in names.PARTS


def merged(weight: Tensor, parts: Parts) -> Tensor:
    """The weight with an adapter's whole change. float32, of the weight's shape (out, in) or (out, in, h, w).

    With `dora_scale`, DoRA (Liu et al. 2024): the norm of each output row, or of each input column if that is its
    shape, becomes what the scale says; as LyCORIS has it, by the norm of the changed weight, not of the base's.
    `magnitude` is PEFT's name for one of output rows.
    Raises ValueError for factors that make no change of this shape.
    """
    weight = weight.float()
    full = weight + delta(weight, parts)
    if "magnitude" in parts:
        scale = parts["magnitude"].flatten()
    elif "dora_scale" in parts:
        scale = parts["dora_scale"]
    else:
        return full
    axis = _axis(scale, weight)
    others = [other for other in range(full.dim()) if other != axis]
    norm: Tensor = torch.linalg.vector_norm(full, dim=others, keepdim=True)
    return full * (scale.float().reshape(norm.shape) / norm)


def delta(weight: Tensor, parts: Parts) -> Tensor:
    """What is added to a weight, before DoRA scales it. Raises ValueError."""
    for asked, kind in KINDS.items():
        if asked in parts:
            change, rank = kind(parts)
            break
    else:
        raise ValueError(f"{', '.join(sorted(parts))} alone are no adapter")
    if change.numel() != weight.numel() or change.shape[0] != weight.shape[0]:
        raise ValueError(f"its change is {tuple(change.shape)}, the layer {tuple(weight.shape)}")
    scale = parts["alpha"].item() / rank if "alpha" in parts and rank else 1.0
    if "rescaled" in parts and rank:  # rank-stabilised (Kalajdzievski 2023): α ÷ √r
        scale *= math.sqrt(rank)
    if "scalar" in parts:  # that LyCORIS trains, from 0 on
        scale *= parts["scalar"].item()
    return change.reshape(weight.shape) * scale


def _lora(parts: Parts) -> tuple[Tensor, int]:
    """LoRA, and LoCon for convolutions: up·down, in CP form around a core `mid` of (rank, rank, h, w)."""
    up, down = parts["up"].float(), parts["down"].float()
    rank = down.shape[0]
    if "mid" in parts:
        return torch.einsum("or,rshw,si->oihw", up.flatten(1), parts["mid"].float(), down.flatten(1)), rank
    return (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:]), rank


def _loha(parts: Parts) -> tuple[Tensor, int]:
    """LoHa (Hyeon-Woo et al. 2022): the elementwise product of two products; in CP form `a` is (rank, out)."""
    factors = []
    for i in (1, 2):
        a, b = parts[f"hada_w{i}_a"].float(), parts[f"hada_w{i}_b"].float()
        core = parts.get(f"hada_t{i}")
        factors.append(a @ b if core is None else torch.einsum("rshw,si,ro->oihw", core.float(), b, a))
    return factors[0] * factors[1], parts["hada_w1_b"].shape[0]


def _lokr(parts: Parts) -> tuple[Tensor, int]:
    """LoKr (Yeh et al. 2024): the Kronecker product of two factors, each whole or a product itself.

    With both whole there is no rank, and α counts for nothing.
    """
    whole = [parts.get(f"lokr_w{i}") for i in (1, 2)]
    one = parts["lokr_w1_a"].float() @ parts["lokr_w1_b"].float() if whole[0] is None else whole[0].float()
    if whole[1] is not None:
        other = whole[1].float()
    elif "lokr_t2" in parts:
        factors = (parts[name].float() for name in ("lokr_t2", "lokr_w2_b", "lokr_w2_a"))
        other = torch.einsum("rshw,si,ro->oihw", *factors)
    else:
        other = parts["lokr_w2_a"].float() @ parts["lokr_w2_b"].float()
    ranks = [parts[f"lokr_w{i}_b"].shape[0] for i in (2, 1) if whole[i - 1] is None]
    return torch.kron(one.reshape(*one.shape, *[1] * (other.dim() - 2)), other.contiguous()), ranks[0] if ranks else 0


KINDS: Mapping[str, Callable[[Parts], tuple[Tensor, int]]] = {
    "down": _lora,
    "hada_w1_a": _loha,
    "lokr_w1": _lokr,
    "lokr_w1_a": _lokr,
}
"""By a factor that every adapter of the kind has: its change and its rank, 0 for none."""


PARTS_OF = {
    "down": {"down", "up", "mid"},
    "hada_w1_a": {f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    "lokr_w1": {"lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"},
    "lokr_w1_a": {"lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"},
}
OF_ALL = frozenset({"alpha", "scalar", "dora_scale", "magnitude", "rescaled"})


def parts_of(parts: Parts) -> frozenset[str]:
    """The names of the factors that count beside these; none where no kind fits."""
    return next((OF_ALL | PARTS_OF[asked] for asked in KINDS if asked in parts), frozenset())


def _axis(scale: Tensor, weight: Tensor) -> int:
    """Along which a DoRA scale goes: 0 for one of (out, 1, …), 1 for one of (1, in, …)."""
    axis = 1 if scale.dim() > 1 and scale.shape[0] == 1 and scale.shape[1] > 1 else 0
    if scale.numel() != weight.shape[axis]:
        raise ValueError(f"its dora_scale is {tuple(scale.shape)}, the layer {tuple(weight.shape)}")
    return axis
