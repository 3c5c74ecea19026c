"""Flux, Chroma, Qwen-Image, Z-Image and other transformers on flows, with the text encoders that they read with."""

from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    Gemma2Config,
    Gemma2Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
)

from tiny_pipelines import paints_green, tiny
from tiny_pipelines.parts import WIDTH, byte_tokenizer, clip_text, clip_tokenizer, t5_text, t5_tokenizer

WORDS = 300  # in a text encoder's vocabulary
LANGUAGE = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
}
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@torch.no_grad()
def paints_blots(vae: Any, last: Any, *latent: int, share: float = 0.1) -> None:
    """`paints_green` for a decoder whose norm has no bias: the feature that varies most shows where it is highest.

    latent: the shape of what is decoded once, to see the features.  share: of the picture, that is no screen.
    """
    seen = list[torch.Tensor]()
    hook = last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    vae.eval().decode(torch.randn(2, *latent))
    hook.remove()
    features = seen[-1].movedim(1, 0).flatten(1)
    feature = int(features.std(1).argmax())
    above, highest = features[feature].quantile(torch.tensor([1 - share, 1.0])).tolist()
    paints_green(last)
    gain = 2 / (highest - above)
    last.weight.copy_(last.weight.sign().mul(gain).roll(feature, 1))
    last.bias.mul_(1 + gain * above)
    if last.weight.dim() == 5:  # a causal one: the frame itself is its last
        last.weight.copy_(last.weight.roll(1, 2))


def autoencoder(latent: int = 4, blocks: int = 4, **more: Any) -> AutoencoderKL:
    """Each block but the last halves the side."""
    vae = AutoencoderKL(
        block_out_channels=(8, *[16] * (blocks - 1)),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * blocks,
        up_block_types=["UpDecoderBlock2D"] * blocks,
        latent_channels=latent,
        shift_factor=0.1,
        scaling_factor=0.4,
        sample_size=32,
        **more,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.conv_norm_out)
    return vae


def qwen_autoencoder() -> AutoencoderKLQwenImage:
    """An eighth of the side."""
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    paints_blots(vae, vae.decoder.conv_out, 4, 1, 8, 8)
    return vae


def flux2_autoencoder() -> AutoencoderKLFlux2:
    """An eighth of the side."""
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=32,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.conv_norm_out)
    return vae


def qwen_tokenizer(**special: str) -> Any:
    """Qwen's role, with a template for chats, spelled byte by byte."""
    names = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "unk_token": "<unk>", **special}
    tokenizer = byte_tokenizer(Qwen2Tokenizer, **names)
    tokenizer.chat_template = CHAT
    return tokenizer


def gemma_tokenizer() -> Any:
    """Gemma's role, spelled byte by byte."""
    return byte_tokenizer(pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>")


def qwen3(kind: Any = Qwen3Model, layers: int = 2) -> Any:
    """Qwen 3's language model."""
    return kind(Qwen3Config(**LANGUAGE | {"num_hidden_layers": layers})).eval()


def qwen25_vl() -> Qwen2_5_VLForConditionalGeneration:
    """Qwen 2.5's, with an eye."""
    text = LANGUAGE | {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}}
    eye = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": WIDTH}
    special = {"image_token_id": 290, "video_token_id": 291, "vision_start_token_id": 292, "vision_end_token_id": 293}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=eye, **special)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def gemma2() -> Gemma2Model:
    return Gemma2Model(Gemma2Config(**LANGUAGE)).eval()


def flux_parts() -> dict[str, Any]:
    """What Flux and Kontext are made of."""
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vae": autoencoder(),
        "text_encoder": clip_text(),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": t5_text(),
        "tokenizer_2": t5_tokenizer(),
        "transformer": transformer,
    }


@tiny("FluxPipeline")
def flux() -> FluxPipeline:
    return FluxPipeline(**flux_parts())


@tiny("FluxKontextPipeline")
def flux_kontext() -> FluxKontextPipeline:
    return FluxKontextPipeline(**flux_parts() | {"vae": autoencoder(blocks=6)})  # it paints 1024 pixels


@tiny("ChromaPipeline")
def chroma() -> ChromaPipeline:
    transformer = ChromaTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=t5_text(),
        tokenizer=t5_tokenizer(),
        transformer=transformer,
    )


@tiny("QwenImagePipeline")
def qwen_image() -> QwenImagePipeline:
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=qwen_autoencoder(),
        text_encoder=qwen25_vl(),
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
    )


def z_image_transformer(**more: Any) -> ZImageTransformer2DModel:
    return ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
        **more,
    )


@tiny("ZImagePipeline")
def z_image() -> ZImagePipeline:
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=qwen3(),
        tokenizer=qwen_tokenizer(),
        transformer=z_image_transformer(),
    )


def flux2_transformer(text: int, *, guided: bool) -> Flux2Transformer2DModel:
    """text: numbers a token."""
    return Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=text,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guided,
    )


@tiny("Flux2KleinPipeline")
def flux2_klein() -> Flux2KleinPipeline:
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=flux2_autoencoder(),
        text_encoder=qwen3(Qwen3ForCausalLM, layers=28),
        tokenizer=qwen_tokenizer(),
        transformer=flux2_transformer(3 * WIDTH, guided=False),
        is_distilled=True,
    )


@tiny("SanaPipeline")
def sana() -> SanaPipeline:
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_out_channels=(8,) * 6,
        decoder_block_out_channels=(8,) * 6,
        encoder_qkv_multiscales=((),) * 6,
        decoder_qkv_multiscales=((),) * 6,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.4,
    )
    paints_blots(vae, vae.decoder.conv_out, 4, 8, 8)
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=16,
        num_cross_attention_heads=2,
        cross_attention_head_dim=16,
        cross_attention_dim=32,
        caption_channels=WIDTH,
        sample_size=16,
    )
    return SanaPipeline(
        tokenizer=gemma_tokenizer(),
        text_encoder=gemma2(),
        vae=vae,
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    )


def pixart_parts(sample: int, *, shaped: bool) -> dict[str, Any]:
    """sample: the latents' side, that decides which sizes may be asked for.  shaped: told the picture's size."""
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        cross_attention_dim=32,
        caption_channels=WIDTH,
        sample_size=sample,
        use_additional_conditions=shaped,
    )
    return {
        "tokenizer": t5_tokenizer(),
        "text_encoder": t5_text(),
        "vae": autoencoder(),
        "transformer": transformer,
        "scheduler": DPMSolverMultistepScheduler(),
    }


@tiny("PixArtAlphaPipeline")
def pixart_alpha() -> PixArtAlphaPipeline:
    return PixArtAlphaPipeline(**pixart_parts(32, shaped=False))


@tiny("PixArtSigmaPipeline")
def pixart_sigma() -> PixArtSigmaPipeline:
    return PixArtSigmaPipeline(**pixart_parts(32, shaped=False))
