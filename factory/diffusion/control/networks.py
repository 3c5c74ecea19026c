"""Control networks in memory, and the pictures that they are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor

from factory.diffusion.control.kinds import KINDS
from factory.diffusion.control.planning import PlannedControl
from factory.diffusion.row_pictures import RowPictures, about
from factory.diffusion.sizes import Size
from factory.errors import DataError
from factory.models.part import load_part
from factory.sample import Picture


@dataclass(frozen=True)
class Loaded:
    """A network, and how it has its say. Two may be the same network, with a picture each."""

    network: Any
    said: PlannedControl


def load_networks(planned: Sequence[tuple[Path, PlannedControl]], dtype: torch.dtype) -> list[Loaded]:
    """Each folder once, frozen. Raises UsageError for one that lacks weights, or has others."""
    networks = dict[Path, Any]()
    for folder, said in planned:
        if folder not in networks:
            network = load_part(getattr(diffusers, said.network), folder, torch_dtype=dtype)
            networks[folder] = network.eval().requires_grad_(requires_grad=False)
    return [Loaded(networks[folder], said) for folder, said in planned]


def reader(loaded: Sequence[Loaded], pictures: RowPictures, size: Size) -> Callable[[Mapping[str, Any]], list[Picture]]:
    """From a prompt's row to the picture for each network, (*size, 3) uint8. That raises DataError."""

    def read(item: Mapping[str, Any]) -> list[Picture]:
        return [_drawn(pictures, item, one.said, size) for one in loaded]

    return read


def _drawn(pictures: RowPictures, item: Mapping[str, Any], said: PlannedControl, size: Size) -> Picture:
    data = pictures.data(item, said.column)
    try:
        return KINDS[said.kind](data, size)
    except DataError as fault:
        raise about(item, said.column, fault) from fault


def as_inputs(loaded: Sequence[Loaded], batch: Sequence[Sequence[Picture]]) -> list[Tensor]:
    """For each network (B, C, H, W) float32 in 0..1: three channels, or one where it takes greys.

    batch: of each picture to paint, what `reader` gave.
    """
    together = []
    for index, one in enumerate(loaded):
        stack = torch.from_numpy(np.stack([own[index] for own in batch])).permute(0, 3, 1, 2).float() / 255
        takes = int(one.network.config.get("in_channels", 3)) if one.said.network == "T2IAdapter" else 3
        together.append(stack.mean(1, keepdim=True) if takes == 1 else stack)
    return together
