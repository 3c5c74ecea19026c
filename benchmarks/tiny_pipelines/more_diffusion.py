"""Latent consistency, Hunyuan, the Kandinskys, Würstchen, Stable Cascade and DeepFloyd."""

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    IFPipeline,
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    KandinskyCombinedPipeline,
    KandinskyV22CombinedPipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PriorTransformer,
    StableCascadeCombinedPipeline,
    StableCascadeUNet,
    UnCLIPScheduler,
    VQModel,
    WuerstchenCombinedPipeline,
)
from diffusers.pipelines.deprecated.wuerstchen.modeling_paella_vq_model import PaellaVQModel
from diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_diffnext import WuerstchenDiffNeXt
from diffusers.pipelines.deprecated.wuerstchen.modeling_wuerstchen_prior import WuerstchenPrior
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    XLMRobertaTokenizer,
)

from tiny_pipelines import paints_green, tiny
from tiny_pipelines.parts import clip_text, clip_tokenizer, t5_text, t5_tokenizer
from tiny_pipelines.stable_diffusion import SCHEDULE, unet


@tiny("LatentConsistencyModelPipeline")
def latent_consistency() -> LatentConsistencyModelPipeline:
    return LatentConsistencyModelPipeline(
        vae=deep_autoencoder(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=unet(32, time_cond_proj_dim=32),
        scheduler=LCMScheduler(**SCHEDULE, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def deep_autoencoder(levels: int = 4) -> AutoencoderKL:
    """By default eight pixels a side to a latent; no attention: pictures may be large by the pipeline's own will."""
    vae = AutoencoderKL(
        block_out_channels=(4, *[8] * (levels - 1)),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        latent_channels=4,
        sample_size=32,
        mid_block_add_attention=False,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.conv_norm_out)
    return vae


def bert_tokenizer(length: int = 77) -> BertTokenizer:
    """BERT's, with single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, model_max_length=length)


def bert_text() -> BertModel:
    config = BertConfig(
        vocab_size=len(bert_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=77,
    )
    return BertModel(config).eval()


def hunyuan_parts() -> dict[str, Any]:
    """It paints 1024 pixels whatever it is asked, so patches are large."""
    transformer = HunyuanDiT2DModel(
        sample_size=128,
        num_layers=2,
        patch_size=8,
        attention_head_dim=8,
        num_attention_heads=4,
        hidden_size=32,
        in_channels=4,
        cross_attention_dim=32,
        cross_attention_dim_t5=32,
        pooled_projection_dim=16,
    )
    return {
        "vae": deep_autoencoder(),
        "text_encoder": bert_text(),
        "tokenizer": bert_tokenizer(),
        "text_encoder_2": t5_text(),
        "tokenizer_2": t5_tokenizer(256),
        "transformer": transformer,
        "scheduler": DDPMScheduler(**SCHEDULE, prediction_type="v_prediction", clip_sample=False),
        "safety_checker": None,
        "feature_extractor": None,
    }


@tiny("HunyuanDiTPipeline")
def hunyuan() -> HunyuanDiTPipeline:
    return HunyuanDiTPipeline(**hunyuan_parts(), requires_safety_checker=False)


def movq() -> VQModel:
    """Kandinsky's autoencoder, of eight pixels a side."""
    vae = VQModel(
        block_out_channels=(4, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        vq_embed_dim=4,
        num_vq_embeddings=16,
    )
    paints_green(vae.decoder.conv_out, vae.decoder.conv_norm_out)
    return vae


@tiny("Kandinsky3Pipeline")
def kandinsky_3() -> Kandinsky3Pipeline:
    network = Kandinsky3UNet(
        time_embedding_dim=32,
        groups=2,
        attention_head_dim=4,
        layers_per_block=2,
        block_out_channels=(8, 16),
        cross_attention_dim=32,
        encoder_hid_dim=32,
    )
    return Kandinsky3Pipeline(
        tokenizer=t5_tokenizer(128),
        text_encoder=t5_text(),
        unet=network,
        scheduler=DDPMScheduler(**SCHEDULE, clip_sample=False),
        movq=movq(),
    )


def prior_parts() -> dict[str, Any]:
    """Kandinsky's prior, that makes an embedding of a picture from a text."""
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=32,
    )
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, num_layers=1, embedding_dim=32, num_embeddings=77
    )
    torch.nn.init.ones_(prior.clip_std)
    return {
        "prior_prior": prior,
        "prior_image_encoder": CLIPVisionModelWithProjection(vision).eval(),
        "prior_text_encoder": clip_text(projection=32),
        "prior_tokenizer": clip_tokenizer(),
        "prior_scheduler": UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample"),
        "prior_image_processor": CLIPImageProcessor(size=32, crop_size=32),
    }


@tiny("KandinskyCombinedPipeline")
def kandinsky() -> KandinskyCombinedPipeline:
    tokenizer = roberta_tokenizer()
    text = MCLIPConfig(
        transformerDimSize=32,
        imageDimSize=32,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    return KandinskyCombinedPipeline(
        text_encoder=MultilingualCLIP(text).eval(),
        tokenizer=tokenizer,
        unet=unet(
            32,
            out_channels=8,
            encoder_hid_dim=32,
            encoder_hid_dim_type="text_image_proj",
            addition_embed_type="text_image",
        ),
        scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        movq=movq(),
        **prior_parts(),
    )


@tiny("KandinskyV22CombinedPipeline")
def kandinsky_2_2() -> KandinskyV22CombinedPipeline:
    return KandinskyV22CombinedPipeline(
        unet=unet(
            32, out_channels=8, encoder_hid_dim=32, encoder_hid_dim_type="image_proj", addition_embed_type="image"
        ),
        scheduler=DDPMScheduler(**SCHEDULE, clip_sample=False),
        movq=movq(),
        **prior_parts(),
    )


def roberta_tokenizer() -> XLMRobertaTokenizer:
    """XLM-RoBERTa's, with single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,▁"
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"]
    return XLMRobertaTokenizer(vocab=[(word, -float(i)) for i, word in enumerate(words)], model_max_length=77)


@tiny("IFPipeline")
def deepfloyd() -> IFPipeline:
    """Its network is asked for the picture and not for the noise: so its last layer can paint green."""
    network = unet(32, in_channels=3, out_channels=6)
    paints_green(network.conv_out, network.conv_norm_out)
    return IFPipeline(
        tokenizer=t5_tokenizer(77),
        text_encoder=t5_text(),
        unet=network,
        scheduler=DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", variance_type="learned_range", prediction_type="sample"
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def paella(spread: float) -> PaellaVQModel:
    """The autoencoder of Würstchen and Stable Cascade: pictures in 0..1, cut off there, so that the green is flat.

    spread: of the numbers that come to the last layer, one and a half of which blots begin above.
    """
    vae = PaellaVQModel(levels=3, bottleneck_blocks=1, embed_dim=16, num_vq_embeddings=8)
    last = vae.out_block[0]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        for channel, (of_green, sign) in enumerate(((0.0, 1.0), (1.0, -1.0), (0.0, 1.0))):
            packed = slice(4 * channel, 4 * channel + 4)
            last.weight[packed, 0] = sign * 0.6 / spread
            last.bias[packed] = of_green - sign * 0.9
    return vae


@tiny("StableCascadeCombinedPipeline")
def stable_cascade() -> StableCascadeCombinedPipeline:
    common: dict[str, Any] = {
        "timestep_ratio_embedding_dim": 16,
        "conditioning_dim": 16,
        "block_out_channels": (16,),
        "num_attention_heads": (2,),
        "down_num_layers_per_block": (1,),
        "up_num_layers_per_block": (1,),
        "down_blocks_repeat_mappers": (1,),
        "up_blocks_repeat_mappers": (1,),
        "block_types_per_layer": (("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),),
        "clip_text_pooled_in_channels": 32,
        "dropout": (0.0,),
        "clip_seq": 4,
    }
    prior = StableCascadeUNet(
        **common,
        in_channels=8,
        out_channels=8,
        clip_text_in_channels=32,
        clip_image_in_channels=32,
        switch_level=(False,),
    )
    decoder = StableCascadeUNet(**common, in_channels=4, out_channels=4, patch_size=1, effnet_in_channels=8)
    return StableCascadeCombinedPipeline(
        tokenizer=clip_tokenizer(),
        text_encoder=clip_text(projection=32),
        decoder=decoder,
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=paella(12.0),
        prior_prior=prior,
        prior_text_encoder=clip_text(projection=32),
        prior_tokenizer=clip_tokenizer(),
        prior_scheduler=DDPMWuerstchenScheduler(),
    )


@tiny("WuerstchenCombinedPipeline")
def wuerstchen() -> WuerstchenCombinedPipeline:
    decoder = WuerstchenDiffNeXt(
        c_r=16,
        c_cond=16,
        c_hidden=[16],
        nhead=[2],
        blocks=[1],
        level_config=["CTA"],
        inject_effnet=[True],
        effnet_embd=8,
        clip_embd=32,
        patch_size=1,
        dropout=0.0,
    )
    return WuerstchenCombinedPipeline(
        tokenizer=clip_tokenizer(),
        text_encoder=clip_text(),
        decoder=decoder,
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=paella(3.0),
        prior_tokenizer=clip_tokenizer(),
        prior_text_encoder=clip_text(),
        prior_prior=WuerstchenPrior(c_in=8, c=16, c_cond=32, c_r=16, depth=1, nhead=2, dropout=0.0),
        prior_scheduler=DDPMWuerstchenScheduler(),
    )
