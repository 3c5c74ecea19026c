"""Steps of `factory train` held against plain finetuning with diffusers: time and images a second, on one CPU core.

    python benchmarks/train_steps.py [--rounds 3] [--steps 6]

One network of Stable Diffusion 1.5's layout and proportions at a quarter of its width, 256², batch 2, float32, AdamW,
clipped gradients and an average of the weights on both sides. The peer is the step of diffusers' text-to-image example,
as plain as there: pictures are encoded and texts read at each step, the noise is learned. It is also measured with
latents encoded before, as ours always are. Rounds go in turn, and what is told is the median of all steps of a kind.
The joint phase has all losses and the head.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from figures import exit_code, shown, within
from torch.nn import functional as nnf

from factory.diffusion.train import data as training_data
from factory.diffusion.train.course import Course
from factory.diffusion.train.settings import NetworkSettings, Phase, TrainingFolder, TrainSettings
from factory.jobs.build import BuildRecipe
from factory.run.execute import execute
from factory.training.loop import Loop, Pace
from factory.training.ranks import Ranks

SIZE, BATCH, OBJECTS = 256, 2, 16
NETWORKS = NetworkSettings(
    vae_channels=(32, 64, 128, 128), unet_channels=(80, 160, 320, 320), text_width=192, text_layers=12, text_heads=3,
    norm_groups=16,
)  # fmt: skip
GENERATION, JOINT, EXAMPLE, CACHED = 1.25, 1.45, 1.0, 1.3
Steps = Generator[float, None, None]
Kind = Literal["generation", "joint", "noise alone"]


def main() -> int:
    """Measure all kinds in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        source = {"type": "procedural", "n": OBJECTS, "classes": ["feather", "chair"]}
        execute(
            BuildRecipe.model_validate({"out": home / "set", "size": SIZE, "sources": [source], "executor": "local"})
        )
        runs: dict[str, Callable[[], Steps]] = {
            "example": lambda: plain_steps(course(home, "noise alone"), cached=False),
            "example, cached": lambda: plain_steps(course(home, "noise alone"), cached=True),
            "noise alone": lambda: our_steps(course(home, "noise alone"), home),
            "generation": lambda: our_steps(course(home, "generation"), home),
            "joint": lambda: our_steps(course(home, "joint"), home),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _, (name, run) in itertools.product(range(asked.rounds), runs.items()):
            with closing(run()) as steps:
                seconds[name] += list(itertools.islice(steps, asked.steps + 1))[1:]  # the first one warms up
    for name, each in seconds.items():
        print(f"{name}: {median(each):.3f} s a step, {BATCH / median(each):.2f} images/s ({len(each)} steps)")

    def ratio(of: str, to: str) -> float:
        return median(seconds[of]) / median(seconds[to])

    bare, bare_cached = ratio("example", "noise alone"), ratio("example, cached", "noise alone")
    return exit_code(
        within("generation, of the example on cached latents", ratio("generation", "example, cached"), GENERATION, "×"),
        within("joint, of the example", ratio("joint", "example"), JOINT, "×"),
        shown(
            "images/s without our losses", f"{bare_cached:.2f} ×", "the example on cached latents", bare_cached, EXAMPLE
        ),
        shown("images/s without our losses", f"{bare:.2f} ×", "the example", bare, CACHED),
    )


def course(home: Path, kind: Kind) -> Course:
    """Fresh networks and the drawn set."""
    settings = TrainSettings(
        data=(TrainingFolder(folder=str(home / "set")),),
        phases=(Phase(name="joint" if kind == "joint" else "generation", steps=10**6, batch=BATCH),),
        networks=NETWORKS,
        size=SIZE,
        green_background=kind != "noise alone",
        detail=kind != "noise alone",
        bf16="off",
    )
    home.joinpath("cache").mkdir(exist_ok=True)
    return Course(settings, home, torch.device("cpu"), Ranks())


def our_steps(own: Course, home: Path) -> Steps:
    """Seconds of each, data and average included."""
    s = own.settings
    pace = Pace(
        name="", steps=10**6, batch=BATCH, ema=s.ema, clip_norm=s.clip_norm, seed=0, log_every=10**6, save_every=10**6
    )
    loop: Loop[Any] = Loop(own.lesson(0), pace, home, lambda _: None)
    with closing(loop.lesson.batches(0)) as batches:
        while True:
            begun = time.perf_counter()
            loop._take_step(loop.lesson.network, batches)
            yield time.perf_counter() - begun


def plain_steps(own: Course, *, cached: bool) -> Steps:
    """Seconds of each step of diffusers' example, on our networks. cached: of latents that were encoded before."""
    c, data, random = own.components, own.data, torch.Generator().manual_seed(0)
    schedule = DDPMScheduler.from_config(c.scheduler.config)
    unet = c.unet.requires_grad_().train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-5, weight_decay=1e-2)
    average = EMAModel(unet.parameters())
    captions = training_data.templated(data.captions, "prefix", "green")
    ids = c.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    latents = torch.from_numpy(own.latents()[:, 0].astype("float32"))
    for step in itertools.count():
        begun = time.perf_counter()
        chosen = torch.arange(step * BATCH, (step + 1) * BATCH) % len(ids)
        if cached:
            z0 = latents[chosen]
        else:
            pixels = torch.from_numpy(data.rgb[chosen.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.no_grad():
                z0 = c.vae.encode(pixels).latent_dist.sample()
        z0 = z0 * c.vae.config.scaling_factor
        noise = torch.randn(z0.shape, generator=random)
        t = torch.randint(0, schedule.config.num_train_timesteps, (BATCH,), generator=random)
        with torch.no_grad():
            context = c.text_encoder(ids[chosen]).last_hidden_state
        predicted = unet(schedule.add_noise(z0, noise, t), t, context).sample
        nnf.mse_loss(predicted.float(), noise).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(unet.parameters())
        yield time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
