"""Latents of flow-matching models, normalised as each transformer is used to.

An `AutoencoderKL` has one shift and one scale, Qwen-Image's a mean and a deviation of each channel, and Flux 2's of
each channel of its 2×2 patches. To the outside a latent picture is (B, C, h, w) in all three.
"""

from typing import Any

from diffusers import Flux2KleinPipeline
from torch import Tensor

from factory.diffusion.matting_head import decoder_features, frame_features


def encode(vae: Any, x: Tensor) -> Tensor:
    """Pictures x (B, 3, H, W) in −1..1 → z0 (B, C, h, w) float32, the posterior's mean as the transformer knows it."""
    x = x.to(vae.dtype)
    if is_of_frames(vae):
        frames: Tensor = vae.encode(x[:, :, None]).latent_dist.mean[:, :, 0].float()
        mean, scale = _of_channels(vae, frames)
        return (frames - mean) / scale
    latents: Tensor = vae.encode(x).latent_dist.mean.float()
    if hasattr(vae, "bn"):
        mean, scale = _of_patches(vae)
        return _unpatched((_patched(latents) - mean) / scale)
    shift, factor = _of_all(vae)
    return (latents - shift) * factor


def unnormalised(vae: Any, z: Tensor) -> Tensor:
    """What the decoder takes for z (B, C, h, w) as the transformer knows it; of the same shape."""
    if is_of_frames(vae):
        mean, scale = _of_channels(vae, z)
        return z * scale + mean
    if hasattr(vae, "bn"):
        mean, scale = _of_patches(vae)
        return _unpatched(_patched(z) * scale + mean)
    shift, factor = _of_all(vae)
    return z / factor + shift


def features(vae: Any, z: Tensor) -> Tensor:
    """f_decoder (B, C, H, W) of z as the transformer knows it: what the matting head reads. C is `feature_width`."""
    latents = unnormalised(vae, z).to(vae.dtype)
    return frame_features(vae, latents) if is_of_frames(vae) else decoder_features(vae, latents)


def feature_width(vae: Any) -> int:
    """How many channels the matting head reads."""
    return int(vae.decoder.conv_out.in_channels)


def is_of_frames(vae: Any) -> bool:
    """Whether it is for clips, of which a picture is one frame: Qwen-Image's."""
    return type(vae).__name__ == "AutoencoderKLQwenImage"


def _of_all(vae: Any) -> tuple[float, float]:
    return float(vae.config.shift_factor or 0), float(vae.config.scaling_factor)


def _of_channels(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, scale = like.new_tensor(vae.config.latents_mean), like.new_tensor(vae.config.latents_std)
    return mean.view(1, -1, 1, 1), scale.view(1, -1, 1, 1)


def _of_patches(vae: Any) -> tuple[Tensor, Tensor]:
    variance = vae.bn.running_var + vae.config.batch_norm_eps
    return vae.bn.running_mean.view(1, -1, 1, 1), variance.sqrt().view(1, -1, 1, 1)


def _patched(latents: Tensor) -> Tensor:
    patches: Tensor = Flux2KleinPipeline._patchify_latents(latents)
    return patches


def _unpatched(patches: Tensor) -> Tensor:
    latents: Tensor = Flux2KleinPipeline._unpatchify_latents(patches)
    return latents
