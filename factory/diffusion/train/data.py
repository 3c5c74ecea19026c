"""Shards unpacked once into flat files that a training step reads by index."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from factory.diffusion.train.settings import TrainingFolder
from factory.errors import UsageError
from factory.shards.durable import fsync, write_json
from factory.shards.layout import Layout
from factory.shards.reader import Stored, read_samples

TEMPLATES = {"prefix": "green screen, {caption}", "suffix": "{caption} on a green screen background"}
GREEN = "green</w>"


@dataclass(frozen=True)
class TrainingSet:
    """The samples of all folders. rgb, alpha: memory maps (N, H, W, 3) and (N, H, W) uint8.

    order: (M,) sample indices of one epoch, repeats included. soft_alpha: (N,) bool.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    captions: tuple[str, ...]
    soft_alpha: NDArray[np.bool_]
    order: NDArray[np.int64]


def unpack(folders: Sequence[TrainingFolder], size: int, cache: Path) -> TrainingSet:
    """Copy pictures and mattes of the shards into `cache` as raw bytes; a finished cache is used as it is."""
    index = cache / "samples.json"
    if not index.is_file():
        for folder in folders:
            _check_finished(Path(folder.folder))
        cache.mkdir(parents=True, exist_ok=True)
        captions: list[str] = []
        soft: list[bool] = []
        repeats: list[int] = []
        with (cache / "rgb.u8").open("wb") as rgb, (cache / "alpha.u8").open("wb") as alpha:
            for folder in folders:
                for sample in read_samples(Path(folder.folder), folder.split):
                    check(sample, size, folder)
                    rgb.write(np.ascontiguousarray(sample.rgb).tobytes())
                    alpha.write(np.ascontiguousarray(sample.alpha).tobytes())
                    captions.append(sample.meta["caption"])
                    soft.append(sample.meta["soft_alpha"])
                    repeats.append(folder.repeat)
        content = {"captions": captions, "soft_alpha": soft, "repeats": repeats, "folders": [*map(asdict, folders)]}
        for file in (cache / "rgb.u8", cache / "alpha.u8"):
            fsync(file)
        write_json(index, content)
    content = json.loads(index.read_text())
    count = len(content["captions"])
    return TrainingSet(
        rgb=np.memmap(cache / "rgb.u8", np.uint8, "r", shape=(count, size, size, 3)),
        alpha=np.memmap(cache / "alpha.u8", np.uint8, "r", shape=(count, size, size)),
        captions=tuple(content["captions"]),
        soft_alpha=np.asarray(content["soft_alpha"], bool),
        order=np.repeat(np.arange(count), content["repeats"]),
    )


def _check_finished(folder: Path) -> None:
    """A set that still grows would train another model at the next run."""
    if not Layout(folder).finished.is_file():
        raise UsageError(f"{folder} is not a finished data set: run the command that makes it again until it is.")


def check(sample: Stored, size: int, folder: TrainingFolder) -> None:
    """A sample must have the size that the networks are trained at."""
    if sample.rgb.shape != (size, size, 3) or sample.alpha.shape != (size, size):
        height, width = sample.rgb.shape[:2]
        raise UsageError(
            f"{folder.folder}: sample {sample.key} is {width}×{height}, but the recipe trains at {size}×{size}; "
            "build the set at that size"
        )


def pictures(data: TrainingSet, chosen: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
    """(B, 3, H, W) float32 in −1..1."""
    batch = mirror(np.asarray(data.rgb[chosen]), mirrored)
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 127.5 - 1


def mattes(data: TrainingSet, chosen: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
    """(B, 1, H, W) float32 in 0..1."""
    batch = mirror(np.asarray(data.alpha[chosen]), mirrored)
    return torch.from_numpy(batch).unsqueeze(1).float() / 255


def mirror(batch: NDArray[np.uint8], mirrored: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Flip the named samples left to right."""
    batch = batch.copy()
    batch[mirrored] = batch[mirrored][:, :, ::-1]
    return batch


def encode_all(
    vae: AutoencoderKL, data: TrainingSet, twins: int, device: torch.device, file: Path
) -> NDArray[np.float16]:
    """Latent means of every picture and (twins = 2) of its mirrored twin: a memory map (N, twins, 4, h, w), unscaled.

    The mean, not a draw: the posterior's own noise is far below the diffusion's smallest.
    """
    done = file.with_suffix(".json")
    count, size = data.rgb.shape[:2]
    side = size // 2 ** (len(vae.config.block_out_channels) - 1)
    shape = (count, twins, 4, side, side)
    if not done.is_file():
        latents = np.memmap(file, np.float16, "w+", shape=shape)
        batch = min(32, max(1, 2**21 // size**2))  # the encoder's memory grows with the pixels
        for start in range(0, count, batch):
            chosen = np.arange(start, min(start + batch, count))
            for twin in range(twins):
                x = pictures(data, chosen, np.full(len(chosen), bool(twin))).to(device)
                with torch.no_grad():
                    latents[chosen, twin] = vae.encode(x).latent_dist.mean.cpu().numpy().astype(np.float16)
        latents.flush()
        fsync(file)
        write_json(done, {"shape": shape})
    return np.memmap(file, np.float16, "r", shape=shape)


@dataclass(frozen=True)
class Tokens:
    """Templated captions as ids (N + 1, L), the last one empty; green (N + 1,): the token's index j, 0 for none."""

    ids: Tensor
    green: Tensor


def templated(captions: Iterable[str], template: str) -> list[str]:
    """The prompts that the captions are trained under."""
    return [TEMPLATES[template].format(caption=caption) for caption in captions]


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str], template: str) -> Tokens:
    """Token ids of each templated caption, and where the *template's* 'green' stands (a green dress is not it)."""
    prompts = [*templated(captions, template), ""]
    ids = tokenizer(
        prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    is_green = (ids == tokenizer.convert_tokens_to_ids(GREEN)).int()
    if template == "prefix":
        green = is_green.argmax(dim=1)
    else:
        green = (ids.shape[1] - 1 - is_green.flip(1).argmax(dim=1)) * is_green.amax(dim=1)
    if not bool((green[:-1] > 0).all()):
        lost = prompts[int((green[:-1] == 0).nonzero()[0])]
        raise UsageError(f'no token "green" is left of the prompt "{lost}": shorten the caption or use the prefix')
    return Tokens(ids, green)
