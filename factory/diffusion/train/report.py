"""What a person looks at while a training runs: log.jsonl, curves.png and sample pictures, written as it goes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_folder import Components
from factory.diffusion.train import data as training_data
from factory.diffusion.train.autoencoder import key_latent
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.losses import estimate_z0
from factory.diffusion.train.settings import TrainSettings
from factory.sample import Picture
from factory.shards.durable import write_durably

PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 900, 220, 60
INK, PAPER, LINE = (40, 40, 40), 255, (190, 90, 20)  # BGR


def append_log(log: Path, record: dict[str, Any]) -> None:
    """One JSON line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_log(log: Path) -> list[dict[str, Any]]:
    """All whole lines; a torn last one is left out."""
    if not log.is_file():
        return []
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def rewind_log(log: Path, phase: int, step: int) -> None:
    """Drop what an interrupted run logged after the state it resumes from."""
    kept = [record for record in read_log(log) if (record["phase"], record["step"]) <= (phase, step)]
    write_durably(log, "".join(json.dumps(record) + "\n" for record in kept).encode(), log.parent)


def draw_curves(log: Path, picture: Path) -> None:
    """One panel for each loss of each phase: raw values pale, their running mean dark, logarithmic height."""
    series: dict[str, list[tuple[int, float]]] = {}
    for record in read_log(log):
        for name, value in record["losses"].items():
            series.setdefault(f"{record['phase']} {record['name']}: {name}", []).append((record["step"], value))
    panels = [panel(name, np.asarray(points)) for name, points in series.items() if len(points) > 1]
    if panels:
        cv2.imwrite(str(picture), np.concatenate(panels))


def panel(name: str, points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Points (n, 2): step, loss. Returns a (PANEL_HEIGHT, PANEL_WIDTH, 3) BGR picture."""
    canvas = np.full((PANEL_HEIGHT, PANEL_WIDTH, 3), PAPER, np.uint8)
    steps, values = points[:, 0], np.log10(np.maximum(points[:, 1], 1e-8))
    low, high = values.min(), max(values.max(), values.min() + 1e-3)
    x = MARGIN + (steps - steps[0]) / max(steps[-1] - steps[0], 1) * (PANEL_WIDTH - 2 * MARGIN)
    window = max(1, len(values) // 50)
    smooth = np.convolve(np.pad(values, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid")
    for curve, colour, thickness in ((values, (225, 205, 190), 1), (smooth, LINE, 2)):
        y = PANEL_HEIGHT - 35 - (curve - low) / (high - low) * (PANEL_HEIGHT - 75)
        line = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.polylines(canvas, [line], False, colour, thickness, cv2.LINE_AA)
    last = 10 ** smooth[-1]
    label = f"{name}   {10**high:.4g} to {10**low:.4g}, now {last:.4g}, steps {int(steps[0])} to {int(steps[-1])}"
    cv2.putText(canvas, label, (MARGIN, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return canvas


def write_grid(rows: Sequence[Sequence[Picture]], file: Path, zoom_to: int = 128) -> None:
    """Rows of equal pictures (H, W, 3) RGB; small ones are enlarged pixel by pixel."""
    zoom = max(1, zoom_to // rows[0][0].shape[0])
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    large = cv2.resize(grid, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(file), cv2.cvtColor(large, cv2.COLOR_RGB2BGR))


def to_pictures(x: Tensor) -> list[Picture]:
    """(B, 3, H, W) in −1..1 → pictures."""
    levels = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return list(levels)


def to_grey(M: Tensor) -> list[Picture]:
    """(B, 1, H, W) in 0..1 → grey pictures."""
    return to_pictures(M.expand(-1, 3, -1, -1) * 2 - 1)


@torch.no_grad()
def sample(
    components: Components, captions: Sequence[str], s: TrainSettings, steps: int = 25
) -> tuple[list[Picture], list[Picture]]:
    """Pictures and coarse masks of the present weights: DDIM (eta 0) from the training marginal of a bare screen."""
    vae, unet = components.vae, components.unet
    device = next(unet.parameters()).device
    alpha_bars = components.scheduler.alphas_cumprod.to(device)
    tokens = training_data.tokenize(components.tokenizer, captions, s.template)
    context = components.text_encoder(tokens.ids.to(device)).last_hidden_state
    context = torch.cat([context[:-1], context[-1:].expand(len(captions), -1, -1)])
    side = unet.config.sample_size
    noise = torch.randn(len(captions), 4, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    pixels = side * 2 ** (len(vae.config.block_out_channels) - 1)
    z_key = key_latent(vae, s.key_rgb, pixels).view(1, 4, 1, 1) * vae.config.scaling_factor
    times = torch.linspace(999, 0, steps).round().long().tolist()
    z = alpha_bars[times[0]].sqrt() * z_key + (1 - alpha_bars[times[0]]).sqrt() * noise
    for now, following in zip(times, [*times[1:], None], strict=True):
        told, untold = unet(torch.cat([z, z]), now, context).sample.chunk(2)
        predicted = untold + s.picture_guidance * (told - untold)
        z0 = estimate_z0(z, predicted, alpha_bars[now].expand(len(z)), components.prediction)
        epsilon = (z - alpha_bars[now].sqrt() * z0) / (1 - alpha_bars[now]).sqrt()
        a = alpha_bars[following] if following is not None else torch.ones((), device=device)
        z = a.sqrt() * z0 + (1 - a).sqrt() * epsilon
    x, features = decode_with_features(vae, z / vae.config.scaling_factor)
    return to_pictures(x), to_grey(components.head(features))


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, data: TrainingSet, count: int = 10) -> list[list[Picture]]:
    """Two rows: pictures evenly spread over the data, and what the autoencoder makes of them."""
    chosen = np.linspace(0, len(data.captions) - 1, count).round().astype(np.int64)
    x = training_data.pictures(data, chosen, np.zeros(count, bool)).to(next(vae.parameters()).device)
    x_hat = vae.decode(vae.encode(x).latent_dist.mean).sample
    return [to_pictures(x), to_pictures(x_hat)]
