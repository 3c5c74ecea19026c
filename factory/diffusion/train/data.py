"""Shards unpacked once into flat files that a training step reads by index."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from factory.diffusion.train.no_screen import Photographs, Prompt, is_pictures, pictures_of
from factory.diffusion.train.sets import check_finished, manifest_sha256
from factory.diffusion.train.settings import TrainingFolder
from factory.errors import DataError, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.sample import Matte, Picture
from factory.shards.durable import appearing, fsync, reserve, write_json
from factory.shards.layout import Layout
from factory.shards.reader import Stored, read_samples

TEMPLATES = {"prefix": "{key} screen, {caption}", "suffix": "{caption} on a {key} screen background"}


@dataclass(frozen=True)
class TrainingSet:
    """The samples of all folders. rgb, alpha: memory maps (N, H, W, 3) and (N, H, W) uint8.

    captions: a `Prompt` where the picture shows no screen.
    order: (M,) sample indices of one epoch, repeats included. soft_alpha: (N,) bool; false where α is not known, too.
    manifests: SHA-256 of each folder's manifest, which tells one making of a set from another.
    made_of: tells what was taken of them, at which size, from other choices.
    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    captions: tuple[str, ...]
    soft_alpha: NDArray[np.bool_]
    order: NDArray[np.int64]
    manifests: tuple[str, ...]
    made_of: str = ""

    @cached_property
    def on_screen(self) -> NDArray[np.bool_]:
        """(N,) whether a picture shows the screen, which its prompt then names."""
        return np.asarray([not isinstance(caption, Prompt) for caption in self.captions])


def unpack(folders: Sequence[TrainingFolder], size: int, key: KeyName, cache: Path) -> TrainingSet:
    """Copy pictures and mattes of the shards into `cache` as raw bytes; a finished cache is used as it is.

    Raises UsageError where a sample has another size or screen, or a set is not the one that the cache was made of.
    """
    index = cache / "samples.json"
    made_of = {"folders": [asdict(folder) for folder in folders], "size": size, "key": key}
    content = json.loads(index.read_text()) if index.is_file() else {}
    if content.get("made_of") == made_of:
        _check_unchanged(folders, content["manifests"])
    else:  # nothing was learned from what lies there: a folder that was begun has its settings pinned
        index.unlink(missing_ok=True)
        content = _copy(folders, size, key, cache) | {"made_of": made_of}
        write_json(index, content)
    count = len(content["captions"])
    return TrainingSet(
        rgb=np.memmap(cache / "rgb.u8", np.uint8, "r", shape=(count, size, size, 3)),
        alpha=np.memmap(cache / "alpha.u8", np.uint8, "r", shape=(count, size, size)),
        captions=tuple(
            caption if on_screen else Prompt(caption)
            for caption, on_screen in zip(content["captions"], content["on_screen"], strict=True)
        ),
        soft_alpha=np.asarray(content["soft_alpha"], bool),
        order=np.repeat(np.arange(count), content["repeats"]),
        manifests=tuple(content["manifests"]),
        made_of=hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(),
    )


def _copy(folders: Sequence[TrainingFolder], size: int, key: KeyName, cache: Path) -> dict[str, Any]:
    """Write the raw bytes; returns what the index says of them."""
    for folder in folders:
        check_finished(Path(folder.folder))
    captions: list[str] = []
    soft: list[bool] = []
    repeats: list[int] = []
    with appearing(cache / "rgb.u8") as rgb, appearing(cache / "alpha.u8") as alpha:
        for folder in folders:
            for sample in _samples(folder, size, key):
                rgb.write(np.ascontiguousarray(sample.rgb).tobytes())
                alpha.write(np.ascontiguousarray(sample.alpha).tobytes())
                captions.append(sample.caption)
                soft.append(sample.soft_alpha)
                repeats.append(folder.repeat)
    return {
        "captions": captions,
        "on_screen": [not isinstance(caption, Prompt) for caption in captions],
        "soft_alpha": soft,
        "repeats": repeats,
        "manifests": [manifest_sha256(Layout(Path(folder.folder))) for folder in folders],
    }


class Unpacked(NamedTuple):
    """A sample to learn from.  rgb: (H, W, 3) uint8.  alpha: (H, W) uint8, 0 where nobody knows it."""

    rgb: Picture
    alpha: Matte
    caption: str
    soft_alpha: bool


def _samples(folder: TrainingFolder, size: int, key: KeyName) -> Iterator[Unpacked]:
    """Raises UsageError for a sample that does not fit the training."""
    place = Path(folder.folder)
    if is_pictures(place):
        if folder.screen:
            raise UsageError(
                f"{place} holds pictures and is no set: say `screen: false` of it, and only L_noise learns from them"
            )
        nothing = np.zeros((size, size), np.uint8)
        yield from (Unpacked(rgb, nothing, caption, soft_alpha=False) for rgb, caption in pictures_of(place, size))
        return
    photographs = Photographs(Path(folder.backgrounds), size, folder.plain) if folder.backgrounds else None
    for sample in _stored(folder):
        check(sample, size, key, folder)
        caption, soft = sample.meta["caption"], sample.meta["soft_alpha"]
        if folder.on_screen:
            yield Unpacked(sample.rgb, sample.alpha, caption, soft)
        else:
            rgb = photographs.behind(sample.foreground, sample.alpha, sample.key) if photographs else sample.rgb
            yield Unpacked(rgb, sample.alpha, Prompt(caption), soft_alpha=False)


