"""Training of a matting network, to a folder that `factory matte` takes."""

from collections.abc import Callable
from pathlib import Path

import torch

from factory.engine.software import software
from factory.matting.data.item import Item
from factory.matting.networks.folder import look, save_network
from factory.matting.train.inputs import check_leaks, pin
from factory.matting.train.lesson import MattingLesson
from factory.matting.train.model_card import CARD, model_card
from factory.matting.train.settings import MattingTraining
from factory.models.precision import device_name, uses_bf16
from factory.shards.durable import force_to_disk, write_durably, write_json
from factory.training.folder import FINISHED_FILE, LOG_FILE, STATE_FILE
from factory.training.log import draw_curves
from factory.training.loop import Loop, Pace
from factory.training.progress import TrainingProgress
from factory.training.ranks import device_of, joined, this_rank
from factory.training.state import load_state

MODEL = "model"


def train(settings: MattingTraining, out: Path, progress: Callable[[TrainingProgress], None]) -> Path:
    """Train in the folder `out`, or go on there; returns the folder of the network, with averaged weights.

    Under torchrun every process calls this; the first of them writes. Raises UsageError for other settings or sets than
    the folder was started with, and for sets that hold a picture of the tests.
    """
    ranks, finished = this_rank(), (out / FINISHED_FILE).is_file()
    if ranks.is_first:
        if not finished:
            check_leaks(settings)
        pin(settings, out)
    if finished:
        look(out / MODEL)
    else:
        torch.set_num_threads(settings.threads)
        device = device_of(ranks)
        with joined(ranks, device):
            lesson = MattingLesson(settings, device, ranks)
            loop = Loop(lesson, _pace(settings), out, progress, ranks, state=load_state(out / STATE_FILE))
            loop.run()
            if ranks.is_first:
                _publish(settings, out, lesson, loop)
            ranks.wait()
    if ranks.is_first:
        progress(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    return out / MODEL


def _publish(settings: MattingTraining, out: Path, lesson: MattingLesson, loop: Loop[Item]) -> None:
    """The network, then its card, then the word that all is there."""
    lesson.network.load_state_dict(loop.averaged())
    save_network(out / MODEL, lesson.network, settings.network, settings.options)
    draw_curves(out / LOG_FILE, out / "curves.png")
    record = {
        "seconds": round(loop.seconds, 1),
        "waiting": round(loop.waited / max(loop.seconds, 1e-9), 4),
        "processes": loop.ranks.count,
        "device": device_name(loop.device),
        "bfloat16": uses_bf16(settings.bf16, loop.device),
        "software": dict(software()),
    }
    write_durably(out / MODEL / CARD, model_card(settings, out, record).encode())
    force_to_disk(out / MODEL)
    write_json(out / FINISHED_FILE, record)


def _pace(s: MattingTraining) -> Pace:
    return Pace(
        name=s.network,
        steps=s.steps,
        batch=s.batch,
        parts=s.parts,
        ema=s.ema,
        clip_norm=s.clip_norm,
        seed=s.seed,
        log_every=s.log_every,
        save_every=s.save_every,
        validate_every=s.validate_every if s.validation else 0,
    )
