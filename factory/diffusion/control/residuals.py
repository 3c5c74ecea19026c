"""Control networks beside our own sampling loop: what they add to the U-Net's features at each step.

ControlNet (Zhang et al. 2023), several of them summed; union ones, which are told what their picture is; T2I-Adapter
(Mou et al. 2023), whose features do not depend on the step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from factory.diffusion.conditions import Condition, Hints, Told, told_by_name
from factory.diffusion.control.fitting import CONTROLNET, T2I, UNION
from factory.diffusion.control.networks import Loaded, as_inputs, reader
from factory.diffusion.row_pictures import RowPictures
from factory.diffusion.sample.pointwise import use_pointwise_convolutions
from factory.diffusion.sizes import Size


def controlled(loaded: Sequence[Loaded], pictures: RowPictures, size: Size, device: torch.device) -> Condition[Hints]:
    """The networks as a condition of the U-Net, on its device."""
    for network in {id(one.network): one.network for one in loaded}.values():
        network.to(device, memory_format=torch.channels_last)
        if device.type == "cpu":
            use_pointwise_convolutions(network)
    return Condition(reader(loaded, pictures, size), lambda batch: residuals(loaded, as_inputs(loaded, batch)))


def residuals(loaded: Sequence[Loaded], pictures: Sequence[Tensor]) -> Hints:
    """What the networks add, of a batch's control pictures.

    pictures: of each network, (B, C, H, W) float32 in 0..1.
    """
    shown = [picture.to(one.network.device, one.network.dtype) for one, picture in zip(loaded, pictures, strict=True)]
    adapted = _features([one for one in zip(loaded, shown, strict=True) if one[0].said.network == T2I])
    plain = [one for one in zip(loaded, shown, strict=True) if one[0].said.network == CONTROLNET]
    union = [one for one in zip(loaded, shown, strict=True) if one[0].said.network == UNION]

    def hints(latents: Tensor, t: Tensor, said: Told, begins: float, ends: float) -> Mapping[str, Any]:
        told = dict[str, Any]()
        if adapted:
            told["down_intrablock_additional_residuals"] = [_for(each, latents) for each in adapted]
        parts = list[tuple[Sequence[Tensor], Tensor]]()
        call: dict[str, Any] = {"timestep": t, "return_dict": False, **told_by_name(said)}
        for one, picture in plain:
            if scale := _scale(one, begins, ends):
                parts.append(
                    one.network(
                        latents.to(one.network.dtype),
                        controlnet_cond=_for(picture, latents),
                        conditioning_scale=scale,
                        **call,
                    )
                )
        if any(_scale(one, begins, ends) for one, _ in union):
            parts.append(_of_union(union, latents, t, said, [_scale(one, begins, ends) for one, _ in union]))
        if parts:
            told["down_block_additional_residuals"] = [
                torch.stack(levels).sum(0) for levels in zip(*(down for down, _ in parts), strict=True)
            ]
            told["mid_block_additional_residual"] = torch.stack([mid for _, mid in parts]).sum(0)
        return told

    return hints


def _scale(one: Loaded, begins: float, ends: float) -> float:
    """The network's weight in a step; 0 outside of its window."""
    return one.said.weight if one.said.begin <= begins and ends <= one.said.end else 0.0


def _of_union(
    union: Sequence[tuple[Loaded, Tensor]], latents: Tensor, t: Tensor, said: Told, scales: Sequence[float]
) -> tuple[list[Tensor], Tensor]:
    """One network, which takes all pictures of a sample at once, and the samples one after the other.

    diffusers' attention between the pictures runs along the batch, so that samples would look at each other.
    """
    network, batch = union[0][0].network, len(union[0][1])
    modes = [one.said.mode for one, _ in union]
    types = torch.zeros(len(latents) // batch, network.config.num_control_type).to(latents.device, network.dtype)
    types[:, modes] = 1
    told = list[tuple[Tensor, ...]]()
    for index in range(batch):
        own = slice(index, None, batch)  # where guidance doubles the batch, a sample's two rows
        down, mid = network(
            latents[own].to(network.dtype),
            timestep=t,
            controlnet_cond=[_for(picture[index : index + 1], latents[own]) for _, picture in union],
            control_type=types,
            control_type_idx=modes,
            conditioning_scale=scales,
            return_dict=False,
            **told_by_name([each[own] for each in said]),
        )
        told.append((*down, mid))
    *levels, middle = (torch.stack(rows, 1).flatten(0, 1) for rows in zip(*told, strict=True))
    return levels, middle


def _features(adapters: Sequence[tuple[Loaded, Tensor]]) -> list[Tensor]:
    """Σ wᵢ·fᵢ, by level."""
    told = [[one.said.weight * level for level in one.network(picture)] for one, picture in adapters]
    return [torch.stack(levels).sum(0) for levels in zip(*told, strict=True)]


def _for(picture: Tensor, latents: Tensor) -> Tensor:
    """Once or twice, as guidance has the batch."""
    return picture.repeat(len(latents) // len(picture), 1, 1, 1)
