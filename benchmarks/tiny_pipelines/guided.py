"""Pipelines with perturbed-attention guidance."""

from typing import Any

from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanDiTPAGPipeline,
    PixArtSigmaPAGPipeline,
    PixArtTransformer2DModel,
    SanaPAGPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3PAGPipeline,
    StableDiffusionPAGPipeline,
    StableDiffusionXLPAGPipeline,
)
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizerFast

from tiny_pipelines import paints_green, tiny
from tiny_pipelines.more_diffusion import deep_autoencoder, hunyuan_parts
from tiny_pipelines.parts import byte_tokenizer, clip_text, clip_tokenizer, t5_text, t5_tokenizer
from tiny_pipelines.stable_diffusion import autoencoder, stable_diffusion, stable_diffusion_xl


@tiny("StableDiffusionPAGPipeline")
def stable_diffusion_pag() -> Any:
    return stable_diffusion(StableDiffusionPAGPipeline)


@tiny("StableDiffusionXLPAGPipeline")
def stable_diffusion_xl_pag() -> Any:
    return stable_diffusion_xl(StableDiffusionXLPAGPipeline)


@tiny("StableDiffusion3PAGPipeline")
def stable_diffusion_3_pag() -> StableDiffusion3PAGPipeline:
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=64,
        out_channels=4,
    )
    return StableDiffusion3PAGPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift=0.06),
        text_encoder=clip_text(16, projection=32),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(16, projection=32),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5_text(),
        tokenizer_3=t5_tokenizer(),
        pag_applied_layers="blocks.0",
    )


@tiny("PixArtSigmaPAGPipeline")
def pixart_sigma_pag() -> PixArtSigmaPAGPipeline:
    transformer = PixArtTransformer2DModel(
        sample_size=32,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_channels=32,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=32,
    )
    return PixArtSigmaPAGPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_text(),
        vae=deep_autoencoder(6),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )


@tiny("SanaPAGPipeline")
def sana_pag() -> SanaPAGPipeline:
    tokenizer = byte_tokenizer(
        GemmaTokenizerFast, 2048, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )
    text = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=8192,
    )
    transformer = SanaTransformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
    )
    return SanaPAGPipeline(
        tokenizer=tokenizer,
        text_encoder=Gemma2Model(text).eval(),
        vae=deep_compression(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def deep_compression() -> AutoencoderDC:
    levels = 7
    vae = AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(8,) * levels,
        decoder_block_out_channels=(8,) * levels,
        encoder_layers_per_block=(1,) * levels,
        decoder_layers_per_block=(1,) * levels,
        encoder_qkv_multiscales=((),) * levels,
        decoder_qkv_multiscales=((),) * levels,
        upsample_block_type="interpolate",
        downsample_block_type="stride_conv",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.norm_out)
    return vae


@tiny("HunyuanDiTPAGPipeline")
def hunyuan_pag() -> HunyuanDiTPAGPipeline:
    return HunyuanDiTPAGPipeline(**hunyuan_parts(), requires_safety_checker=False)
