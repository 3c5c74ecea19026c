"""What a training would do now, in lines for people. Nothing is written."""

from pathlib import Path

from factory.diffusion.train.sets import check_finished, facts
from factory.diffusion.train.settings import FREE, TrainSettings, base_folder
from factory.training.folder import standing
from factory.training.pinned_settings import check_pinned


def outlook(settings: TrainSettings, out: Path) -> str:
    """Where it starts, what it learns from, its phases. Raises UsageError where it would be refused."""
    check_pinned(settings, out, free=FREE)
    start = f"on {base_folder(settings)}" if settings.base else "from nothing"
    lines = [f"train → {out}", f"  {start}, {settings.size}×{settings.size} on a {settings.key} screen"]
    if settings.lora:
        layers = "its attention" if settings.lora.layers == "attention" else "all its layers"
        lines.append(f"  low-rank changes of the U-Net, rank {settings.lora.rank}, of {layers}")
    epoch = 0
    for folder in settings.data:
        check_finished(Path(folder.folder))
        one = facts(folder)
        epoch += one.samples * one.repeat
        times = f", each {one.repeat} times an epoch" if one.repeat > 1 else ""
        lines.append(f"  {one.name}: {one.samples:,} samples of {one.split}{times}")
    for phase in settings.phases:
        epochs = phase.steps * phase.batch / epoch
        lines.append(f"  {phase.name}: {phase.steps:,} steps of {phase.batch}, {epochs:.3g} epochs, lr {phase.lr:g}")
    return "\n".join([*lines, *standing(out, "only what lies beside the weights would be completed")])
