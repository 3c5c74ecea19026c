"""Memory and processor time of `factory generate` on a CPU, networks of Stable Diffusion 1.5's size in float32.

One picture of 512², two steps with guidance, batch 1, one worker. Two processes, one after the other: the program as a
user runs it (plan, hashes, sampling, matte, gates, shard, report), and a bare one that loads the same folder and paints
the same prompt. The line's overhead is what the first takes of the processor beyond the second, as a share of the bare
loop. Weights are random, but for the last layers: those paint blots on green, so that there is a matte to make.

    python benchmarks/cpu_memory.py [--plain] [--folder WITH_ROOM]     # 4.3 GB of disk; some minutes
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from figures import exit_code, within

PEAK_GB, OVERHEAD = 5.5, 0.05
PROMPT, SEED, STEPS = "a red feather", 0, 2
OPEN = (
    "gates={gsg_max: null, spread_max: null, coverage_min: 0, coverage_max: 1, border_max: null, agreement_min: null, "
    "residual_max: null, green_residue_max: null, key_distance_min: null, label_error_max: 1, duplicate_distance: -1}"
)


class Cost(NamedTuple):
    """Of a process that ended: the most memory it held, its processor's seconds, and its last line."""

    peak_gb: float
    seconds: float
    said: str


def main() -> int:
    """Make the model, run both processes, and print."""
    arguments = parse()
    match arguments.part, arguments.model:
        case "make", model:
            return make(model)
        case "bare", model:
            return bare(model)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        model, out, prompts = (Path(folder) / name for name in ("model", "out", "prompts.txt"))
        prompts.write_text(PROMPT)
        cost_of(__file__, "make", model)
        if arguments.plain:
            shutil.rmtree(model / "matting_head")
        ours = cost_of(
            *("-m", "factory", "generate", "--model", model, "--prompts", prompts, "--n", "1", "--batch", "1"),
            *("--steps", STEPS, "--key", "green", "--max-attempts", "1", "--allow-short", "--set", OPEN),
            *("--executor", "local", "--workers", "1", "--threads", "1", "--out", out),
        )
        alone = cost_of(__file__, "bare", model)
    loop = float(alone.said)
    print(f"processor: {ours.seconds:.1f} s, the bare process {alone.seconds:.1f} s, of which its loop {loop:.1f} s")
    print(f"memory of the bare process: at most {alone.peak_gb:.2f} GB")
    return exit_code(
        within("peak memory of factory generate", ours.peak_gb, PEAK_GB, "GB"),
        within("overhead, of the bare loop", (ours.seconds - alone.seconds) / loop, OVERHEAD, ""),
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("make", "bare"), help="only this part, of which the whole is made")
    parser.add_argument("model", nargs="?", type=Path, help="the part's model folder")
    parser.add_argument("--plain", action="store_true", help="without a matting head: a pipeline of diffusers, keyed")
    parser.add_argument("--folder", type=Path, help="where to write; without it the system's temporary folder")
    return parser.parse_args()


def cost_of(*arguments: object) -> Cost:
    """Run Python with these arguments to its end, with one thread."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments[:3]} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_maxrss * 1024 / 1e9, used.ru_utime + used.ru_stime, next(iter(lines[-1:]), ""))


def make(folder: Path) -> int:
    """A DiffuMatting model of that size."""
    import torch
    from tiny_pipelines import paints_green

    from factory.diffusion import model_folder
    from factory.diffusion.train.networks import build
    from factory.diffusion.train.settings import NetworkSettings

    components = build(NetworkSettings(), 512, [PROMPT], seed=SEED)
    paints_green(components.vae.decoder.conv_out, components.vae.decoder.conv_norm_out)
    with torch.no_grad():  # the mask: where the feature that paints is high
        into, out = components.head.conv_in, components.head.conv_out
        for parameter in (*into.parameters(), *out.parameters()):
            parameter.zero_()
        into.weight[0, 0, 1, 1], out.weight[0, 0, 1, 1] = 1.0, 30.0
        torch.nn.init.constant_(out.bias, -15.0)
    model_folder.save(components, folder)
    return 0


def bare(folder: Path) -> int:
    """Load it, paint once, and say how long the processor took for that."""
    import torch

    from factory.diffusion.vocabulary import screen_prompt

    torch.set_num_threads(1)
    if (folder / "matting_head").is_dir():
        from factory.diffusion.sample.pipeline import DiffuMattingPipeline
        from factory.diffusion.sample.settings import SamplerSettings

        ours, settings = DiffuMattingPipeline.from_folder(folder), SamplerSettings(steps=STEPS)
        begin = time.process_time()
        ours([screen_prompt(PROMPT)], [SEED], settings)
    else:
        from diffusers import StableDiffusionPipeline

        stock = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
        begin = time.process_time()
        stock(
            PROMPT, num_inference_steps=STEPS, negative_prompt="shadow", generator=torch.Generator().manual_seed(SEED)
        )
    print(time.process_time() - begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
