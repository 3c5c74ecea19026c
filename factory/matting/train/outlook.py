"""What a training would do now and what it would take, in lines for people. Nothing is written or computed."""

from pathlib import Path

import torch

from factory.errors import count_of
from factory.matting.networks.network import MattingNetwork
from factory.matting.train.inputs import check_inputs, check_leaks
from factory.matting.train.lesson import new_network
from factory.matting.train.rates import parameter_groups
from factory.matting.train.settings import FREE, MattingTraining
from factory.models.precision import uses_bf16
from factory.training.folder import standing
from factory.training.forecast import (
    BACKWARD,
    COPIES_OF_LEARNED,
    FLOAT,
    Pass,
    at_least,
    count,
    nothing_computed,
    weights_in,
)
from factory.training.pinned_settings import check_pinned
from factory.training.ranks import Ranks, device_of


def outlook(settings: MattingTraining, out: Path) -> str:
    """Raises UsageError where the training would be refused."""
    s = settings
    check_pinned(s, out, free=FREE)
    sets = check_inputs(s)
    check_leaks(s)
    network = new_network(s).to("meta")
    parameter_groups(network, s.lr, s.weight_decay, s.lr_factors, s.layer_decay)
    crops = s.crops_at_once(processes=1)
    weights = sum(parameter.numel() for parameter in network.parameters())
    held = FLOAT * (1 + COPIES_OF_LEARNED) * weights_in([network])
    one = step_of(network, crops, s.loader.crop)
    device = device_of(Ranks())
    torch.set_num_threads(s.threads)
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
        f"  {(held + one.kept) / 1e9:,.2f} GB are kept for {count_of(crops, 'crop', 'crops')} at a time, in float32; "
        "computing takes more",
        f"  {at_least(one.flops * s.parts * (1 + BACKWARD) * s.steps, device, uses_bf16(s.bf16, device))}",
    ]
    if s.weighted and any(entry.quality for entry in s.loader.sets):
        lines.append("  trust in labels counts twice, in draws (quality) and in losses (weighted): choose one")
    if s.tests:
        lines.append(f"  no set holds a picture of {', '.join(one.pictures for one in s.tests)}")
    return "\n".join([*lines, *standing(out)])


def step_of(network: MattingNetwork, crops: int, side: int) -> Pass:
    """What several crops on their way through a network without weights compute and keep, in float32."""
    with nothing_computed(), torch.device("cpu"):
        there = network.to_empty(device="cpu").train()
        image, trimap = torch.empty(crops, 3, side, side), torch.empty(crops, 1, side, side)
        return count(lambda: there(image, trimap), [there])
