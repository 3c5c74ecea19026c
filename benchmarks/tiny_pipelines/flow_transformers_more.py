"""Lumina, CogView, AuraFlow and others: more transformers on flows, with the text encoders that they read with."""

from typing import Any

import torch
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderKLQwenImage21,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2Pipeline,
    GlmImagePipeline,
    GlmImageTransformer2DModel,
    Ideogram4Pipeline,
    Ideogram4Transformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    LuminaNextDiT2DModel,
    LuminaPipeline,
    NucleusMoEImagePipeline,
    NucleusMoEImageTransformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    PRXPipeline,
    PRXTransformer2DModel,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
    ZImageOmniPipeline,
)
from transformers import (
    ByT5Tokenizer,
    CLIPImageProcessor,
    GemmaConfig,
    GemmaModel,
    GlmConfig,
    GlmImageConfig,
    GlmImageForConditionalGeneration,
    GlmImageImageProcessor,
    GlmImageProcessor,
    GlmModel,
    LlavaProcessor,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
    Siglip2ImageProcessor,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

from tiny_pipelines import tiny
from tiny_pipelines.flow_transformers import (
    CHAT,
    LANGUAGE,
    WORDS,
    autoencoder,
    flux2_autoencoder,
    flux2_transformer,
    gemma2,
    gemma_tokenizer,
    paints_blots,
    qwen3,
    qwen_autoencoder,
    qwen_tokenizer,
    z_image_transformer,
)
from tiny_pipelines.parts import WIDTH, byte_tokenizer, t5_text, t5_tokenizer

MIXED_ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e6}


def qwen3_vl(kind: Any, layers: int = 2) -> Any:
    """Qwen 3's language model, with an eye."""
    text = LANGUAGE | {"num_hidden_layers": layers, "rope_parameters": MIXED_ROPE}
    eye = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    special = {"image_token_id": 290, "video_token_id": 291, "vision_start_token_id": 292, "vision_end_token_id": 293}
    return kind(Qwen3VLConfig(text_config=text, vision_config=eye, **special)).eval()


@tiny("AuraFlowPipeline")
def aura_flow() -> AuraFlowPipeline:
    reader = UMT5Config(
        vocab_size=WORDS, d_model=WIDTH, d_kv=8, d_ff=2 * WIDTH, num_layers=2, num_heads=4, pad_token_id=0
    )
    transformer = AuraFlowTransformer2DModel(
        sample_size=16,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        caption_projection_dim=32,
        pos_embed_max_size=256,
    )
    return AuraFlowPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=UMT5EncoderModel(reader).eval(),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


@tiny("Lumina2Pipeline")
def lumina2() -> Lumina2Pipeline:
    transformer = Lumina2Transformer2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=32,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(4, 6, 6),
        axes_lens=(512, 64, 64),
        cap_feat_dim=WIDTH,
    )
    return Lumina2Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=gemma2(),
        tokenizer=gemma_tokenizer(),
    )


@tiny("LuminaPipeline")
def lumina() -> LuminaPipeline:
    transformer = LuminaNextDiT2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=32,
        num_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=16,
        cross_attention_dim=WIDTH,
    )
    return LuminaPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=GemmaModel(GemmaConfig(**LANGUAGE)).eval(),
        tokenizer=gemma_tokenizer(),
    )


@tiny("CogView4Pipeline")
def cogview4() -> CogView4Pipeline:
    transformer = CogView4Transformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=WIDTH,
        time_embed_dim=16,
        condition_dim=8,
        rope_axes_dim=(16, 16),
    )
    return CogView4Pipeline(
        tokenizer=byte_tokenizer(pad_token="<|endoftext|>", eos_token="<|user|>", unk_token="<unk>"),
        text_encoder=GlmModel(GlmConfig(**LANGUAGE, pad_token_id=0)).eval(),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear"),
    )


@tiny("CogView3PlusPipeline")
def cogview3_plus() -> CogView3PlusPipeline:
    transformer = CogView3PlusTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=WIDTH,
        time_embed_dim=16,
        condition_dim=8,
        pos_embed_max_size=16,
        sample_size=16,
    )
    return CogView3PlusPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5_text(),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    )


@tiny("OvisImagePipeline")
def ovis_image() -> OvisImagePipeline:
    transformer = OvisImageTransformer2DModel(
        in_channels=16,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return OvisImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(),
        text_encoder=qwen3(),
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
    )


def t5_gemma() -> T5GemmaEncoder:
    """The encoder alone; its files say what the whole model is, as the pipeline wants it."""
    module = T5GemmaModuleConfig(**LANGUAGE)
    config = T5GemmaConfig(encoder=module, decoder=module, vocab_size=WORDS)
    encoder = T5GemmaEncoder(config.encoder).eval()
    encoder.config = config
    return encoder


@tiny("PRXPipeline")
def prx() -> PRXPipeline:
    transformer = PRXTransformer2DModel(
        in_channels=4, context_in_dim=WIDTH, hidden_size=32, num_heads=2, depth=1, axes_dim=[8, 8]
    )
    return PRXPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=t5_gemma(),
        tokenizer=gemma_tokenizer(),
        vae=autoencoder(),
        default_sample_size=256,
    )


