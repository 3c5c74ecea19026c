"""What is done in a cell: the arm's model is trained, paints, and is measured."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factory.errors import DataError
from factory.experiments.cells import Measured
from factory.experiments.painting.cell import PaintingCell
from factory.greenscreen.compositing import paint_on_screen
from factory.greenscreen.gsg import gsg
from factory.models.device import best_device
from factory.quality.scorers.scorer import View
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.reader import Stored, read_samples
from factory.training.folder import FINISHED_FILE, LOG_FILE

if TYPE_CHECKING:
    from factory.diffusion.sample.pipeline import DiffuMattingPipeline

SHEET = "pictures.png"
AT_ONCE = 16  # held-out samples
LAST = 10  # a loss is its mean over the last tenth of the last phase


def train_and_paint(cell: PaintingCell, folder: Path) -> Sequence[Measured]:
    """The averaged weights of the last step; pictures of the same prompts from the same noise in every cell.

    Goes on where an earlier try was killed.
    """
    from factory.diffusion.sample.pipeline import DiffuMattingPipeline  # noqa: PLC0415  (these import torch)
    from factory.experiments.painting.training import trained  # noqa: PLC0415

    model = trained(cell)
    pipeline = DiffuMattingPipeline.from_folder(model, best_device().torch)
    painted = [*_painted(cell, pipeline, folder), _bare_screen(cell, pipeline)]
    return [*painted, *_held_out(cell, pipeline), _of_the_training(cell)]


def _painted(cell: PaintingCell, pipeline: "DiffuMattingPipeline", folder: Path) -> Iterator[Measured]:
    """GSG, the aesthetic score on the screen as in the paper, and how much of the picture the coarse mask covers."""
    from factory.diffusion.train.class_pictures import seed_of  # noqa: PLC0415
    from factory.diffusion.train.data import templated  # noqa: PLC0415
    from factory.training.grids import write_grid  # noqa: PLC0415

    asked, training = cell.painting, cell.training
    slots = [(name, number) for name in asked.classes for number in range(asked.each)]
    captions = [asked.prompt.format(name=name) for name, _ in slots]
    prompts = templated(captions, training.template, training.key)
    seeds = [seed_of(name, number) for name, number in slots]
    pictures, masks = [], []
    for start in range(0, len(slots), asked.batch):
        part = slice(start, start + asked.batch)
        own, coarse, finite = pipeline.paint(prompts[part], seeds[part], cell.sampler)
        if not finite.all():
            raise DataError("nan", "what the model paints is no number any more: give a lower rate")
        pictures += list(own)
        masks += list(coarse)
    rows = [pictures[start : start + asked.each] for start in range(0, len(pictures), asked.each)]
    write_grid(rows, folder / SHEET)
    scores: Sequence[float | None] = [None] * len(slots)
    if cell.aesthetic is not None:
        from factory.quality.scorers.clip import Clip  # noqa: PLC0415

        device = best_device()
        judge = cell.aesthetic.open(lambda clip: Clip(clip, device), device)
        scores = [float(judge(View((one,), (text,)))[0]) for one, text in zip(pictures, captions, strict=True)]
    for (name, number), picture, mask, score in zip(slots, pictures, masks, scores, strict=True):
        told = {"gsg": gsg(picture, training.key_rgb), "covered": float(mask.mean() / 255)}
        yield Measured(f"{name} {number}", told if score is None else told | {"aesthetic": score})


def _bare_screen(cell: PaintingCell, pipeline: "DiffuMattingPipeline") -> Measured:
    """GSG of a bare screen that the autoencoder has encoded and decoded: the least that the U-Net could reach."""
    import torch  # noqa: PLC0415

    from factory.diffusion.train.report import to_pictures  # noqa: PLC0415

    size, vae = pipeline.picture_size(cell.sampler), pipeline.components.vae
    with torch.inference_mode():
        z = pipeline.key_latent(cell.training.key, size) / vae.config.scaling_factor
        picture = to_pictures(vae.decode(z.to(vae.dtype)).sample.float())[0]
    return Measured("bare screen", {"floor": gsg(picture, cell.training.key_rgb)})


def held_out_keys(folder: Path, split: str, most: int) -> list[str]:
    """Of samples whose matte is no binary mask, evenly spread; none where there are none."""
    columns = ("status", "split", "soft_alpha", "key")
    rows = read_manifest(Layout(folder), columns).to_pylist()
    keys = [row["key"] for row in rows if (row["status"], row["split"]) == ("accepted", split) and row["soft_alpha"]]
    chosen = np.linspace(0, len(keys) - 1, min(most, len(keys))).round().astype(int)
    return [keys[index] for index in chosen]


def _held_out(cell: PaintingCell, pipeline: "DiffuMattingPipeline") -> Iterator[Measured]:
    """The head on E(x) of samples that nothing was trained on, against their true mattes."""
    if cell.held_out is None:
        return
    folder = Path(cell.held_out.data)
    wanted = set(held_out_keys(folder, cell.held_out.split, cell.held_out.most))
    batch: list[Stored] = []
    for sample in read_samples(folder, cell.held_out.split):
        if sample.key in wanted:
            batch.append(sample)
        if len(batch) == AT_ONCE:
            yield from _errors(cell, pipeline, batch)
            batch = []
    if batch:
        yield from _errors(cell, pipeline, batch)


def _errors(cell: PaintingCell, pipeline: "DiffuMattingPipeline", batch: Sequence[Stored]) -> Iterator[Measured]:
    """Mean |M − α|, and the intersection over union of both cut at a half (1 where nothing is in either)."""
    import torch  # noqa: PLC0415

    from factory.diffusion.matting_head import decoder_features  # noqa: PLC0415

    screens = [paint_on_screen(one.foreground, one.alpha, cell.training.key_rgb) for one in batch]
    x = torch.from_numpy(np.stack(screens)).permute(0, 3, 1, 2).float() / 127.5 - 1
    parts = pipeline.components
    with torch.inference_mode():
        z = parts.vae.encode(x.to(pipeline.device, parts.vae.dtype)).latent_dist.mean
        masks = parts.head(decoder_features(parts.vae, z)).float().clamp(0, 1).cpu().numpy()[:, 0]
    for sample, mask in zip(batch, masks, strict=True):
        truth = sample.alpha.astype(np.float32) / 255
        either = np.logical_or(mask > 0.5, truth > 0.5).sum()
        both = np.logical_and(mask > 0.5, truth > 0.5).sum()
        iou = float(both / either) if either else 1.0
        yield Measured(f"held out {sample.key}", {"mae": float(np.abs(mask - truth).mean()), "iou": iou})


def _of_the_training(cell: PaintingCell) -> Measured:
    """Its losses in the end, and its seconds."""
    from factory.training.log import VALIDATION, read_log  # noqa: PLC0415

    out = cell.training_folder
    last = len(cell.training.phases) - 1
    records = [record for record in read_log(out / LOG_FILE) if record["name"] != VALIDATION]
    told = [record["losses"] for record in records if record["phase"] == last]
    told = told[-max(1, len(told) // LAST) :]
    means = {name: float(np.mean([one[name] for one in told])) for name in (told[0] if told else {})}
    seconds = json.loads((out / FINISHED_FILE).read_bytes())["seconds"]
    return Measured("training", means | {"seconds": float(seconds)})
