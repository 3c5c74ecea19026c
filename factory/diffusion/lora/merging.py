"""Adapters merged into a model's weights: nothing hangs about its layers afterwards, and no key goes unseen.

So attention processors stay free, for the probe of a training or another add-on. Each change is computed from the
base's weight, and all are added: their order does not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from factory.diffusion.lora.bases import family_of_unet, family_said
from factory.diffusion.lora.changes import merged
from factory.diffusion.lora.file import Adapter
from factory.diffusion.lora.names import Layer
from factory.errors import UsageError, count_of

NAMED = 3  # keys that an error names
SCALARS = ("alpha", "rescaled", "scalar")


class Weighted(NamedTuple):
    """An adapter, and by how much its change counts: 1 as it was trained, 0 not at all.

    lowered: whether it counts for less where adapters are lowered.
    """

    adapter: Adapter
    weight: float
    lowered: bool = True


@torch.no_grad()
def merge(parts: Mapping[str, nn.Module], adapters: Sequence[Weighted], *, partial: bool = False) -> None:
    """Change the weights of a model's parts in place. DoRA's change at weight w is w of the way from base to merged.

    parts: by diffusers' names for them, those from which the adapters' layers are known.
    partial: whether keys may go unused that the model has no layers for.
    Raises UsageError for an adapter of another base, an unused key, or factors that do not fit a layer; then no weight
    has changed.
    """
    _check_all(parts, adapters, partial=partial)
    _add(parts, adapters, {place: _weight(parts, *place) for place in _places(adapters)})


class Laid:
    """Adapters in a model's weights, which can come to count for more or less: the weights beneath are kept.

    All is computed on the CPU: a model may have gone to a GPU since, whose sums have other last bits.
    """

    def __init__(self, parts: Mapping[str, nn.Module], adapters: Sequence[Weighted], *, partial: bool = False) -> None:
        """Lay them, as `merge` does."""
        _check_all(parts, adapters, partial=partial)
        self.parts, self.adapters, self.share = parts, adapters, nan
        self.beneath = {place: _weight(parts, *place).detach().to("cpu", copy=True) for place in _places(adapters)}
        self.lay(1.0)

    @torch.no_grad()
    def lay(self, share: float) -> bool:
        """Let each that is lowered count for this share of its weight, as if merged so. Whether weights changed."""
        if share == self.share:
            return False
        self.share = nan  # until it is done: after an error all is laid anew
        shared = [one._replace(weight=one.weight * share) if one.lowered else one for one in self.adapters]
        _add(self.parts, shared, self.beneath)
        self.share = share
        return True


def _check_all(parts: Mapping[str, nn.Module], adapters: Sequence[Weighted], *, partial: bool) -> None:
    for one in adapters:
        check(one.adapter, parts, partial=partial)


def _add(
    parts: Mapping[str, nn.Module], adapters: Sequence[Weighted], beneath: Mapping[tuple[str, str], Tensor]
) -> None:
    """Give the layers what is beneath them and all changes, computed where that lies."""
    for part, names in _together(adapters):
        weights = [_weight(parts, part, name) for name in names]
        base = torch.cat([beneath[part, name] for name in names]).float()
        total = base.clone()
        for adapter, share, _ in adapters:
            for layer, own in adapter.layers.items():
                if layer.part == part and layer.name in names:
                    rows = _rows(parts, names, layer)
                    total[rows] += share * _change(base[rows], layer, own)
        for weight, whole in zip(weights, torch.split(total, [len(weight) for weight in weights]), strict=True):
            weight.copy_(whole)


def _places(adapters: Sequence[Weighted]) -> Iterator[tuple[str, str]]:
    """The part and name of each layer that is changed."""
    return ((part, name) for part, names in _together(adapters) for name in names)


def _together(adapters: Sequence[Weighted]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The layers that are changed, by part and names; such as any file holds as one weight are taken as one."""
    layers = list(dict.fromkeys(layer for one in adapters for layer in one.adapter.layers))
    done = set[tuple[str, str]]()
    for part, name, below, _ in sorted(layers, key=lambda layer: not layer.below):
        if (part, name) not in done:
            names = (name, *below)
            done |= {(part, one) for one in names}
            yield part, names


def _rows(parts: Mapping[str, nn.Module], names: Sequence[str], layer: Layer) -> slice:
    """Where a layer's rows are, of those of the layers taken together."""
    counts = {name: len(_weight(parts, layer.part, name)) for name in names}
    first = sum(counts[name] for name in names[: names.index(layer.name)])
    return slice(first, first + sum(counts[name] for name in (layer.name, *layer.below)))


def _change(base: Tensor, layer: Layer, own: Mapping[str, Tensor]) -> Tensor:
    """What an adapter adds to the rows of a layer."""
    half = len(base) // 2 if layer.turned else 0
    weight = base.roll(half, 0) if half else base
    change = merged(weight, {name: value.to(base.device) for name, value in own.items()}) - weight
    return change.roll(-half, 0) if half else change


def check(adapter: Adapter, parts: Mapping[str, nn.Module], *, partial: bool) -> None:
    """Raises UsageError for an adapter of another base, of no use, with unused keys or with factors that do not fit."""
    said = family_said(adapter.metadata)
    config: Any = parts["unet"].config if "unet" in parts else {}
    own = family_of_unet(config)
    if said and own and said != own:
        raise UsageError(f"{adapter.file} was made for {said}, the model is {own}: take an adapter of that.")
    if not adapter.layers:
        raise UsageError(f"{adapter.file} fits no layer of the model ({_some(adapter.unused)}): it is for another one.")
    if adapter.unused and not partial:
        keys = count_of(len(adapter.unused), "key", "keys")
        raise UsageError(
            f"{adapter.file}: {keys} would go unused ({_some(adapter.unused)}): it may be for another base; "
            "--allow-partial takes the rest of it."
        )
    _check_shapes(adapter, parts)


def _check_shapes(adapter: Adapter, parts: Mapping[str, nn.Module]) -> None:
    """Merge without numbers."""
    for layer, own in adapter.layers.items():
        shapes = {name: value if name in SCALARS else value.to("meta") for name, value in own.items()}
        weights = [_weight(parts, layer.part, name).to("meta") for name in (layer.name, *layer.below)]
        try:
            merged(torch.cat(weights), shapes)
        except (ValueError, RuntimeError, IndexError) as error:
            raise UsageError(f"{adapter.file} does not fit {layer.part}.{layer.name}: {error}") from error
        except KeyError as error:
            lack = f"lacks {error.args[0]} for {layer.part}.{layer.name}"
            raise UsageError(f"{adapter.file} {lack}: copy it again, whole.") from error


def _weight(parts: Mapping[str, nn.Module], part: str, name: str) -> Tensor:
    weight = parts[part].get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - NAMED
    return ", ".join(keys[:NAMED]) + (f" and {more} more" if more > 0 else "")
