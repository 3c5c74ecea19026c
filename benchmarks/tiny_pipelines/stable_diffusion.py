"""Stable Diffusion 1, XL and 3."""

from typing import Any

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from tiny_pipelines import paints_green, tiny
from tiny_pipelines.parts import clip_text, clip_tokenizer, t5_text, t5_tokenizer

BLOCKS = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def autoencoder(latent: int = 4, shift: float | None = None) -> AutoencoderKL:
    vae = AutoencoderKL(
        **BLOCKS,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=latent,
        shift_factor=shift,
        sample_size=32,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.conv_norm_out)
    return vae


def unet(text: int, **more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **BLOCKS,
        sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text,
        attention_head_dim=4,
        **more,
    )


@tiny("StableDiffusionPipeline")
def stable_diffusion(kind: Any = StableDiffusionPipeline) -> Any:
    return kind(
        vae=autoencoder(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet(32),
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@tiny("StableDiffusionXLPipeline")
def stable_diffusion_xl(kind: Any = StableDiffusionXLPipeline) -> Any:
    return kind(
        vae=autoencoder(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(projection=32),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
            transformer_layers_per_block=1,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )


@tiny("StableDiffusion3Pipeline")
def stable_diffusion_3() -> StableDiffusion3Pipeline:
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=64,
        out_channels=4,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift=0.06),
        text_encoder=clip_text(16, projection=32),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(16, projection=32),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5_text(),
        tokenizer_3=t5_tokenizer(),
    )
