"""What a training would do now and what it would take, in lines for people. Nothing is written, no weight is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from factory.diffusion.train.sets import SetFacts, check_finished, facts
from factory.diffusion.train.settings import FREE, TrainSettings, base_folder, check_joint, is_joint
from factory.diffusion.train.work import CountedNetworks, Work
from factory.engine.units import size
from factory.models.precision import uses_bf16
from factory.training.folder import standing
from factory.training.forecast import FLOAT, at_least, free_disk, nothing_computed
from factory.training.pinned_settings import check_pinned

OF_STATE = 4  # copies of what learns that are saved: itself, its average, two moments


def outlook(settings: TrainSettings, out: Path) -> str:
    """Where it starts, what it learns from, its phases, what they take. Raises UsageError where it would be refused."""
    check_pinned(settings, out, free=FREE)
    if joint := is_joint(Path(settings.base)):
        check_joint(settings)
    start = f"on {base_folder(settings)}" if settings.base else "from nothing"
    lines = [f"train → {out}", f"  {start}, {settings.size}×{settings.size} on a {settings.key} screen"]
    if settings.lora:
        layers = "its attention" if settings.lora.layers == "attention" else "all its layers"
        network = "transformer" if joint else "U-Net"
        lines.append(f"  low-rank changes of the {network}, rank {settings.lora.rank}, of {layers}")
    sets = []
    for folder in settings.data:
        check_finished(Path(folder.folder))
        sets.append(one := facts(folder))
        times = f", each {one.repeat} times an epoch" if one.repeat > 1 else ""
        lines.append(f"  {one.name}: {one.samples:,} samples of {one.split}{times}")
    lines += _phases(settings, sets) if joint else _forecast(settings, out, sets)  # which is not counted on such a base
    return "\n".join([*lines, *standing(out, "only what lies beside the weights would be completed")])


def _forecast(s: TrainSettings, out: Path, sets: Sequence[SetFacts]) -> Iterator[str]:
    """Of each phase and of the whole: memory, operations, disk."""
    device = torch.device("cuda" if s.device != "cpu" and torch.cuda.is_available() else "cpu")
    captions = [caption for one in sets for _, caption in one.captions]
    with nothing_computed():
        counted = CountedNetworks(s, captions, device)
        works = [counted.work(phase) for phase in s.phases]
        encoding = counted.encoding.flops
    for line, work in zip(_phases(s, sets), works, strict=True):
        yield line
        yield f"    {_memory(work)}"
    pictures = sum(one.samples for one in sets) * (2 if s.flip else 1)
    flops = pictures * encoding + sum(work.flops * phase.steps for phase, work in zip(s.phases, works, strict=True))
    torch.set_num_threads(s.threads)
    yield f"  {at_least(flops, device, uses_bf16(s.bf16, device))}"
    yield f"  {_disk(s, out, works, counted.side, sum(one.samples for one in sets))}"


def _phases(s: TrainSettings, sets: Sequence[SetFacts]) -> Iterator[str]:
    epoch = sum(one.samples * one.repeat for one in sets)
    for phase in s.phases:
        epochs = phase.steps * phase.batch / epoch
        yield f"  {phase.name}: {phase.steps:,} steps of {phase.batch}, {epochs:.3g} epochs, lr {phase.lr:g}"


def _memory(work: Work) -> str:
    return (
        f"{work.learned:,} weights learn; about {size(work.held + work.kept)} of memory, and what computing takes: "
        f"{size(work.held)} for weights, gradients, moments and averages, {size(work.kept)} for the way back"
    )


def _disk(s: TrainSettings, out: Path, works: Sequence[Work], side: int, samples: int) -> str:
    """Pictures and mattes as bytes, latents as float16; a state is written beside the old one."""
    latents = 2 * 4 * side**2 * (2 if s.flip else 1)
    cache = samples * (4 * s.size**2 + latents)
    state = FLOAT * OF_STATE * max(work.learned for work in works)
    free = free_disk(out)
    short = ": too little" if cache + 2 * state > free else ""
    return (
        f"disk: {size(cache)} for caches, twice {size(state)} for the saved state, of {size(free)} that are free{short}"
    )
