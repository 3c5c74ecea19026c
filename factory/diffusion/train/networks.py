"""Fresh networks in Stable Diffusion's layout, at any size."""

from collections.abc import Iterable

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from factory.diffusion.matting_head import MattingHead
from factory.diffusion.model_files import Prediction
from factory.diffusion.model_folder import Components
from factory.diffusion.tokenizer import build_tokenizer
from factory.diffusion.train.settings import NetworkSettings


def build(networks: NetworkSettings, size: int, captions: Iterable[str], seed: int) -> Components:
    """Networks with weights drawn from `seed`, and a tokenizer whose words come from the (templated) captions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = build_tokenizer(captions, networks.text_length)
        return Components(
            vae=build_autoencoder(networks, size),
            text_encoder=build_text_encoder(networks, len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id),
            unet=build_unet(networks, size // factor(networks)),
            head=MattingHead(networks.vae_channels[0], networks.head_hidden, networks.head_activation),
            tokenizer=tokenizer,
            scheduler=build_scheduler(networks.prediction),
        )


def factor(networks: NetworkSettings) -> int:
    """Picture pixels per latent pixel, along one side."""
    return int(2 ** (len(networks.vae_channels) - 1))


def build_autoencoder(networks: NetworkSettings, size: int) -> AutoencoderKL:
    """4 latent channels; convolutions only when `vae_attention` is off, as small pictures need no more."""
    levels = len(networks.vae_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        sample_size=size,
        block_out_channels=networks.vae_channels,
        layers_per_block=networks.vae_layers,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=networks.norm_groups,
        mid_block_add_attention=networks.vae_attention,
    )


def build_unet(networks: NetworkSettings, latent_size: int) -> UNet2DConditionModel:
    """Cross-attention on all levels but the last, as in Stable Diffusion 1.5."""
    crossed = len(networks.unet_channels) - 1
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=4,
        out_channels=4,
        block_out_channels=networks.unet_channels,
        layers_per_block=networks.unet_layers,
        down_block_types=("CrossAttnDownBlock2D",) * crossed + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * crossed,
        cross_attention_dim=networks.text_width,
        attention_head_dim=networks.unet_heads,  # diffusers' name for the number of heads here
        norm_num_groups=networks.norm_groups,
    )


def build_text_encoder(networks: NetworkSettings, vocabulary: int, begin: int, end: int) -> CLIPTextModel:
    """CLIP's causal text transformer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=networks.text_width,
            intermediate_size=4 * networks.text_width,
            projection_dim=networks.text_width,
            num_hidden_layers=networks.text_layers,
            num_attention_heads=networks.text_heads,
            max_position_embeddings=networks.text_length,
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=end,
        )
    )


def build_scheduler(prediction: Prediction = "epsilon") -> DDIMScheduler:
    """Stable Diffusion 1.5's noise schedule: scaled-linear 0.00085 to 0.012 over 1000 steps."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
