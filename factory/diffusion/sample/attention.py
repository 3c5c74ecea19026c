"""Reading the attention of each prompt's object while a batch is sampled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, cast

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.attention_mask import LayerMap, Place, attention_mask, object_map
from factory.diffusion.object_words import MOST_TOKENS
from factory.diffusion.sizes import Size
from factory.diffusion.token_attention import TokenAttention, probed


@dataclass
class ObjectAttention:
    """The sums over steps of what a U-Net's layers attend to in each prompt's object.

    tokens: of each sample of the batch, 1 to MOST_TOKENS indices.  sums: layer → (B, h·w, MOST_TOKENS) float32.
    """

    tokens: Sequence[tuple[int, ...]]
    seen: TokenAttention
    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0

    def watching(self, denoise: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A denoiser that does the same and adds up. With guidance the prompts are the batch's second half."""
        padded = torch.tensor([(*own, *own[:1] * (MOST_TOKENS - len(own))) for own in self.tokens])

        def watched(latents: Tensor, *told: Any, **more: Any) -> Tensor:
            self.seen.tokens = padded.repeat(len(latents) // len(padded), 1).to(latents.device)
            predicted = denoise(latents, *told, **more)
            for layer, A_j in self.seen.maps.items():
                own = A_j[-len(padded) :]
                self.sums[layer] = self.sums[layer] + own if self.steps else own.clone()
            self.steps += 1
            return predicted

        return watched

    def layers(self, sample: int, latent: Size) -> list[LayerMap]:
        """One sample's maps, means over the steps.  latent: height and width of its code."""
        found = []
        for name, sums in self.sums.items():
            shrunk = isqrt(latent[0] * latent[1] // sums.shape[1])
            shape = latent[0] // shrunk, latent[1] // shrunk, -1
            own = (sums[sample, :, : len(self.tokens[sample])] / self.steps).reshape(shape)
            found.append(LayerMap(cast(Place, name.partition("_")[0]), own.cpu().numpy()))
        return found

    def masks(self, latent: Size, size: Size) -> NDArray[np.uint8]:
        """(B, H, W), each sample's binary mask."""
        maps = (object_map(self.layers(sample, latent), size) for sample in range(len(self.tokens)))
        return np.stack([attention_mask(cam) for cam in maps])


@contextmanager
def object_attention(unet: UNet2DConditionModel, tokens: Sequence[tuple[int, ...]]) -> Iterator[ObjectAttention]:
    """Watch the U-Net's cross-attention to these tokens; its own processors come back at the end."""
    with probed(unet) as seen:
        yield ObjectAttention(tokens, seen)
