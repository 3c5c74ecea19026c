"""Training of DiffuMatting: phases one after the other, all state in one file, the same weights after any interruption.

Data order, noise, timesteps, flips and dropped captions are pure functions of (seed, phase, step): a killed run goes on
from its last saved state to the very weights of an uninterrupted one (CPU, equal software and threads).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from factory.diffusion.train import publication
from factory.diffusion.train.course import Course
from factory.diffusion.train.low_rank import LORA_FILE, Part, write_changes
from factory.diffusion.train.phases import PhasedTraining
from factory.diffusion.train.settings import FREE, TrainSettings, is_joint
from factory.engine.software import software
from factory.errors import UsageError
from factory.models.folder import read_json
from factory.models.precision import device_name, uses_bf16
from factory.shards.durable import write_json
from factory.training.folder import FINISHED_FILE, LOG_FILE, STATE_FILE
from factory.training.log import draw_curves
from factory.training.loop import Loop, Pace
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress
from factory.training.ranks import Ranks, device_of, joined, this_rank
from factory.training.state import load_state

STEPS_VERSION = 3  # of what a step does and a state holds: another one leads from the same settings to other weights


def train(settings: TrainSettings, out: Path, progress: Callable[[TrainingProgress], None]) -> Path:
    """Train what `settings` say in the folder `out`, or go on there; returns the model folder.

    Where the weights are finished they are left alone, and what is missing beside them is added. Other settings than
    those the folder was started with are refused. Under torchrun every process calls this; the first of them writes.
    """
    ranks, finished = this_rank(), out / FINISHED_FILE
    if ranks.is_first:
        pin_settings(settings, out, free=FREE)
    if not finished.is_file():
        torch.set_num_threads(settings.threads)
        device = training_device(settings, ranks)
        with joined(ranks, device):
            seconds = _learn(settings, out, progress, device, ranks)
            if ranks.is_first:
                write_json(finished, {"seconds": round(seconds, 1), "processes": ranks.count, **machine(settings)})
            ranks.wait()
    elif ranks.is_first and {"device", "software"} - read_json(finished).keys():  # of a version that recorded none
        write_json(finished, machine(settings) | read_json(finished))
    if ranks.is_first:
        if settings.lora and not (out / LORA_FILE).is_file() and (state := saved_state(out)) is not None:
            part: Part = "transformer" if is_joint(Path(settings.base)) else "unet"
            write_changes(state["ema"]["averages"]["lora"], out / LORA_FILE, part)
        publication.complete(settings, out)
        progress(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    return out / "model"


def _learn(
    settings: TrainSettings,
    out: Path,
    progress: Callable[[TrainingProgress], None],
    device: torch.device,
    ranks: Ranks,
) -> float:
    """All phases that are left, and the model folder; returns the seconds of all steps."""
    state = saved_state(out)
    course = _course(settings, out, device, ranks)
    if state is not None:
        course.restore(state)
    loop: Loop[Any] | None = None
    for number in range(state["phase"] if state is not None else 0, len(settings.phases)):
        lesson, pace = course.lesson(number), _pace(settings, number)
        beside = {"steps_version": STEPS_VERSION, **course.kept(number)}
        loop = Loop(lesson, pace, out, progress, ranks, state=state, before=loop, beside=beside)
        state = None  # as large as the networks and more
        loop.run()
        course.end(number, loop.ema)
        if ranks.is_first:
            draw_curves(out / LOG_FILE, out / "curves.png")
    assert loop is not None  # settings have a phase
    if ranks.is_first:
        course.publish(out / "model", loop.ema)
    return loop.seconds


def _course(settings: TrainSettings, out: Path, device: torch.device, ranks: Ranks) -> PhasedTraining:
    if not is_joint(Path(settings.base)):
        return Course(settings, out, device, ranks)
    from factory.diffusion.train.flow_course import FlowCourse  # noqa: PLC0415  (its families take seconds to import)

    return FlowCourse(settings, out, device, ranks)


def saved_state(out: Path) -> dict[str, Any] | None:
    """What a training in `out` left behind; None where it left nothing. Raises UsageError where it cannot go on."""
    state = load_state(out / STATE_FILE)
    if state is not None and state.get("steps_version", 1) != STEPS_VERSION:
        raise UsageError(
            f"{out} was begun by another version of factory, whose steps lead to other weights: finish it with that "
            "version, or start again in another --out"
        )
    return state


def training_device(settings: TrainSettings, ranks: Ranks = Ranks()) -> torch.device:  # noqa: B008  (frozen)
    """CUDA where there is one, unless the settings say otherwise."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "train.device is cuda, but torch finds no CUDA device here: mend the driver, or set it to auto"
        )
    return torch.device("cpu") if settings.device == "cpu" else device_of(ranks)


def machine(settings: TrainSettings) -> dict[str, Any]:
    """What the weights depend on besides the settings."""
    device = training_device(settings)
    return {
        "device": device_name(device),
        "bfloat16": uses_bf16(settings.bf16, device),
        "software": dict(software()),
    }


def _pace(s: TrainSettings, number: int) -> Pace:
    phase = s.phases[number]
    return Pace(
        name=phase.name,
        phase=number,
        steps=phase.steps,
        batch=phase.batch,
        parts=phase.parts,
        ema=s.ema,
        some_idle=is_joint(Path(s.base)),  # a last layer makes more of the text than is read
        ema_in_files=s.ema_in == "files",
        clip_norm=s.clip_norm,
        seed=s.seed,
        log_every=s.log_every,
        save_every=s.save_every,
        validate_every=s.picture_every,
    )
