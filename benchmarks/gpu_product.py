"""What on_gpu.py measures: the product's own plan, line and worker over a model with random weights.

The model is random, so its pictures show nothing that could be keyed. For whatever comes after sampling they are
exchanged for drawn objects before a screen, which keep the last bit of each of the model's pixels, as noise: the work
is that on real pictures, and a shard's bytes still depend on every byte that the model painted.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from factory.diffusion.checkpoints.header import CONFIGURATIONS
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.model_folder import Components
from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.tokenizer import build_tokenizer
from factory.diffusion.train import networks
from factory.diffusion.train.settings import NetworkSettings
from factory.engine.inputs import write_inputs
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.engine.threads import keep_memory, pin_threads
from factory.engine.worker import ShardWorker
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS
from factory.greenscreen.compositing import paint_on_screen
from factory.jobs import generate
from factory.jobs.generate import GenerateRecipe
from factory.models.folder import read_json
from factory.quality.gates import GateSettings
from factory.review.thumbnails import rejection_thumbnail
from factory.run.hire import finishing_threads
from factory.sample import Matte, Picture, Request, Sample
from factory.shards.keys import make_key
from factory.shards.layout import Layout
from factory.sources.procedural.render import CLASSES, render

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NAMES = ("red feather", "blue leaf", "glass bubble", "grey net", "white smoke", "green wire", "black lace", "old wheel")
RUN = "benchmark"
TIMED, WARM_UP = 0, 1  # the plan's shards


def make_plan(model: Path, root: Path, shard: int, batch: int, steps: int) -> Plan:
    """Two shards, each slot tried once: a whole one, and one of a single batch to warm up with."""
    prompts = root / "prompts.txt"
    prompts.write_text("\n".join(NAMES))
    recipe = GenerateRecipe(
        out=root,
        model=str(model),
        prompts=str(prompts),
        n=shard + batch,
        max_attempts=1,
        sampler={"steps": steps},
        gates=GateSettings(duplicate_distance=-1),
    )
    draft = generate.plan(recipe, Memory(None))
    Layout(root).inputs.mkdir()
    for name, table in draft.tables.items():
        write_inputs(table, Layout(root).inputs / f"{name}.arrow")
    return Plan(
        job=recipe.job,
        seed=recipe.seed,
        shard_size=shard,
        batch_size=batch,
        threads=recipe.threads,
        segments=tuple(draft.segments),
        settings=draft.settings,
        weights=draft.weights,
        places=draft.places,
    )


def make_line(plan: Plan, root: Path) -> tuple[Line, DiffuMattingSource]:
    """The product's own, which loads the model, and that model."""
    keep_memory()
    pin_threads(plan.threads)
    line = generate.line(plan, root)
    source = line.sources["diffumatting"]
    assert isinstance(source, DiffuMattingSource)
    return line, source


def make_worker(plan: Plan, line: Line, source: "Dressed", root: Path) -> ShardWorker:
    """One that shows the line drawn objects."""
    Layout(root).lock.write_text(RUN)  # it asks whose folder this is
    dressed = replace(line, sources={"diffumatting": source})
    threads = finishing_threads(os.cpu_count() or 1, workers=1)
    return ShardWorker(root, RUN, plan, dressed, thumbnail=rejection_thumbnail, finishing_threads=threads)


def requests(slots: Sequence[int]) -> list[Request]:
    """One for each slot, always the same for the same slot."""
    return [
        Request(key=make_key(0, i), slot=i, attempt=0, seed=i, item={"prompt": NAMES[i % len(NAMES)]}) for i in slots
    ]


def random_components(sizes: NetworkSettings, side: int, dtype: torch.dtype) -> Components:
    """Networks of the right shapes, drawn on the device: there it takes no time."""
    with DEVICE:
        made = networks.build(sizes, side, NAMES, seed=0)
    for model in (made.unet, made.vae, made.text_encoder, made.head):
        model.to(dtype).eval().requires_grad_(False)
    return replace(made, scheduler=networks.build_scheduler())  # its numbers belong on the CPU


def random_xl(changes: Mapping[str, Mapping[str, Any]], dtype: torch.dtype) -> Components:
    """The same in Stable Diffusion XL's layout.  changes: by part, of the configurations that ship."""

    def said(part: str) -> dict[str, Any]:
        return {**read_json(CONFIGURATIONS / "xl" / part / "config.json"), **changes.get(part, {})}

    tokenizer, vae = build_tokenizer(NAMES, 77), said("vae")
    with DEVICE:
        made = Components(
            unet=UNet2DConditionModel.from_config(said("unet")),
            vae=AutoencoderKL.from_config(vae),
            text_encoder=CLIPTextModel(CLIPTextConfig(**said("text_encoder"))),
            tokenizer=tokenizer,
            scheduler=networks.build_scheduler(),
            head=MattingHead(vae["block_out_channels"][0]),
            text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**said("text_encoder_2"))),
            tokenizer_2=tokenizer,
            zeros_for_empty=True,
        )
    for model in (made.unet, made.vae, made.text_encoder, made.text_encoder_2, made.head):
        assert model is not None
        model.to(dtype).eval().requires_grad_(False)
    return replace(made, scheduler=networks.build_scheduler())


@dataclass(frozen=True)
class Drawn:
    """An object before the screen, and a mask such as a small head gives."""

    rgb: Picture
    alpha: Matte
    coarse: Matte


def draw(index: int, side: int) -> Drawn:
    """An object of the procedural source."""
    made = render(CLASSES[index % len(CLASSES)], index, side)
    rgb = paint_on_screen(made.foreground, made.alpha, KEY_COLOURS["green"])
    return Drawn(rgb, made.alpha, np.asarray(cv2.GaussianBlur(made.alpha, (0, 0), 0.01 * side), np.uint8))


@dataclass(frozen=True)
class Dressed:
    """A source whose pictures are exchanged for drawn ones with the last bits of its own."""

    source: DiffuMattingSource
    drawn: Sequence[Drawn]

    def __call__(self, asked: Sequence[Request]) -> list[Sample | DataError]:
        return [self.dress(sample) if isinstance(sample, Sample) else sample for sample in self.source(asked)]

    def dress(self, sample: Sample) -> Sample:
        assert sample.coarse is not None
        drawn = self.drawn[sample.request.slot % len(self.drawn)]
        rgb, coarse = drawn.rgb & 254 | sample.rgb & 1, drawn.coarse & 254 | sample.coarse & 1
        return replace(sample, rgb=rgb, coarse=coarse)
