"""A training that takes seconds: 16×16 pictures of discs and squares before a screen, a few thousand weights."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from factory.diffusion.train.course import Course
from factory.diffusion.train.settings import NetworkSettings, Phase, TrainingFolder, TrainSettings
from factory.engine.drive import Drive
from factory.engine.line import Line
from factory.engine.local import InProcessCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.equation import constant_plate
from factory.errors import DataError
from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import paint_on_screen
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Origin, Request, Sample
from factory.shards.commit import valid_commits
from factory.shards.durable import write_json
from factory.shards.encoding import encode
from factory.shards.finalise import finalise, mark_finished
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.training.ranks import Ranks

SIZE = 16
GREEN, BLUE = (0, 255, 0), (0, 0, 255)
COLOURS = {"red": (220, 30, 30), "blue": (30, 60, 220), "white": (255, 255, 255)}
SHAPES = ("disc", "square", "screen")

NETWORKS = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, vae_attention=False, unet_channels=(8, 16), unet_layers=1, unet_heads=2,
    text_width=16, text_layers=1, text_heads=2, text_length=12, norm_groups=4, head_hidden=8,
)  # fmt: skip
PHASES = (
    Phase(name="autoencoder", steps=6, batch=4, lr=2e-3, warmup=2, decay="cosine"),
    Phase(name="generation", steps=6, batch=4, lr=1e-3, warmup=2),
    Phase(name="joint", steps=4, batch=4, lr=1e-3, head_lr=1e-2, warmup=2),
)


def small_settings(data: Path, **changes: Any) -> TrainSettings:
    """Three short phases that train everything; saved every second step, told of every step."""
    fields: dict[str, Any] = {
        "data": (TrainingFolder(folder=str(data)),),
        "phases": PHASES,
        "networks": NETWORKS,
        "size": SIZE,
        "train_text_encoder": True,
        "ema": 0.9,
        "seed": 11,
        "log_every": 1,
        "save_every": 2,
        "picture_every": 5,
        "picture_prompts": ("a red disc",),
        "picture_guidance": 2.0,
    }
    return TrainSettings(**(fields | changes))


def draw(request: Request, screen: Colour = GREEN) -> Sample | DataError:
    """Discs with soft borders, squares with binary masks, and screens with nothing before them, in turn."""
    rng = np.random.default_rng(request.seed)
    shape = SHAPES[request.slot % 3]
    colour = sorted(COLOURS)[int(rng.integers(3))]
    x, y = (int(v) for v in rng.integers(6, 10, 2))
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    if shape == "disc":
        cv2.circle(alpha, (x, y), int(rng.integers(3, 6)), 255, -1, cv2.LINE_AA)
    elif shape == "square":
        alpha[y - 3 : y + 3, x - 3 : x + 3] = 255
    foreground = np.full((SIZE, SIZE, 3), COLOURS[colour], np.uint8)
    origin = Origin(
        kind="composited",
        class_name=shape if shape != "screen" else "",
        caption=f"a {colour} {shape}" if shape != "screen" else "nothing",
        source="drawn",
        licence="CC0-1.0",
        attribution="the tests",
        soft_alpha=shape != "square",
        key_rgb=screen,
    )
    rgb = paint_on_screen(foreground, alpha, screen)
    return Sample(
        request=request, origin=origin, rgb=rgb, alpha=alpha, foreground=foreground, plate=constant_plate(screen)
    )


def build(plan: Plan, root: Path, screen: Colour = GREEN) -> Line:
    """Draw and store; no gates."""
    return Line(
        sources={"drawn": lambda requests: [draw(request, screen) for request in requests]},
        stages={},
        admission=lambda: lambda sample: None,
        encode=encode,
    )


def make_set(root: Path, slots: int = 48, screen: Colour = GREEN, seed: int = 3) -> Path:
    """A finished data set, made through the engine."""
    segments = (Segment(source="drawn", split="train", slots=slots, attempts=1),)
    plan = Plan(job="test", seed=seed, shard_size=slots, batch_size=16, threads=1, segments=segments)
    layout = Layout(root)
    root.mkdir(parents=True)
    write_json(layout.plan, plan.to_json(), layout.scratch)
    with hold(layout.lock, "test"):
        crew = InProcessCrew(
            WorkOrder(
                root=root, run="test", plan=plan, build=partial(build, screen=screen), thumbnail=rejection_thumbnail
            ),
            lambda working: None,
        )
        Drive(crew, range(plan.shards), 1, lambda news: None).run()
    records = list(valid_commits(layout, plan.fingerprints))
    finalise(layout, records)
    mark_finished(layout, records)
    return root


def course_of(settings: TrainSettings, out: Path) -> Course:
    """The networks before their first step."""
    return Course(settings, out, torch.device("cpu"), Ranks())


def quiet(progress: object) -> None:
    """Nobody listens."""


def train_as_rank(settings: TrainSettings, out: Path, rank: tuple[int, int, int], stop: int) -> None:
    """What each of several processes runs: its number, how many there are, and the port of the first.

    stop: the first asks all to end after this step of the second phase; -1 for never.
    """
    from factory.diffusion.train.trainer import train
    from factory.errors import Interrupted
    from factory.training.progress import TrainingProgress

    number, count, port = rank
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)

    def hear(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == ("generation", stop):
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        train(settings, out, hear)
    except Interrupted:
        assert stop >= 0


def train_in_child(settings: TrainSettings, out: Path, die_at: tuple[str, int] | None = None) -> None:
    """What a child process runs. It kills itself after this step of this phase, before that is drawn or saved."""
    from factory.diffusion.train.trainer import train
    from factory.training.progress import TrainingProgress

    def hear(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    train(settings, out, hear)
