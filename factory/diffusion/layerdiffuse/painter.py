"""A Stable Diffusion pipeline that paints with LayerDiffuse's networks: prompts and seeds in, pictures with α out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from factory.diffusion.layerdiffuse.networks import TransparentDecoder, transparent
from factory.diffusion.layerdiffuse.patches import patch
from factory.diffusion.plain.pipeline import PlainPipeline
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.sample.samplers import make_scheduler
from factory.errors import UsageError


class LayerPainter:
    """The pipeline's U-Net is patched when it is made; its own pictures are no longer what they were."""

    def __init__(
        self,
        painter: PlainPipeline,
        settings: PlainSettings,
        patch_file: tuple[Path, bytes],
        decoder_file: tuple[Path, bytes],
    ) -> None:
        """Files with their contents. Raises UsageError where they do not fit the pipeline."""
        self.painter, self.settings = painter, settings
        self.pipeline = painter.pipeline
        patch(self.pipeline.unet, _tensors(*patch_file), patch_file[0])
        self.decoder = TransparentDecoder().eval().requires_grad_(requires_grad=False)
        try:
            weights = {name: value.float() for name, value in _tensors(*decoder_file).items()}
            self.decoder.load_state_dict(weights)
        except RuntimeError as error:
            raise UsageError(f"{decoder_file[0]} is no decoder of LayerDiffuse's: copy it again, whole.") from error
        self.decoder.to(self.pipeline._execution_device)

    @torch.inference_mode()
    def paint(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[NDArray[Any]]:
        """Of each (H, W, 4) straight colours and α, in levels; NaN where its numbers overflowed."""
        pipeline, vae = self.pipeline, self.pipeline.vae
        pipeline.scheduler = make_scheduler(self.painter.own_scheduler, self.settings.sampler or "dpm++2m")
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        call = self.painter.call_with(prompts, self.settings)
        latents = pipeline(**call | {"output_type": "latent"}, generator=generators).images / vae.config.scaling_factor
        picture = (vae.decode(latents.to(vae.dtype), return_dict=False)[0].float() / 2 + 0.5).clamp(0, 1)
        told = transparent(self.decoder, picture, latents.float())
        rgba = torch.cat([told[:, 1:], told[:, :1]], dim=1).permute(0, 2, 3, 1).cpu().numpy()
        # Truncated, as the published code does it.
        return [(one * 255).astype(np.uint8) if np.isfinite(one).all() else one for one in rgba]


def _tensors(file: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return load(content)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{file} is cut short or not a safetensors file ({error}): copy it again") from error
