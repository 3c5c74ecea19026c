"""LayerDiffuse's two networks beside the autoencoder (Zhang and Agrawala 2024), by the names of the published weights.

The decoder tells α and the object's straight colours from a picture and its latent. The encoder tells what to add to a
picture's latent so that the transparency is in it.
"""

from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, AttnUpBlock2D, DownBlock2D, UNetMidBlock2D, UpBlock2D
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (32, 32, 64, 128, 256, 512, 512)  # of the decoder's levels
WITH_ATTENTION = 4  # the first level that has any
LATENT_AT = 3  # the level at whose begin the latent is added: an eighth of the picture's size
LAYERS = 2  # a level
GROUPS, HEAD = 4, 8
MULTIPLE = 64  # pixels: each level but the last halves the sides


class TransparentDecoder(nn.Module):
    """Picture (N, 3, H, W) in 0..1 and unscaled latent (N, 4, H/8, W/8) → (N, 4, H, W): α, then red, green, blue.

    Straight colours, not clipped. H and W must be multiples of MULTIPLE.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, CHANNELS[0], 3, padding=1)
        self.latent_conv_in = nn.Conv2d(4, CHANNELS[LATENT_AT - 1], 1)
        self.down_blocks = nn.ModuleList(self._down(level) for level in range(len(CHANNELS)))
        self.mid_block = UNetMidBlock2D(
            in_channels=CHANNELS[-1], temb_channels=None, resnet_eps=1e-5, resnet_groups=GROUPS, attention_head_dim=HEAD
        )
        self.up_blocks = nn.ModuleList(self._up(level) for level in reversed(range(len(CHANNELS))))
        self.conv_norm_out = nn.GroupNorm(GROUPS, CHANNELS[0], eps=1e-5)
        self.conv_out = nn.Conv2d(CHANNELS[0], 4, 3, padding=1)

    def forward(self, picture: Tensor, latent: Tensor) -> Tensor:
        x = self.conv_in(picture)
        skips = [x]
        for level, block in enumerate(self.down_blocks):
            if level == LATENT_AT:
                x = x + self.latent_conv_in(latent)  # what is skipped to the other side is without it
            x, kept = block(x, None)
            skips += kept
        x = self.mid_block(x, None)
        count = LAYERS + 1
        for block in self.up_blocks:
            skipped, skips = tuple(skips[-count:]), skips[:-count]
            x = block(x, skipped, None)
        return cast(Tensor, self.conv_out(functional.silu(self.conv_norm_out(x))))

    @staticmethod
    def _down(level: int) -> Any:
        common: dict[str, Any] = {
            "in_channels": CHANNELS[max(level - 1, 0)],
            "out_channels": CHANNELS[level],
            "temb_channels": None,
            "num_layers": LAYERS,
            "resnet_eps": 1e-5,
            "resnet_groups": GROUPS,
            "downsample_padding": 1,
        }
        last = level == len(CHANNELS) - 1
        if level < WITH_ATTENTION:
            return DownBlock2D(**common, add_downsample=not last)
        return AttnDownBlock2D(**common, attention_head_dim=HEAD, downsample_type=None if last else "conv")

    @staticmethod
    def _up(level: int) -> Any:
        common: dict[str, Any] = {
            "in_channels": CHANNELS[max(level - 1, 0)],
            "prev_output_channel": CHANNELS[min(level + 1, len(CHANNELS) - 1)],
            "out_channels": CHANNELS[level],
            "temb_channels": None,
            "num_layers": LAYERS + 1,
            "resnet_eps": 1e-5,
            "resnet_groups": GROUPS,
        }
        if level < WITH_ATTENTION:
            return UpBlock2D(**common, add_upsample=level > 0)
        return AttnUpBlock2D(**common, attention_head_dim=HEAD, upsample_type="conv")


class OffsetEncoder(nn.Module):
    """α and padded colours (N, 4, H, W) in 0..1, in this order → (N, 4, H/8, W/8) what the latent is moved by."""

    def __init__(self) -> None:
        super().__init__()
        channels = ((4, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 4))
        halving = (2, 4, 6)
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1, stride=2 if index in halving else 1), nn.SiLU()]
        self.blocks = nn.Sequential(*layers[:-1])

    def forward(self, transparent: Tensor) -> Tensor:
        return cast(Tensor, self.blocks(transparent))


@torch.inference_mode()
def transparent(decoder: TransparentDecoder, picture: Tensor, latent: Tensor) -> Tensor:
    """(N, 4, H, W) in 0..1: the lower median of what the decoder tells of eight views, as it was published.

    Views: flipped or not, and turned by quarters; of H = W all go through at once, else by fours.
    picture: (N, 3, H, W) in 0..1.  latent: (N, 4, H/8, W/8), unscaled.
    Raises ValueError for sides that are no multiples of MULTIPLE, and for a latent of another size.
    """
    height, width = picture.shape[-2:]
    if height % MULTIPLE or width % MULTIPLE:
        raise ValueError(f"{width} × {height} pixels: both sides must be multiples of {MULTIPLE}")
    if latent.shape[-2:] != (height // 8, width // 8):
        raise ValueError(f"a latent of {tuple(latent.shape[-2:])} does not go with {height} × {width} pixels")
    views = [(flip, turn) for flip in (False, True) for turn in range(4)]
    told = dict[tuple[bool, int], Tensor]()
    for group in (views,) if height == width else (views[::2], views[1::2]):
        seen = [torch.cat([_view(field, *view) for view in group]) for field in (picture, latent)]
        for view, result in zip(group, decoder(*seen).clamp(0, 1).chunk(len(group)), strict=True):
            told[view] = _back(result, *view)
    return torch.stack([told[view] for view in views]).median(dim=0).values


def _view(field: Tensor, flip: bool, turn: int) -> Tensor:
    return torch.rot90(field.flip(-1) if flip else field, turn, dims=(-2, -1))


def _back(field: Tensor, flip: bool, turn: int) -> Tensor:
    turned = torch.rot90(field, -turn, dims=(-2, -1))
    return turned.flip(-1) if flip else turned
