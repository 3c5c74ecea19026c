"""The matting head of Eq. 7: a mask read from the features that the VAE decoder paints the picture from."""

import torch
from diffusers import AutoencoderKL, AutoencoderKLQwenImage, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class MattingHead(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """M_cp = ConR(f_decoder), ConR = Conv3×3 → SiLU → Conv3×3 → activation (DiffuMatting, Eq. 7).

    in_channels: width of the decoder's last features (128 in Stable Diffusion 1.5).
    activation: "silu" as in the paper, or "sigmoid", as the dice loss of Eq. 8 needs a mask in 0..1.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, in_channels: int = 128, hidden_channels: int = 64, activation: str = "sigmoid") -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
        self.conv_out = nn.Conv2d(hidden_channels, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) decoder features -> (B, 1, H, W) coarse mask in 0..1, or with SiLU around it."""
        hidden = self.conv_out(nn.functional.silu(self.conv_in(features)))
        return torch.sigmoid(hidden) if self.config.activation == "sigmoid" else nn.functional.silu(hidden)


def decoder_features(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """f_decoder: the tensor that enters `vae.decoder.conv_out`, normalised and activated.

    latents: (B, 4, h, w), already divided by the VAE's scaling factor.  Returns (B, C, H, W).
    `AutoencoderKL.decode` without its last convolution, so that picture and mask share all other work.
    """
    decoder = vae.decoder
    hidden = latents if vae.post_quant_conv is None else vae.post_quant_conv(latents)
    hidden = decoder.mid_block(decoder.conv_in(hidden), None)
    for block in decoder.up_blocks:
        hidden = block(hidden, None)
    features: Tensor = decoder.conv_act(decoder.conv_norm_out(hidden))
    return features


def frame_features(vae: AutoencoderKLQwenImage, latents: Tensor) -> Tensor:
    """The same of an autoencoder for clips, a picture being one frame. latents: (B, 16, h, w) as it decodes them."""
    decoder = vae.decoder
    hidden = decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latents[:, :, None])))
    for block in decoder.up_blocks:
        hidden = block(hidden)
    features: Tensor = decoder.nonlinearity(decoder.norm_out(hidden))
    return features[:, :, 0]


def decode_with_features(vae: AutoencoderKL, latents: Tensor) -> tuple[Tensor, Tensor]:
    """One decode for both: (B, 3, H, W) picture in about −1..1 and the (B, C, H, W) features of the head.

    latents: (B, 4, h, w), already divided by the VAE's scaling factor.
    """
    features = decoder_features(vae, latents)
    return vae.decoder.conv_out(features), features
