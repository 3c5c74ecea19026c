"""A pipeline of diffusers that tells coarse masks too: its matting head reads what the decoder makes pictures from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.matting_head import MattingHead
from factory.diffusion.plain.pipeline import PlainPipeline
from factory.diffusion.plain.source import PlainSource
from factory.errors import DataError
from factory.greenscreen.colours import KeyName
from factory.greenscreen.compositing import as_levels
from factory.sample import Request, Sample


class HeadedPipeline(PlainPipeline):
    """As a plain one, with the mask as the fourth channel of each picture."""

    def __init__(self, painter: PlainPipeline, head: MattingHead) -> None:
        super().__init__(painter.pipeline, painter.family)
        self.head = head

    @torch.inference_mode()
    def paint(self, *asked: Any, **more: Any) -> NDArray[np.float32]:
        """(B, H, W, 4) in 0..1; NaN where a picture's numbers overflowed."""
        with decoded_from(self.pipeline.vae) as features:
            pictures = super().paint(*asked, **more)
        masks = torch.cat([self.head(own.to(self.head.device, self.head.dtype)).float().cpu() for own in features])
        return np.concatenate([pictures[..., :3], masks.permute(0, 2, 3, 1).numpy()], axis=-1)


class HeadedSource(PlainSource):
    """A plain source whose pictures come with a coarse mask in place of being keyed."""

    def _sample(self, request: Request, prompt: str, key: KeyName, picture: NDArray[np.float32]) -> Sample | DataError:
        sample = super()._sample(request, prompt, key, picture)
        if isinstance(sample, DataError):
            return sample
        return replace(sample, shot=None, coarse=as_levels(picture[..., 3]))


@contextmanager
def decoded_from(vae: Any) -> Iterator[list[Tensor]]:
    """f_decoder (B, C, H, W) of all that is decoded meanwhile, in order: what enters the decoder's last convolution."""
    features = list[Tensor]()

    def keep(_: Any, entering: tuple[Tensor, ...]) -> None:
        own = entering[0]
        features.append(own[:, :, -1] if own.dim() == 5 else own)  # of a clip's decoder the frame

    hook = vae.decoder.conv_out.register_forward_pre_hook(keep)
    try:
        yield features
    finally:
        hook.remove()
