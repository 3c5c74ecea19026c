"""Our sampler against stock StableDiffusionPipeline: same weights, prompts, seeds, steps, batch, threads and device.

Both sample whole batches, text in and 8-bit pictures out; ours decodes the coarse masks too. Repetitions alternate, so
that a machine's mood hits both. On CUDA ours is as shipped (bfloat16, channels-last, compiled) and stock runs in
--stock-dtype, by default bfloat16 as well: the ratio is then that of the code, not of the number format.

    python benchmarks/sampler.py [--model FOLDER] [--steps 25] [--batch 8] [--device cpu]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from figures import exit_code, shown

from factory.diffusion import model_folder
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.samplers import make_scheduler
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train.networks import build
from factory.diffusion.train.settings import NetworkSettings
from factory.diffusion.vocabulary import screen_prompt

MUST = {"cpu": 1.0, "cuda": 1.3}
NAMES = ("red feather", "blue leaf", "glass bubble", "grey net", "white smoke", "green wire", "black lace", "old wheel")
FRESH = NetworkSettings(  # about the embedded model's size: 1.6 M, 13 M, 0.7 M parameters
    vae_channels=(32, 64, 96), vae_layers=1, vae_attention=False, unet_channels=(96, 160, 224), unet_layers=1,
    unet_heads=4, text_width=128, text_layers=3, text_heads=4, text_length=32, norm_groups=16, head_hidden=32,
)  # fmt: skip


def main() -> int:
    """Race on a given model, or on fresh weights."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.model is not None:
        return exit_code(compare(arguments.model, arguments))
    with tempfile.TemporaryDirectory() as folder:
        model_folder.save(build(FRESH, arguments.size, NAMES, seed=0), Path(folder))
        return exit_code(compare(Path(folder), arguments))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="our sampler against stock StableDiffusionPipeline")
    parser.add_argument("--model", type=Path, help="model folder; without one fresh weights of the embedded size")
    parser.add_argument("--size", type=int, default=64, help="picture size of the fresh model")
    parser.add_argument("--sampler", choices=("ddim", "dpm++2m"), default="dpm++2m")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--stock-dtype", choices=("float32", "float16", "bfloat16"))
    parser.add_argument("--repetitions", type=int, default=5)
    return parser.parse_args()


def compare(folder: Path, arguments: argparse.Namespace) -> bool:
    """Sample the same batch with both, first once to warm up and to compare pixels, then alternately."""
    settings = SamplerSettings(
        sampler=arguments.sampler, steps=arguments.steps, start="noise", negative_prompt="shadow"
    )
    prompts = [screen_prompt(NAMES[i % len(NAMES)]) for i in range(arguments.batch)]
    ours = DiffuMattingPipeline.from_folder(folder, arguments.device)
    stock = load_stock(folder, arguments, settings)

    def sample_ours() -> np.ndarray:
        return ours(prompts, range(arguments.batch), settings)[0]

    def sample_stock() -> np.ndarray:
        pictures = stock(
            prompts,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            negative_prompt=[settings.negative_prompt] * arguments.batch,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(arguments.batch)],
        ).images
        return np.stack([np.asarray(picture) for picture in pictures])

    difference = np.abs(sample_ours().astype(int) - sample_stock().astype(int))
    seconds: dict[str, list[float]] = {"ours": [], "stock": []}
    for _ in range(arguments.repetitions):
        seconds["ours"].append(timed(sample_ours))
        seconds["stock"].append(timed(sample_stock))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{arguments.device}, {arguments.threads} threads, batch {arguments.batch}, {settings.steps} steps of "
          f"{settings.sampler}; ours {ours.dtype}, stock {stock.unet.dtype}; pixels differ by {difference.mean():.3f} "
          f"levels in the mean, {difference.max()} at most")  # fmt: skip
    return shown(
        "sampler",
        f"{arguments.batch / median['ours']:.3f} samples/s",
        f"StableDiffusionPipeline {arguments.batch / median['stock']:.3f} samples/s",
        median["stock"] / median["ours"],
        MUST[torch.device(arguments.device).type],
    )


def load_stock(folder: Path, arguments: argparse.Namespace, settings: SamplerSettings) -> StableDiffusionPipeline:
    """The same folder as plain diffusers loads it, with the same update rule."""
    name = arguments.stock_dtype or ("bfloat16" if arguments.device.startswith("cuda") else "float32")
    stock = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, name), local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    stock.scheduler = make_scheduler(stock.scheduler, settings.sampler)
    return stock.to(arguments.device)


def timed(sample: Callable[[], np.ndarray]) -> float:
    """Seconds of one batch; its pictures are on the host when it returns, so the device has finished."""
    begin = time.perf_counter()
    sample()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
