"""The rows of on_gpu.py: what is measured, and how. On a CPU the same code runs at small sizes."""

import gc
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import diffusers
import gpu_product
import numpy as np
import torch
from figures import Measured, Row
from gpu_product import DEVICE, NAMES, Drawn, Dressed, requests
from learning import backward

from factory.diffusion import model_folder
from factory.diffusion.model_folder import Components
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.samplers import make_scheduler
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.train import networks
from factory.diffusion.train.data import TrainingSet, tokenize
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.lesson import build_optimizer
from factory.diffusion.train.settings import NetworkSettings, Phase, TrainingFolder, TrainSettings
from factory.engine.line import Line
from factory.engine.worker import ShardWorker
from factory.models.precision import device_name
from factory.shards.commit import CommitRecord
from factory.training.ema import MovingAverage

# The least that an image asks of a card: 20 steps, twice for guidance, of 0.80 TFLOP, and a decode of 2.5; SDXL's U-Net
# at 1024² 6.76 a pass. And the most that a card does: a large bfloat16 product on an H100 or H200.
IMAGE_TFLOP = 35.0
SDXL_PASS_TFLOP = 6.76
CARD_TFLOP_PER_S = 790.0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large everything is."""

    networks: NetworkSettings
    sdxl: dict[str, Any]  # what differs from diffusers' own U-Net
    xl: dict[str, dict[str, Any]]  # what differs from XL's configurations, by part
    side: int
    steps: int
    batch: int
    shard: int
    training_batch: int
    sdxl_batch: int
    repetitions: int


SDXL = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
}
TINY_SDXL = SDXL | {
    "sample_size": 16, "block_out_channels": (8, 16, 16), "transformer_layers_per_block": 1, "attention_head_dim": 2,
    "cross_attention_dim": 16, "norm_num_groups": 4, "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 1280 + 6 * 8,
}  # fmt: skip
TINY_TEXT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 16,
}  # fmt: skip
TINY_XL = {
    "unet": TINY_SDXL | {
        "cross_attention_dim": 32, "layers_per_block": 1, "projection_class_embeddings_input_dim": 16 + 6 * 8,
    },
    "vae": {"block_out_channels": (8, 16, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
    "text_encoder": TINY_TEXT, "text_encoder_2": TINY_TEXT,
}  # fmt: skip
TINY_NETWORKS = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, unet_channels=(8, 16), unet_layers=1, unet_heads=2, text_width=16,
    text_layers=2, text_heads=2, norm_groups=4, head_hidden=8,
)  # fmt: skip
FULL = Sizes(
    networks=NetworkSettings(), sdxl=SDXL, xl={}, side=512, steps=20, batch=16, shard=256, training_batch=8,
    sdxl_batch=8, repetitions=4,
)  # fmt: skip
TINY = Sizes(
    networks=TINY_NETWORKS, sdxl=TINY_SDXL, xl=TINY_XL, side=64, steps=2, batch=2, shard=6, training_batch=2,
    sdxl_batch=1, repetitions=1,
)  # fmt: skip


def rows(bench: "Bench") -> list[Row]:
    """All, the most telling first."""
    s = bench.sizes
    limit = f"images/s × {IMAGE_TFLOP:g} TFLOP ÷ {CARD_TFLOP_PER_S:g} TFLOP/s"
    return [
        Row(
            f"sampler loop, {s.side}², {s.steps} steps, guidance, batch {s.batch}; share of the limit: {limit}",
            "≥ 10 images/s",
            bench.sampler,
        ),
        Row("attempts/s of the whole line (sample, refine, score, judge, encode, tar) ÷ sampler", "≥ 0.97", bench.line),
        Row("sampler ÷ stock `StableDiffusionPipeline`, float16", "≥ 1.3", lambda: bench.stock(s.batch)),
        Row("sampler ÷ the same with batch 1", "≥ 2", lambda: bench.stock(1)),
        Row("the same shard twice: equal bytes", "yes", bench.shard_twice),
        Row("the same batch again, mixed with others, one alone: equal pictures and masks", "–", bench.other_company),
        Row(f"training step of {s.training_batch}, noise loss alone", "–", lambda: bench.training(extra=False)),
        Row("the same with attention probe, all losses and head", "–", lambda: bench.training(extra=True)),
        Row("refine; score; both on all cores", "the last > sampler", bench.stages),
        Row(f"U-Net of SDXL's size, {s.steps} steps, guidance, batch {s.sdxl_batch}, not compiled", "–", bench.sdxl),
        Row(
            f"sampler of SDXL's size, {s.steps} steps, guidance, batch {s.sdxl_batch} ÷ stock "
            "`StableDiffusionXLPipeline`, float16",
            "≥ 1.15",
            bench.xl,
        ),
    ]


def card() -> str:
    """What is measured on."""
    return device_name(DEVICE)


def seconds_of(action: Callable[[], object], repetitions: int) -> float:
    """Mean seconds of one call, from an idle device to an idle device."""
    synchronize()
    begin = time.perf_counter()
    for _ in range(repetitions):
        action()
    synchronize()
    return (time.perf_counter() - begin) / repetitions


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def forget() -> float:
    """Give back what earlier rows held and count memory anew; returns the GB that are still in use."""
    gc.collect()
    if DEVICE.type == "cpu":
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated() / 1e9


def peak_gb() -> float:
    """The most that was in use since `forget`; on a CPU by the whole process since its start."""
    if DEVICE.type == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return torch.cuda.max_memory_allocated() / 1e9


class Bench:
    """The rows, and what more than one of them needs: made when the first asks, and compiled once."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes, self.folder = sizes, folder
        self.bfloat16, self.float16 = torch.bfloat16, torch.float16
        if DEVICE.type == "cpu":
            self.bfloat16 = self.float16 = torch.float32
        self.shard: CommitRecord | None = None
        self.plain_step = 0.0
        diffusers.utils.logging.set_verbosity_error()

    def components(self, dtype: torch.dtype) -> Components:
        return gpu_product.random_components(self.sizes.networks, self.sizes.side, dtype)

    @cached_property
    def drawn(self) -> list[Drawn]:
        return [
            gpu_product.draw(index, self.sizes.side)
            for index in range(max(self.sizes.batch, self.sizes.training_batch))
        ]

    @cached_property
    def product(self) -> tuple[Line, DiffuMattingSource, ShardWorker]:
        """The line, the model in it, and a worker."""
        s = self.sizes
        model, root = (Path(tempfile.mkdtemp(dir=self.folder)) for _ in range(2))
        model_folder.save(self.components(self.bfloat16), model, self.bfloat16)
        plan = gpu_product.make_plan(model, root, s.shard, s.batch, s.steps)
        line, source = gpu_product.make_line(plan, root)
        return line, source, gpu_product.make_worker(plan, line, Dressed(source, self.drawn), root)

    @cached_property
    def images_per_second(self) -> float:
        """Of the bare sampler loop."""
        _, source, _ = self.product
        batch = requests(range(self.sizes.batch))
        prompts, seeds = [r.item["prompt"] for r in batch], [r.seed for r in batch]

        def sample() -> None:
            source.pipeline.paint(prompts, seeds, source.settings)

        seconds_of(sample, 2)  # compiles
        return self.sizes.batch / seconds_of(sample, self.sizes.repetitions)

    def sampler(self) -> Measured:
        _, source, _ = self.product
        forget()
        try:
            rate = self.images_per_second
        except Exception:
            source.settings = replace(source.settings, compile=False)  # the other rows do without
            raise
        share = rate * IMAGE_TFLOP / CARD_TFLOP_PER_S
        text = f"{rate:.2f} images/s, {share:.0%}; peak {peak_gb():.1f} GB"
        return Measured(text, {"images_per_s": rate, "share": share, "peak_gb": peak_gb()})

    def line(self) -> Measured:
        bare, (_, source, worker) = self.images_per_second, self.product
        worker.run(gpu_product.WARM_UP, lambda progress: None)
        begin = time.perf_counter()
        made = self.shard = worker.run(gpu_product.TIMED, lambda progress: None)
        rate = made.attempts / (time.perf_counter() - begin)
        if not made.accepted:
            raise RuntimeError(f"nothing was encoded: rejected {made.rejected}, failed {made.failed}")
        text = f"{rate / bare:.3f} ({rate:.2f} against {bare:.2f} a second; {made.accepted} of {made.attempts} accepted"
        text += ")" if source.settings.compile else "; not compiled)"
        seconds = {f"{name}_s": value for name, value in made.seconds.items()}
        return Measured(text, {"ratio": rate / bare, "attempts_per_s": rate, "accepted": made.accepted} | seconds)

    def stock(self, batch: int) -> Measured:
        bare, (_, source, _) = self.images_per_second, self.product
        forget()
        c, s = self.components(self.float16), source.settings
        pipeline = diffusers.StableDiffusionPipeline(
            vae=c.vae, text_encoder=c.text_encoder, tokenizer=c.tokenizer, unet=c.unet, safety_checker=None,
            scheduler=make_scheduler(c.scheduler, s.sampler), feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        rate = self.rate_of_stock(pipeline, s, batch)
        text = f"{bare / rate:.2f} (stock {rate:.2f} images/s{'' if s.compile else '; ours not compiled'})"
        return Measured(text, {"ratio": bare / rate, "stock_images_per_s": rate})

    def rate_of_stock(self, pipeline: Any, s: SamplerSettings, batch: int) -> float:
        """Images a second."""
        pipeline.set_progress_bar_config(disable=True)

        def sample() -> None:
            pipeline(
                [request.item["prompt"] for request in requests(range(batch))],
                num_inference_steps=s.steps,
                guidance_scale=s.guidance,
                negative_prompt=[s.negative_prompt] * batch,
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(batch)],
            )

        seconds_of(sample, 1)
        return batch / seconds_of(sample, max(1, self.sizes.repetitions // 2))

    def rate_of_ours(self, components: Components, s: SamplerSettings, batch: int) -> float:
        """Images a second; compiles first."""
        ours = DiffuMattingPipeline(components)
        prompts = [request.item["prompt"] for request in requests(range(batch))]
        seconds_of(lambda: ours.paint(prompts, range(batch), s), 2)
        return batch / seconds_of(lambda: ours.paint(prompts, range(batch), s), self.sizes.repetitions)

    def xl(self) -> Measured:
        """Text in, pictures and masks out."""
        forget()
        s, batch = SamplerSettings(steps=self.sizes.steps), self.sizes.sdxl_batch
        rate, peak = self.rate_of_ours(gpu_product.random_xl(self.sizes.xl, self.bfloat16), s, batch), peak_gb()
        forget()
        c = gpu_product.random_xl(self.sizes.xl, self.float16)
        stock = diffusers.StableDiffusionXLPipeline(
            vae=c.vae, text_encoder=c.text_encoder, text_encoder_2=c.text_encoder_2, tokenizer=c.tokenizer,
            tokenizer_2=c.tokenizer_2, unet=c.unet, scheduler=make_scheduler(c.scheduler, s.sampler),
            add_watermarker=False,
        )  # fmt: skip
        theirs = self.rate_of_stock(stock, s, batch)
        text = f"{rate / theirs:.2f} ({rate:.2f} against {theirs:.2f} images/s; peak {peak:.1f} GB)"
        return Measured(text, {"ratio": rate / theirs, "images_per_s": rate, "peak_gb": peak})

    def shard_twice(self) -> Measured:
        _, _, worker = self.product
        first = self.shard or worker.run(gpu_product.TIMED, lambda progress: None)
        again = worker.run(gpu_product.TIMED, lambda progress: None)
        equal = bool(again.accepted) and (first.tar, first.part) == (again.tar, again.part)
        text = f"{'yes' if equal else 'NO'} ({again.accepted} samples, {again.tar.bytes / 1e6:.1f} MB)"
        return Measured(text, {"equal": float(equal), "samples": again.accepted})

    def other_company(self) -> Measured:
        """The same batch again; half of it, in reverse order, behind strangers; and one alone, padded."""
        _, source, _ = self.product
        batch, half = self.sizes.batch, self.sizes.batch // 2
        here, strangers = requests(range(batch)), requests(range(batch, batch + half))
        known = {sample.request.slot: sample for sample in source(here)}
        said, numbers = [], {}
        for name, company in (("again", here), ("mixed", [*strangers, *here[:half][::-1]]), ("alone", here[-1:])):
            pairs = [(s, known[s.request.slot]) for s in source(company) if s.request.slot in known]
            apart = [max(cv2.absdiff(a.rgb, b.rgb).max(), cv2.absdiff(a.coarse, b.coarse).max()) for a, b in pairs]
            far = f" (up to {max(apart)} levels apart)" if any(apart) else ""
            said.append(f"{name} {apart.count(0)} of {len(apart)}{far}")
            numbers[name] = apart.count(0) / len(apart)
        return Measured(", ".join(said), numbers)

    def training(self, *, extra: bool) -> Measured:
        """Steps as the trainer makes them, on drawn pictures with random latents."""
        before, batch = forget(), self.sizes.training_batch
        phase = Phase(name="joint" if extra else "generation", steps=1, batch=batch)
        s = TrainSettings(
            data=(TrainingFolder(folder="drawn"),), phases=(phase,), networks=self.sizes.networks, size=self.sizes.side,
            green_background=extra, detail=extra,
        )  # fmt: skip
        c, count, side = self.components(torch.float32), len(self.drawn), s.size // networks.factor(s.networks)
        data = TrainingSet(
            rgb=np.stack([drawn.rgb for drawn in self.drawn]),
            alpha=np.stack([drawn.alpha for drawn in self.drawn]),
            captions=tuple(NAMES[i % len(NAMES)] for i in range(count)),
            soft_alpha=np.ones(count, np.bool_),
            order=np.arange(count),
            manifests=(),
        )
        latents = np.random.default_rng(0).normal(0, 5, (count, 2, 4, side, side)).astype(np.float16)
        tokens = tokenize(c.tokenizer, data.captions, s.template, s.key)
        task = GenerationTask(c, data, latents, tokens, s, 0, DEVICE, with_head=extra)
        trained = {"unet": c.unet} | ({"head": c.head} if extra else {})
        for module in trained.values():
            module.requires_grad_(True).train()
        optimizer, average = build_optimizer(trained, phase, s), MovingAverage(s.ema)

        def step() -> None:
            backward(task, 0, batch)
            for module in trained.values():
                torch.nn.utils.clip_grad_norm_(module.parameters(), s.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            average.update(trained)

        seconds_of(step, 2)
        seconds = seconds_of(step, 2 * self.sizes.repetitions)
        peak = peak_gb() - before
        numbers = {"step_s": seconds, "images_per_s": batch / seconds, "peak_gb": peak}
        text = f"{seconds:.3f} s ({batch / seconds:.1f} images/s), peak {peak:.1f} GB"
        if not extra:
            self.plain_step = seconds
        elif self.plain_step:
            text += f"; {seconds / self.plain_step:.2f} times the time"
            numbers["ratio"] = seconds / self.plain_step
        return Measured(text, numbers)

    def stages(self) -> Measured:
        line, source, _ = self.product
        refine, score = line.stages["greenpost"], line.stages["score"]
        raw = Dressed(source, self.drawn)(requests(range(self.sizes.batch)))
        refined = [refine(sample) for sample in raw]  # warms up, too
        cores, many = os.cpu_count() or 1, raw * 4
        with ThreadPoolExecutor(cores) as pool:
            both = len(many) / seconds_of(lambda: list(pool.map(lambda sample: score(refine(sample)), many)), 1)
        refining = len(raw) / seconds_of(lambda: [refine(sample) for sample in raw], 1)
        scoring = len(raw) / seconds_of(lambda: [score(sample) for sample in refined], 1)
        text = f"{refining:.1f}; {scoring:.1f} images/s on one core; {both:.1f} on {cores}"
        return Measured(text, {"refine_per_s": refining, "score_per_s": scoring, "both_per_s": both, "cores": cores})

    def sdxl(self) -> Measured:
        """The passes alone: no text, no decode."""
        forget()
        config, batch = self.sizes.sdxl, self.sizes.sdxl_batch
        with DEVICE:
            unet = diffusers.UNet2DConditionModel(**config)
        unet.to(self.bfloat16, memory_format=torch.channels_last).eval()
        side, like = config["sample_size"], {"device": DEVICE, "dtype": self.bfloat16}
        latents = torch.randn(2 * batch, 4, side, side, **like).to(memory_format=torch.channels_last)
        text = torch.randn(2 * batch, 77, config["cross_attention_dim"], **like)
        added = {"text_embeds": torch.randn(2 * batch, 1280, **like), "time_ids": torch.zeros(2 * batch, 6, **like)}
        t = torch.tensor(500, device=DEVICE)

        @torch.inference_mode()
        def one_pass() -> None:
            unet(latents, t, encoder_hidden_states=text, added_cond_kwargs=added)

        seconds_of(one_pass, 2)
        seconds = seconds_of(one_pass, self.sizes.steps)
        rate, share = batch / (self.sizes.steps * seconds), 2 * batch * SDXL_PASS_TFLOP / seconds / CARD_TFLOP_PER_S
        text_of_it = f"{rate:.2f} images/s; a pass of {2 * batch} {seconds:.3f} s, {share:.0%} of the limit"
        return Measured(text_of_it, {"images_per_s": rate, "pass_s": seconds, "share": share, "peak_gb": peak_gb()})