def _stored(folder: TrainingFolder) -> Iterator[Stored]:
    try:
        yield from read_samples(Path(folder.folder), folder.split)
    except DataError as error:
        raise UsageError(f"{folder.folder}: {error}: `factory verify` says what else is broken there.") from error


def _check_unchanged(folders: Sequence[TrainingFolder], manifests: Sequence[str]) -> None:
    """A set that is gone is not asked: the cache has all of it."""
    for folder, manifest in zip(folders, manifests, strict=True):
        layout = Layout(Path(folder.folder))
        if (layout.finished.is_file() or is_pictures(layout.root)) and manifest_sha256(layout) != manifest:
            raise UsageError(
                f"{folder.folder} is not the set that this training began with: put that one back, or use another --out"
            )


def check(sample: Stored, size: int, key: KeyName, folder: TrainingFolder) -> None:
    """A sample must have the size that the networks are trained at, and the screen that its prompt will name."""
    if sample.rgb.shape != (size, size, 3) or sample.alpha.shape != (size, size):
        height, width = sample.rgb.shape[:2]
        raise UsageError(
            f"{folder.folder}: sample {sample.key} is {width}×{height}, but the recipe trains at {size}×{size}; "
            "build the set at that size"
        )
    if folder.on_screen and (screen := sample.meta.get("key_rgb")) != list(KEY_COLOURS[key]):
        raise UsageError(
            f"{folder.folder}: sample {sample.key} has the screen {screen}, but train.key_rgb is "
            f"{list(KEY_COLOURS[key])}, {key}, which the prompts would name: set it to the colour of the data"
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


def posterior_mean(vae: AutoencoderKL, x: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in −1..1 → (B, 4, h, w), unscaled."""
    mean: Tensor = vae.encode(x).latent_dist.mean
    return mean


def encode_all(
    vae: Any,
    data: TrainingSet,
    twins: int,
    device: torch.device,
    file: Path,
    *,
    encode: Callable[[Any, Tensor], Tensor] = posterior_mean,
) -> NDArray[np.float16]:
    """Latents of every picture and (twins = 2) of its mirrored twin: a memory map (N, twins, C, h, w).

    encode: of a batch. A mean, not a draw: the posterior's own noise is far below the diffusion's smallest. Latents
    that lie there are taken if this encoder made them from these sets.
    """
    done = file.with_suffix(".json")
    count, size = data.rgb.shape[:2]
    with torch.no_grad():
        first = encode(vae, pictures(data, np.zeros(1, np.int64), np.zeros(1, bool)).to(device))
    shape = (count, twins, *first.shape[1:])
    content = {"shape": list(shape), "encoder": encoder_sha256(vae), "manifests": list(data.manifests)}
    content["made_of"] = data.made_of
    if not done.is_file() or json.loads(done.read_text()) != content:
        done.unlink(missing_ok=True)
        with file.open("wb") as empty:
            reserve(empty.fileno(), 2 * math.prod(shape))
        latents = np.memmap(file, np.float16, "r+", shape=shape)
        batch = min(32, max(1, 2**21 // size**2))  # the encoder's memory grows with the pixels
        for start in range(0, count, batch):
            chosen = np.arange(start, min(start + batch, count))
            for twin in range(twins):
                x = pictures(data, chosen, np.full(len(chosen), bool(twin))).to(device)
                with torch.no_grad():
                    latents[chosen, twin] = encode(vae, x).cpu().numpy().astype(np.float16)
        latents.flush()
        fsync(file)
        write_json(done, content)
    return np.memmap(file, np.float16, "r", shape=shape)


def encoder_sha256(vae: Any) -> str:
    """Of the weights that turn pictures into latents."""
    found = hashlib.sha256()
    for name, weights in vae.state_dict().items():
        if name.startswith(("encoder.", "quant_conv.", "bn.")):
            found.update(name.encode())
            found.update(weights.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


@dataclass(frozen=True)
class Tokens:
    """Templated captions as ids (N + 1, L), the last one empty; key (N + 1,): the token's index j, 0 for none.

    second: ids of XL's other tokenizer, which splits alike.
    """

    ids: Tensor
    key: Tensor
    second: Tensor | None = None


def templated(captions: Iterable[str], template: str, key: KeyName) -> list[str]:
    """The prompts that the captions are trained under."""
    return [
        caption if isinstance(caption, Prompt) else TEMPLATES[template].format(key=key, caption=caption)
        for caption in captions
    ]


def tokenize(
    tokenizer: CLIPTokenizer,
    captions: Sequence[str],
    template: str,
    key: KeyName,
    second: CLIPTokenizer | None = None,
) -> Tokens:
    """Token ids of each templated caption, and where the *template's* key colour stands (a green dress is not it)."""
    on_screen = torch.tensor([*(not isinstance(caption, Prompt) for caption in captions), False])
    prompts = [*templated(captions, template, key), ""]
    ids = _ids(tokenizer, prompts)
    is_key = (ids == tokenizer.convert_tokens_to_ids(f"{key}</w>")).int()
    if template == "prefix":
        index = is_key.argmax(dim=1)
    else:
        index = (ids.shape[1] - 1 - is_key.flip(1).argmax(dim=1)) * is_key.amax(dim=1)
    index = index * on_screen
    if bool((missing := on_screen & (index == 0)).any()):
        lost = prompts[int(missing.nonzero()[0])]
        raise UsageError(f'no token "{key}" is left of the prompt "{lost}": shorten the caption or use the prefix')
    return Tokens(ids, index, None if second is None else _ids(second, prompts))


def _ids(tokenizer: CLIPTokenizer, prompts: Sequence[str]) -> Tensor:
    ids: Tensor = tokenizer(
        prompts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return ids
