"""Joint transformers of a few thousand weights, one of each family, and small autoencoders of theirs."""

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    ZImageTransformer2DModel,
)
from torch import Tensor

from factory.diffusion.joint_models import Text

CHANNELS, SIDE, WIDTH = 4, 8, 16  # of a latent picture, and of a text token
HEADS = {"attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": WIDTH}
FAMILIES = ("sd3", "flux", "flux2", "qwen", "z")


def transformer(family: str, seed: int = 0) -> Any:
    """With two joint attentions, of both kinds where there are two."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILDERS[family]().train()


def sd3() -> SD3Transformer2DModel:
    """As 3.5, whose first layers attend to the picture alone, too."""
    return SD3Transformer2DModel(
        sample_size=SIDE, in_channels=CHANNELS, out_channels=CHANNELS, num_layers=2, caption_projection_dim=16,
        pooled_projection_dim=8, pos_embed_max_size=8, qk_norm="rms_norm", dual_attention_layers=(0,), **HEADS,
    )  # fmt: skip


def flux() -> FluxTransformer2DModel:
    """As dev, which is told of guidance."""
    return FluxTransformer2DModel(
        in_channels=4 * CHANNELS, num_layers=1, num_single_layers=1, pooled_projection_dim=8, guidance_embeds=True,
        axes_dims_rope=(2, 2, 4), **HEADS,
    )  # fmt: skip


def flux2() -> Flux2Transformer2DModel:
    """As klein."""
    return Flux2Transformer2DModel(
        in_channels=4 * CHANNELS, num_layers=1, num_single_layers=1, timestep_guidance_channels=32,
        guidance_embeds=False, axes_dims_rope=(2, 2, 2, 2), **HEADS,
    )  # fmt: skip


def qwen() -> QwenImageTransformer2DModel:
    """Qwen-Image's."""
    return QwenImageTransformer2DModel(
        in_channels=4 * CHANNELS, out_channels=CHANNELS, num_layers=2, axes_dims_rope=(2, 2, 4), **HEADS
    )


def z() -> ZImageTransformer2DModel:
    """Z-Image's: of its layers two read both, one the picture and one the text."""
    return ZImageTransformer2DModel(
        in_channels=CHANNELS, dim=16, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=WIDTH,
        axes_dims=[2, 2, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip


BUILDERS = {"sd3": sd3, "flux": flux, "flux2": flux2, "qwen": qwen, "z": z}


def inputs(seed: int = 1, lengths: tuple[int, ...] = (9, 35)) -> tuple[Tensor, Tensor, Text]:
    """z_t, t and texts of these lengths, each with a word of two tokens and one of one; the longer has no padding."""
    generator = torch.Generator().manual_seed(seed)
    most, batch = max(lengths), len(lengths)
    real = torch.arange(most) < torch.tensor(lengths)[:, None]
    words = torch.zeros(batch, most, 2, dtype=torch.bool)
    for row in range(batch):
        words[row, 1 + row : 3 + row, 0] = words[row, 4, 1] = True
    text = Text(
        embeddings=3 * torch.randn(batch, most, WIDTH, generator=generator),
        real=real,
        words=words,
        pooled=torch.randn(batch, 8, generator=generator),
    )
    return (
        torch.randn(batch, CHANNELS, SIDE, SIDE, generator=generator),
        torch.rand(batch, generator=generator),
        text,
    )


def autoencoder(family: str, seed: int = 0) -> Any:
    """16×16 pictures to 8×8 latents."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "qwen":
            vae: Any = AutoencoderKLQwenImage(
                base_dim=8, z_dim=CHANNELS, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
                latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[0.5, 1.0, 2.0, 1.5],
            )  # fmt: skip
        else:
            blocks = {
                "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 16,
                "latent_channels": CHANNELS, "down_block_types": ("DownEncoderBlock2D",) * 2,
                "up_block_types": ("UpDecoderBlock2D",) * 2,
            }  # fmt: skip
            if family == "flux2":
                vae = AutoencoderKLFlux2(**blocks)
                vae.bn.running_mean.normal_()
                vae.bn.running_var.uniform_(0.5, 2)
            else:
                own = {"use_quant_conv": False, "use_post_quant_conv": False}  # as in Stable Diffusion 3
                vae = AutoencoderKL(**blocks, **own, shift_factor=0.06, scaling_factor=1.5)
    return vae.eval().requires_grad_(False)
