"""A DiffuMatting model on disk: a plain Stable Diffusion folder with the matting head beside it.

model_index.json names StableDiffusionPipeline, or XL's, and does not name matting_head/, so plain diffusers loads the
folder without a warning. Only safetensors are read and written, and nothing is ever fetched from a network.
"""

import json
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, ConfigMixin, SchedulerMixin, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from factory.diffusion.matting_head import MattingHead
from factory.diffusion.model_files import (
    INDEX,
    XL,
    Prediction,
    channels_of_levels,
    check,
    folders,
    is_xl,
    parts,
    scheduler_class,
)
from factory.errors import UsageError
from factory.models.clip_words import check_count
from factory.models.folder import read_mapping, variant_of
from factory.models.part import lay_out_for_pictures, load_part
from factory.models.weights import refuse_pickled

ZEROS = "force_zeros_for_empty_prompt"  # of XL's index
FOLDER_NAME = re.compile(r"[A-Za-z0-9_]+")  # a base's index may come from anybody, and what it names is copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The parts of a DiffuMatting model, as plain diffusers and transformers know them.

    text_encoder_2, tokenizer_2: XL's second reader of the text; without it the model is of Stable Diffusion 1 or 2.
    zeros_for_empty: what XL's network is told of an empty negative prompt: zeros, or what the readers say of it.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: SchedulerMixin  # the noise schedule; a sampler reads its numbers only
    head: MattingHead
    text_encoder_2: CLIPTextModelWithProjection | None = None
    tokenizer_2: CLIPTokenizer | None = None
    zeros_for_empty: bool = False

    @property
    def is_xl(self) -> bool:
        return self.text_encoder_2 is not None

    @property
    def prediction(self) -> Prediction:
        """What the U-Net says of a noisy latent: its noise, or its velocity."""
        kind: Prediction = self.scheduler.config.prediction_type
        return kind


