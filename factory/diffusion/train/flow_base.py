"""A joint model to train on, and what was learnt on it on disk: the base's own folder, with a matting head beside.

model_index.json does not name matting_head/, so plain diffusers loads the folder as it loads the base. Only
transformer/ and matting_head/ are written; all else is copied byte for byte, the index last.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from factory.diffusion.flow_latents import feature_width
from factory.diffusion.joint_text import READERS
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.model_files import INDEX
from factory.diffusion.plain.folder import DECIDING, read_index
from factory.diffusion.plain.pipeline import load_pipeline
from factory.diffusion.sample.settings import DEFAULTS_FILE
from factory.diffusion.train.data import TEMPLATES
from factory.diffusion.train.flow_task import FlowParts
from factory.diffusion.train.settings import NetworkSettings
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.models.part import load_part
from factory.shards.durable import write_json

TRAINED = ("transformer", "matting_head")


def open_base(
    folder: Path, head: NetworkSettings, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[Any, FlowParts]:
    """The pipeline, whose text encoders read the prompts, and what is trained on; all of it frozen.

    head: of a base that has none, drawn from `seed`; it is in float32, as it learns whole. Raises UsageError for what
    is no joint model, or not whole.
    """
    if (name := read_index(folder).pipeline) not in READERS:
        raise UsageError(f"train.base: {folder} is for {name}: of these models take one for {' or '.join(READERS)}.")
    pipeline = load_pipeline(folder, dtype)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.eval().requires_grad_(False)
    own = folder / "matting_head"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        matting_head = (
            load_part(MattingHead, own, torch_dtype=torch.float32)
            if own.is_dir()
            else MattingHead(feature_width(pipeline.vae), head.head_hidden, head.head_activation)
        )
    parts = FlowParts(
        transformer=pipeline.transformer,
        vae=pipeline.vae,
        scheduler=pipeline.scheduler,
        head=matting_head.requires_grad_(False),
    )
    return pipeline, parts


def save_on_base(parts: FlowParts, base: Path, folder: Path, *, key: KeyName, template: str) -> None:
    """Write the folder; changes must be part of the transformer's weights by then (`low_rank.fold`).

    key, template: the screen and the form of the prompts; sampler.json says them to `factory generate`.

    The index is taken away first and written last: a folder cut short is not a model. The transformer is written in
    its own type, in files of at most 10 GB.
    """
    (folder / INDEX).unlink(missing_ok=True)
    for part in read_index(base).parts:
        if part not in TRAINED:
            for path in (base / part).rglob("*"):
                if path.is_file() and path.suffix in DECIDING:
                    target = folder / path.relative_to(base)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
    parts.transformer.save_pretrained(folder / "transformer")
    parts.head.save_pretrained(folder / "matting_head")
    form = TEMPLATES[template].replace("{caption}", "{prompt}")
    write_json(folder / DEFAULTS_FILE, {"key": key, "template": form, "negative_prompt": ""})
    shutil.copyfile(base / INDEX, folder / INDEX)
