"""A pipeline's weights in one file under the names of the original Stable Diffusion code, as communities share them."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from factory.diffusion.ldm_names import ldm_names

OF_AUTOENCODERS = (
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_(\w)", r"mid.attn_1.\1"),
    (r"down_blocks\.(\d)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
)
OF_OPEN_CLIP = (
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^embeddings\.", ""),
    (r"^final_layer_norm", "ln_final"),
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm", "ln_"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn", "attn"),
)
Weights = dict[str, Tensor]


def write_checkpoint(pipeline: Any, file: Path, *, without: str = "") -> Path:
    """without: the beginning of names to leave out."""
    weights = _unet(pipeline.unet) | _autoencoder(pipeline.vae)
    readers = [getattr(pipeline, name, None) for name in ("text_encoder", "text_encoder_2")]
    if readers[1] is not None:
        weights |= _clip(readers[0], "conditioner.embedders.0.transformer.")
        weights |= _open_clip(readers[1], "conditioner.embedders.1.model.")
    elif pipeline.scheduler.config.prediction_type == "v_prediction":
        weights |= _open_clip(readers[0], "cond_stage_model.model.")
    else:
        weights |= _clip(readers[0], "cond_stage_model.transformer.")
    kept = {name: value for name, value in weights.items() if not without or not name.startswith(without)}
    save_file({name: value.contiguous() for name, value in kept.items()}, file)
    return file


def _renamed(weights: Weights, rules: tuple[tuple[str, str], ...]) -> Weights:
    renamed = Weights()
    for name, value in weights.items():
        for pattern, by in rules:
            name = re.sub(pattern, by, name)  # noqa: PLW2901  (rule after rule)
        renamed[name] = value
    return renamed


def _unet(unet: Any) -> Weights:
    layers = [name for name, layer in unet.named_modules() if dict(layer.named_parameters(recurse=False))]
    own = {layer: name for name, layer in ldm_names(layers, unet.config).items()}
    found = ((name.rsplit(".", 1), value) for name, value in unet.state_dict().items())
    return {f"model.diffusion_model.{own[layer]}.{kind}": value for (layer, kind), value in found}


def _autoencoder(vae: Any) -> Weights:
    top = len(vae.config.block_out_channels) - 1
    rules = list(OF_AUTOENCODERS)
    for level in range(top + 1):  # the decoder's are counted from the picture
        rules.append((rf"up_blocks\.{level}\.resnets\.", f"up.{top - level}.block."))
        rules.append((rf"up_blocks\.{level}\.upsamplers\.0", f"up.{top - level}.upsample"))
    renamed = _renamed(vae.state_dict(), tuple(rules))
    return {
        f"first_stage_model.{name}": value[:, :, None, None] if re.search(r"attn_1.*[^m]\.weight", name) else value
        for name, value in renamed.items()
    }


def _clip(reader: Any, prefix: str) -> Weights:
    return {f"{prefix}text_model.{name.removeprefix('text_model.')}": v for name, v in reader.state_dict().items()}


def _open_clip(reader: Any, prefix: str) -> Weights:
    weights = {name.removeprefix("text_model."): value for name, value in reader.state_dict().items()}
    projection = weights.pop("text_projection.weight", None)
    fused = Weights()
    for name in [name for name in weights if ".q_proj." in name]:
        parts = [weights.pop(name.replace("q_proj", part)) for part in ("q_proj", "k_proj", "v_proj")]
        fused[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    renamed = _renamed(weights | fused, OF_OPEN_CLIP)
    if projection is not None:
        renamed["text_projection"] = projection.T
    return {f"{prefix}{name}": value for name, value in renamed.items()}