def save(components: Components, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the folder; the components stay as they are. Weights are stored in `dtype`.

    model_index.json is taken away first and written last: a folder cut short is not a model.
    """
    (folder / INDEX).unlink(missing_ok=True)
    for name in folders(xl=components.is_xl):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in parts(xl=components.is_xl):
        _write_part(components, name, folder / name, dtype)
    _write_tokenizer(components.tokenizer, folder / "tokenizer")
    if components.tokenizer_2 is not None:
        _write_tokenizer(components.tokenizer_2, folder / "tokenizer_2")
    _write_config(components.scheduler, folder / "scheduler" / "scheduler_config.json")
    _write_json(_index(components), folder / INDEX)


def save_on_base(
    components: Components, trained: Collection[str], base: Path, folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write the trained parts (of `parts`); everything else of the base is copied byte for byte, its index last.

    So a frozen text encoder keeps the bytes that every version of transformers reads, and a safety checker stays.
    A base without matting head gets the components' own. What the base has in half precision alone is written as it
    was trained with, in `dtype`: a model has its weights under plain names.
    """
    (folder / INDEX).unlink(missing_ok=True)
    whole = {name for name in parts(xl=is_xl(base)) if (base / name).is_dir() and variant_of(base / name) is None}
    written = {name for name in parts(xl=is_xl(base)) if name in trained or name not in whole}
    for source, name in _portable_files(base):
        if source.parent.name not in written:
            target = folder / source.parent.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for name in sorted(written):
        (folder / name).mkdir(parents=True, exist_ok=True)
        _write_part(components, name, folder / name, dtype)
    shutil.copyfile(base / INDEX, folder / INDEX)


def load(folder: Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Components:
    """Read a folder, frozen and in evaluation mode. Whatever is wrong with it is a UsageError that names the file."""
    check(folder)
    return _load_around(load_part(MattingHead, folder / "matting_head", torch_dtype=dtype), folder, dtype, device)


def load_to_paint(folder: Path, dtype: torch.dtype, device: torch.device | str) -> Components:
    """As `load`, laid out as sampling wants it, where weights are not copied to another device anyway."""
    components = load(folder, dtype, device)
    if components.unet.device.type == "cpu":
        lay_out_for_pictures(components.unet, folder / "unet")
        lay_out_for_pictures(components.vae, folder / "vae")
    return components


def load_base(folder: Path, head_hidden: int, seed: int, head_activation: str = "sigmoid") -> Components:
    """A model to train on, in float32. A plain Stable Diffusion folder gets a fresh matting head, drawn from `seed`."""
    if (folder / "matting_head").is_dir():
        components = load(folder)
    else:
        _check_base(folder)
        channels = channels_of_levels(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = MattingHead(in_channels=channels[0], hidden_channels=head_hidden, activation=head_activation)
        components = _load_around(head, folder, torch.float32, "cpu")
    if components.prediction not in get_args(Prediction):
        raise UsageError(f"{folder} predicts {components.prediction}: take a model that predicts epsilon or v.")
    if (channels := components.unet.config.in_channels) != 4:
        raise UsageError(f"the U-Net of {folder} takes {channels} channels, not 4: take a text-to-image model")
    return components


def _check_base(folder: Path) -> None:
    """As `check`, where no head is asked for; what will be copied must not be pickled either."""
    for name in folders(xl=is_xl(folder)):
        if name != "matting_head" and not (folder / name).is_dir():
            raise UsageError(f"{folder} has no {name}/: copy the model again, whole")
    for part in sorted(filter(Path.is_dir, folder.iterdir())):
        if not any(part.glob("*.safetensors")):
            refuse_pickled(part)


def _load_around(head: MattingHead, folder: Path, dtype: torch.dtype, device: torch.device | str) -> Components:
    """The folder's plain Stable Diffusion parts and this head."""
    schedule: Any = getattr(diffusers, scheduler_class(folder))
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    components = Components(
        unet=load_part(UNet2DConditionModel, folder / "unet", torch_dtype=dtype),
        vae=load_part(AutoencoderKL, folder / "vae", torch_dtype=dtype),
        text_encoder=load_part(CLIPTextModel, folder / "text_encoder", dtype=dtype),
        tokenizer=_tokenizer(folder / "tokenizer"),
        scheduler=schedule.from_pretrained(folder / "scheduler"),
        head=head,
        **(_second_reader(folder, dtype) if is_xl(folder) else {}),
    )
    networks = (components.unet, components.vae, components.text_encoder, components.text_encoder_2, components.head)
    for model in networks:
        if model is not None:
            model.to(device).eval().requires_grad_(False)
    return components


def _second_reader(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "text_encoder_2": load_part(CLIPTextModelWithProjection, folder / "text_encoder_2", dtype=dtype),
        "tokenizer_2": _tokenizer(folder / "tokenizer_2"),
        "zeros_for_empty": bool(read_mapping(folder / INDEX).get(ZEROS, True)),
    }


def _tokenizer(folder: Path) -> CLIPTokenizer:
    """Raises UsageError where it was made up: what is counted on disk is not always what the library reads."""
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    check_count(folder, len(tokenizer))
    return tokenizer


def _portable_files(base: Path) -> Iterator[tuple[Path, str]]:
    """What the base's parts are read from, and what that is called in a model.

    No pickles; no variants like model.fp16.safetensors, but where a part (a safety checker) has nothing else.
    """
    for name in (*filter(FOLDER_NAME.fullmatch, read_mapping(base / INDEX)), "matting_head"):
        only = variant_of(base / name)
        for path in sorted((base / name).glob("*")):
            plain = path.name.replace(f".{only}", "") if only else path.name
            variant = path.suffix == ".safetensors" and "." in Path(plain).stem
            if path.suffix in {".json", ".txt", ".safetensors"} and not variant:
                yield path, plain


def _write_part(components: Components, name: str, folder: Path, dtype: torch.dtype) -> None:
    if name in ("text_encoder", "text_encoder_2"):
        _write_text_encoder(getattr(components, name), folder, dtype)
    else:
        model = {"unet": components.unet, "vae": components.vae, "matting_head": components.head}[name]
        _write_config(model, folder / "config.json")
        _write_weights(model.state_dict(), folder / "diffusion_pytorch_model.safetensors", dtype)


def _write_weights(weights: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    tensors = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in weights.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _write_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    tokenizer.backend_tokenizer.no_truncation()  # how it was last called is no part of the model
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))  # vocab.json, merges.txt: for 4.x


def _write_text_encoder(
    text_encoder: CLIPTextModel | CLIPTextModelWithProjection, folder: Path, dtype: torch.dtype
) -> None:
    """Keys with the prefix `text_model.`, as in every published model.

    transformers 5 drops the prefix from encoders made under it, and transformers 4 then silently starts those anew.
    """
    weights = {
        key if key.startswith("text_projection.") else f"text_model.{key.removeprefix('text_model.')}": tensor
        for key, tensor in text_encoder.state_dict().items()
    }
    _write_weights(weights, folder / "model.safetensors", dtype)
    config = text_encoder.config.to_diff_dict()
    # Without a type asked for, transformers 5 takes the configuration's and diffusers float32: they must agree.
    config |= {"architectures": [type(text_encoder).__name__], "dtype": "float32"}
    config.pop("_name_or_path", None)
    _write_json(config, folder / "config.json")


def _write_config(part: ConfigMixin, path: Path) -> None:
    """The part's own configuration, without the path it was once loaded from."""
    config = json.loads(part.to_json_string())
    config.pop("_name_or_path", None)
    _write_json(config, path)


def _index(components: Components) -> dict[str, Any]:
    index = {
        "_class_name": XL if components.is_xl else "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", type(components.scheduler).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if not components.is_xl:
        return index | {"requires_safety_checker": False, "safety_checker": [None, None]}
    return index | {
        ZEROS: components.zeros_for_empty,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }


def _write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