@tiny("Krea2Pipeline")
def krea2() -> Krea2Pipeline:
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        timestep_embed_dim=32,
        text_hidden_dim=WIDTH,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=64,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )
    return Krea2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=qwen_autoencoder(),
        text_encoder=qwen3_vl(Qwen3VLModel),
        tokenizer=qwen_tokenizer(),
        transformer=transformer,
        text_encoder_select_layers=(0, 1),
    )


@tiny("Ideogram4Pipeline")
def ideogram4() -> Ideogram4Pipeline:
    def transformer() -> Ideogram4Transformer2DModel:
        return Ideogram4Transformer2DModel(
            in_channels=16,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            intermediate_size=64,
            adaln_dim=16,
            llm_features_dim=13 * WIDTH,
            mrope_section=(2, 2, 2),
        )

    return Ideogram4Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flux2_autoencoder(),
        text_encoder=qwen3_vl(Qwen3VLModel, layers=36),
        tokenizer=qwen_tokenizer(),
        transformer=transformer(),
        unconditional_transformer=transformer(),
    )


@tiny("Flux2Pipeline")
def flux2() -> Flux2Pipeline:
    text = LANGUAGE | {"num_hidden_layers": 31, "model_type": "mistral"}
    eye = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    reader = Mistral3Config(text_config=text, vision_config=eye, image_token_index=290)
    tokenizer = byte_tokenizer(pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>")
    tokenizer.chat_template = CHAT
    return Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=flux2_autoencoder(),
        text_encoder=Mistral3ForConditionalGeneration(reader).eval(),
        tokenizer=tokenizer,  # in the place of a PixtralProcessor, which needs torchvision
        transformer=flux2_transformer(3 * WIDTH, guided=True),
    )


@tiny("ZImageOmniPipeline")
def z_image_omni() -> ZImageOmniPipeline:
    eye = Siglip2VisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_patches=16
    )
    return ZImageOmniPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=qwen3(),
        tokenizer=qwen_tokenizer(),
        transformer=z_image_transformer(siglip_feat_dim=16),
        siglip=Siglip2VisionModel(eye).eval(),
        siglip_processor=Siglip2ImageProcessor(),
    )


def processor() -> LlavaProcessor:
    """In the place of a Qwen3VLProcessor, which needs torchvision: for texts they do the same."""
    special = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    eye = CLIPImageProcessor(size=32, crop_size=32)
    return LlavaProcessor(eye, qwen_tokenizer(**special), 16, "default", CHAT, "<|image_pad|>")


@tiny("NucleusMoEImagePipeline")
def nucleus_moe_image() -> NucleusMoEImagePipeline:
    transformer = NucleusMoEImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
        dense_moe_strategy="leave_first_block_dense",
        num_experts=2,
        moe_intermediate_dim=16,
        capacity_factors=2.0,
        mlp_ratio=8.0,  # it rounds down to whole 128s
    )
    for weights in transformer.parameters():  # the experts' are left as the memory was
        if weights.dim() == 3:
            torch.nn.init.normal_(weights, std=0.1)
    return NucleusMoEImagePipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=qwen_autoencoder(),
        text_encoder=qwen3_vl(Qwen3VLForConditionalGeneration, layers=8),
        processor=processor(),
    )


@tiny("QwenImage21Pipeline")
def qwen_image_21() -> QwenImage21Pipeline:
    vae = AutoencoderKLQwenImage21(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    paints_blots(vae, vae.decoder.conv_out, 4, 1, 4, 4)
    transformer = QwenImage21Transformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        context_in_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return QwenImage21Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=qwen3_vl(Qwen3VLForConditionalGeneration),
        processor=processor(),
        transformer=transformer,
    )


GLM_CHAT = "{% for message in messages %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endfor %}"


@tiny("GlmImagePipeline")
def glm_image() -> GlmImagePipeline:
    codes = 64  # that its language model paints with before the transformer does
    text = LANGUAGE | {
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
        "vision_vocab_size": codes,
        "pad_token_id": 0,
        "eos_token_id": None,
    }
    eye = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "image_size": 64, "patch_size": 16}
    book = {"embed_dim": 16, "num_embeddings": codes, "latent_channels": 16}
    special = {"image_token_id": 290, "image_start_token_id": 291, "image_end_token_id": 292}
    painter = GlmImageConfig(text_config=text, vision_config=eye, vq_config=book, **special)
    tokenizer = byte_tokenizer(
        pad_token="<|endoftext|>",
        eos_token="<|user|>",
        bos_token="<|dit_token_16384|>",
        image_token="<|image|>",
        grid_bos_token="<sop>",
        grid_eos_token="<eop>",
    )
    reader = T5Config(vocab_size=384, d_model=WIDTH, d_kv=8, d_ff=2 * WIDTH, num_layers=1, num_heads=4)
    transformer = GlmImageTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        text_embed_dim=WIDTH,
        time_embed_dim=16,
        condition_dim=8,
        prior_vq_quantizer_codebook_size=codes,
    )
    return GlmImagePipeline(
        tokenizer=ByT5Tokenizer(),
        processor=GlmImageProcessor(GlmImageImageProcessor(), tokenizer, GLM_CHAT),
        text_encoder=T5EncoderModel(reader).eval(),
        vision_language_encoder=GlmImageForConditionalGeneration(painter).eval(),
        vae=autoencoder(latents_mean=[0.0] * 4, latents_std=[1.0] * 4),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear"),
    )
