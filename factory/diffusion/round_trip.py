"""A picture as a model's VAE gives it back: coded into latents and decoded again, with what that loses."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from factory.diffusion import model_files
from factory.errors import InputChanged
from factory.sample import Picture


class RoundTrip:
    """The VAE of a model folder, on the CPU: the bytes must not depend on a device.

    Raises InputChanged where the folder is no longer that of the fingerprint.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        if model_files.fingerprint(folder) != fingerprint:
            raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
        self._vae = AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True).eval().requires_grad_(False)
        self.multiple = 2 ** (len(self._vae.config.block_out_channels) - 1)

    def __call__(self, picture: Picture) -> Picture:
        """The picture again, of the same size; width and height must be multiples of `multiple`."""
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            code = self._vae.encode(pixels).latent_dist.mode()
            decoded = self._vae.decode(code).sample[0]
        levels = (decoded.permute(1, 2, 0) + 1) * 127.5
        return np.asarray(levels.round().clamp(0, 255).byte().numpy(), np.uint8)
