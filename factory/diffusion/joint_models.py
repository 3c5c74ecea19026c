"""Transformers that read text and picture in one sequence, each called as its pipeline in diffusers calls it.

All tell the velocity ε − z0 of a straight path. To the outside a latent picture is (B, C, h, w) with h and w even,
whatever a model packs it to: an image token is 2×2 of its pixels, row by row (of Stable Diffusion 3, what it says).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from diffusers import Flux2KleinPipeline, FluxPipeline, QwenImagePipeline, SD3Transformer2DModel
from torch import Tensor

T = TypeVar("T")

PATCH = 2  # latent pixels of a token's side
UNGUIDED = (
    1.0  # what a distilled network is told of guidance: the field that data make, and so what is learnt from them
)


@dataclass(frozen=True)
class Text:
    """What a transformer is told, of B prompts.

    embeddings: (B, S, D). real: (B, S) bool, false on padding, which stands behind the text.
    words: (B, S, K) bool, which tokens each of K words is made of; none where a prompt lacks it.
    pooled: (B, P), of families that read one vector of the whole prompt too.
    """

    embeddings: Tensor
    real: Tensor
    words: Tensor
    pooled: Tensor | None = None

    def to(self, device: torch.device) -> "Text":
        """The same there."""
        pooled = None if self.pooled is None else self.pooled.to(device)
        return Text(self.embeddings.to(device), self.real.to(device), self.words.to(device), pooled)


def velocity(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    """What a transformer of `VELOCITIES` says of z_t (B, C, h, w) at t (B,) in 0..1, 0 at the picture, 1 at noise.

    It is told all but t in its own type.
    """
    dtype = transformer.dtype
    pooled = None if text.pooled is None else text.pooled.to(dtype)
    told = replace(text, embeddings=text.embeddings.to(dtype), pooled=pooled)
    return by_class(VELOCITIES, transformer)(transformer, z_t.to(dtype), t, told)


def by_class(table: Mapping[str, T], model: Any) -> T:
    """What a table has for a model's class, or for one that it inherits from: sharding makes classes of its own."""
    return next(table[kind.__name__] for kind in type(model).__mro__ if kind.__name__ in table)


def image_tokens(transformer: Any, z: Tensor) -> int:
    """How many tokens a transformer makes of a latent picture (B, C, h, w)."""
    side = transformer.config.patch_size if isinstance(transformer, SD3Transformer2DModel) else PATCH
    return int(z.shape[-2] * z.shape[-1] // side**2)


def _sd3(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    steps = 1000 * t  # of its scheduler: it alone is told these
    v: Tensor = transformer(z_t, text.embeddings, pooled_projections=text.pooled, timestep=steps).sample
    return v


def _flux(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    batch, channels, height, width = z_t.shape
    v = transformer(
        FluxPipeline._pack_latents(z_t, batch, channels, height, width),
        encoder_hidden_states=text.embeddings,
        pooled_projections=text.pooled,
        timestep=t,
        img_ids=FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, z_t.device, z_t.dtype),
        txt_ids=torch.zeros(text.embeddings.shape[1], 3, device=z_t.device, dtype=z_t.dtype),
        guidance=_guidance(transformer, z_t),
    ).sample
    unpacked: Tensor = FluxPipeline._unpack_latents(v, height, width, 1)
    return unpacked


def _flux2(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    patches = Flux2KleinPipeline._patchify_latents(z_t)
    ids = Flux2KleinPipeline._prepare_latent_ids(patches).to(z_t.device)
    v = transformer(
        Flux2KleinPipeline._pack_latents(patches),
        encoder_hidden_states=text.embeddings,
        timestep=t,
        img_ids=ids,
        txt_ids=Flux2KleinPipeline._prepare_text_ids(text.embeddings).to(z_t.device),
        guidance=_guidance(transformer, z_t),
    ).sample
    unpacked: Tensor = Flux2KleinPipeline._unpatchify_latents(
        Flux2KleinPipeline._unpack_latents_with_ids(v, ids, *patches.shape[-2:])
    )
    return unpacked


def _qwen_image(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    batch, channels, height, width = z_t.shape
    v = transformer(
        QwenImagePipeline._pack_latents(z_t, batch, channels, height, width),
        encoder_hidden_states=text.embeddings,
        encoder_hidden_states_mask=None if bool(text.real.all()) else text.real,
        timestep=t,
        img_shapes=[[(1, height // 2, width // 2)]] * batch,
    ).sample
    unpacked: Tensor = QwenImagePipeline._unpack_latents(v, height, width, 1)[:, :, 0]
    return unpacked


def _z_image(transformer: Any, z_t: Tensor, t: Tensor, text: Text) -> Tensor:
    """Its time runs from noise to picture, and so does its velocity."""
    texts = [own[real] for own, real in zip(text.embeddings, text.real, strict=True)]
    told = transformer(list(z_t[:, :, None].unbind()), 1 - t, texts).sample
    return -torch.stack(told)[:, :, 0]


def _guidance(transformer: Any, z_t: Tensor) -> Tensor | None:
    return z_t.new_full((len(z_t),), UNGUIDED) if transformer.config.guidance_embeds else None


VELOCITIES: dict[str, Callable[[Any, Tensor, Tensor, Text], Tensor]] = {
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux2,
    "QwenImageTransformer2DModel": _qwen_image,
    "ZImageTransformer2DModel": _z_image,
}
"""By the transformer's class."""
