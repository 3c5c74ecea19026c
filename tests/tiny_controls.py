"""Control networks and style adapters for tiny models, of the real architectures, with weights that do something."""

import inspect
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

TOKENS, EYE, WIDE = 4, 16, 32  # of a picture in an IP-Adapter, numbers of its embedding, and inside of a resampler


def controlnet(unet: UNet2DConditionModel, folder: Path, seed: int = 0) -> Path:
    """A ControlNet of the U-Net's own widths; fresh ones add nothing, so their last layers are drawn too."""
    torch.manual_seed(seed)
    return _saved(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16)), folder)


def union(unet: UNet2DConditionModel, folder: Path, types: int = 6) -> Path:
    """A ControlNet that is told what its picture is."""
    torch.manual_seed(3)
    config = {name: value for name, value in dict(unet.config).items() if name in _arguments(ControlNetUnionModel)}
    first = config["block_out_channels"][0]
    network = ControlNetUnionModel.from_config(
        {
            **config,
            "conditioning_embedding_out_channels": (8, 16),
            "num_control_type": types,
            "addition_time_embed_dim": 8,
            "num_trans_channel": first,
            "num_trans_head": 2,
            "num_proj_channel": first,
        }
    )
    with torch.no_grad():
        for layer in network.transformer_layes:
            layer.attn.in_proj_weight.mul_(20)  # fresh ones look at all alike
    return _saved(network, folder)


def t2i_adapter(unet: UNet2DConditionModel, folder: Path, factor: int, channels: int = 3, seed: int = 5) -> Path:
    """A T2I-Adapter, of XL's kind for XL.  factor: by which the picture is smaller in its first features."""
    torch.manual_seed(seed)
    widths, kind = list(unet.config.block_out_channels), "full_adapter"
    if unet.config.addition_embed_type:
        widths, kind = [*widths, widths[-1]], "full_adapter_xl"
    network = T2IAdapter(channels, widths, num_res_blocks=1, downscale_factor=factor, adapter_type=kind)
    return _saved(network, folder)


def ip_adapter(unet: UNet2DConditionModel, folder: Path, *, plus: bool = False) -> Path:
    """An IP-Adapter under the names that published ones have, and its image encoder."""
    torch.manual_seed(7)
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=EYE,
            intermediate_size=32,
            projection_dim=EYE,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        )
    )
    encoder.save_pretrained(folder / "image_encoder")
    text = int(unet.config.cross_attention_dim)
    shapes = _resampler(text) if plus else {"proj": (TOKENS * text, EYE), "norm": (text,)}
    weights = {f"image_proj.{name}.weight": torch.randn(shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if "norm" in name or name.endswith(".1.0") or name.startswith("proj"):
            weights[f"image_proj.{name}.bias"] = torch.zeros(shape[:1])
    if plus:
        weights["image_proj.latents"] = torch.randn(1, TOKENS, WIDE)
    crossed = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for index, name in enumerate(crossed):
        width = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for part in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * index + 1}.{part}.weight"] = torch.randn(width, text) / text**0.5
    save_file(weights, folder / "ip-adapter.safetensors")
    return folder


def _resampler(text: int) -> dict[str, tuple[int, ...]]:
    """IP-Adapter Plus's."""
    shapes: dict[str, tuple[int, ...]] = {"proj_in": (WIDE, EYE), "proj_out": (text, WIDE), "norm_out": (text,)}
    for block in range(4):
        start = f"layers.{block}"
        shapes |= {f"{start}.{norm}": (WIDE,) for norm in ("0.norm1", "0.norm2", "1.0")}
        shapes |= {f"{start}.0.to_q": (64, WIDE), f"{start}.0.to_kv": (128, WIDE), f"{start}.0.to_out": (WIDE, 64)}
        shapes |= {f"{start}.1.1": (4 * WIDE, WIDE), f"{start}.1.3": (WIDE, 4 * WIDE)}
    return shapes


def _arguments(kind: Any) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters)


@torch.no_grad()
def _saved(network: Any, folder: Path) -> Path:
    for parameter in network.parameters():
        if not parameter.any():  # what is zero in a fresh one
            parameter.normal_(std=0.2)
    network.eval().save_pretrained(folder)
    return folder
