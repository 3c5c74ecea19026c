"""A DiffuMatting model on disk: a plain Stable Diffusion folder with the matting head beside it.

model_index.json names StableDiffusionPipeline and does not name matting_head/, so plain diffusers loads the folder
without a warning. Only safetensors are read and written, and nothing is ever fetched from a network.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, ConfigMixin, SchedulerMixin, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from factory.diffusion.matting_head import MattingHead
from factory.diffusion.model_files import FOLDERS, INDEX, check, read_json
from factory.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The parts of a DiffuMatting model, as plain diffusers and transformers know them."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: SchedulerMixin  # the noise schedule; a sampler reads its numbers only
    head: MattingHead


def save(components: Components, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the folder; the components stay as they are. Weights are stored in `dtype`.

    model_index.json is taken away first and written last: a folder cut short is not a model.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for name, model in (("unet", components.unet), ("vae", components.vae), ("matting_head", components.head)):
        _write_config(model, folder / name / "config.json")
        _write_weights(model.state_dict(), folder / name / "diffusion_pytorch_model.safetensors", dtype)
    _write_text_encoder(components.text_encoder, folder / "text_encoder", dtype)
    components.tokenizer.save_pretrained(folder / "tokenizer")
    components.tokenizer.backend_tokenizer.model.save(str(folder / "tokenizer"))  # vocab.json, merges.txt: for 4.x
    _write_config(components.scheduler, folder / "scheduler" / "scheduler_config.json")
    _write_json(_index(components), folder / INDEX)


def load(folder: Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Components:
    """Read a folder, frozen and in evaluation mode. Whatever is wrong with it is a UsageError that names the file."""
    check(folder)
    scheduler_class = getattr(diffusers, read_json(folder / "scheduler" / "scheduler_config.json")["_class_name"])
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    components = Components(
        unet=_load_part(UNet2DConditionModel, folder / "unet", torch_dtype=dtype),
        vae=_load_part(AutoencoderKL, folder / "vae", torch_dtype=dtype),
        text_encoder=_load_part(CLIPTextModel, folder / "text_encoder", dtype=dtype),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        scheduler=scheduler_class.from_pretrained(folder / "scheduler"),
        head=_load_part(MattingHead, folder / "matting_head", torch_dtype=dtype),
    )
    for model in (components.unet, components.vae, components.text_encoder, components.head):
        model.to(device).eval().requires_grad_(False)
    return components


def _load_part(kind: Any, folder: Path, **dtype: torch.dtype) -> Any:
    """One network, complete: weights that are missing or of another shape are an error, never initialised anew."""
    read_json(folder / "config.json")
    try:
        model, info = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **dtype
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{folder} cannot be loaded, its config.json and weights differ: {reason}") from error
    if missing := sorted(info["missing_keys"]):
        raise UsageError(f"{folder} lacks {len(missing)} weights, {missing[0]} among them: copy it again, whole")
    return model


def _write_weights(weights: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    tensors = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in weights.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _write_text_encoder(text_encoder: CLIPTextModel, folder: Path, dtype: torch.dtype) -> None:
    """Keys with the prefix `text_model.`, as in every published model.

    transformers 5 drops the prefix from encoders made under it, and transformers 4 then silently starts those anew.
    """
    weights = {f"text_model.{key.removeprefix('text_model.')}": t for key, t in text_encoder.state_dict().items()}
    _write_weights(weights, folder / "model.safetensors", dtype)
    config = text_encoder.config.to_diff_dict()
    config |= {"architectures": ["CLIPTextModel"], "dtype": str(dtype).removeprefix("torch.")}
    config.pop("_name_or_path", None)
    _write_json(config, folder / "config.json")


def _write_config(part: ConfigMixin, path: Path) -> None:
    """The part's own configuration, without the path it was once loaded from."""
    config = json.loads(part.to_json_string())
    config.pop("_name_or_path", None)
    _write_json(config, path)


def _index(components: Components) -> dict[str, Any]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", type(components.scheduler).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
