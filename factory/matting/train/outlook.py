"""What a training would do now, in lines for people. Nothing is written, and nothing of the network computed."""

from pathlib import Path

import torch
from torch.autograd.graph import saved_tensors_hooks

from factory.errors import count_of
from factory.matting.networks.network import MattingNetwork
from factory.matting.train.inputs import check_inputs, check_leaks
from factory.matting.train.lesson import new_network
from factory.matting.train.rates import parameter_groups
from factory.matting.train.settings import FREE, MattingTraining
from factory.training.folder import standing
from factory.training.pinned_settings import check_pinned

COPIES = 5  # of the weights: themselves, their average, gradients, and Adam's two moments


def outlook(settings: MattingTraining, out: Path) -> str:
    """Raises UsageError where the training would be refused."""
    s = settings
    check_pinned(s, out, free=FREE)
    sets = check_inputs(s)
    check_leaks(s)
    network = new_network(s).to("meta")
    parameter_groups(network, s.lr, s.weight_decay, s.lr_factors, s.layer_decay)
    crops = s.crops_at_once(processes=1)
    kept = bytes_kept(network.train(), crops, s.loader.crop) / 1e9
    weights = sum(parameter.numel() for parameter in network.parameters())
    epoch = s.loader.length or sum(len(one.samples) for one in sets)
    begin = f", on from {s.begin}" if s.begin else ""
    lines = [
        f"train-matting → {out}",
        f"  a network {s.network} of {weights:,} weights{begin}, losses of {s.losses}",
        f"  crops of {s.loader.crop}×{s.loader.crop} before {s.loader.backgrounds or 'their own screens'}",
        *(
            f"  {entry.path} × {entry.share:g}: {count_of(len(one.samples), 'sample', 'samples')} of {entry.split}"
            for entry, one in zip(s.loader.sets, sets, strict=True)
        ),
        f"  {s.steps:,} steps of {s.batch}, {s.steps * s.batch / epoch:.3g} epochs, lr {s.lr:g}",
        f"  {kept:,.2f} GB are kept for {count_of(crops, 'crop', 'crops')} at a time, in float32; computing takes more",
    ]
    if s.weighted and any(entry.quality for entry in s.loader.sets):
        lines.append("  trust in labels counts twice, in draws (quality) and in losses (weighted): choose one")
    if s.tests:
        lines.append(f"  no set holds a picture of {', '.join(one.pictures for one in s.tests)}")
    return "\n".join([*lines, *standing(out)])


def bytes_kept(network: MattingNetwork, crops: int, side: int) -> int:
    """What a step of several crops holds at its height, counted on torch's meta device, where nothing is computed.

    That are the weights with all that has their size, and what the way back needs; not what an operation works with.
    """
    state = network.state_dict().values()
    own = {value.untyped_storage()._cdata for value in state}
    kept: dict[int, torch.Tensor] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        if value.untyped_storage()._cdata not in own:
            kept[value.untyped_storage()._cdata] = value  # which keeps the number from being given again
        return value

    image, trimap = (torch.empty(crops, channels, side, side, device="meta") for channels in (3, 1))
    with saved_tensors_hooks(keep, lambda value: value):
        network(image, trimap)
    weights: int = sum(value.nbytes for value in state)
    way_back: int = sum(value.untyped_storage().nbytes() for value in kept.values())
    return COPIES * weights + way_back
