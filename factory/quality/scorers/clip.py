"""CLIP (Radford et al., 2021) as scorers use it: pictures and texts as directions in one space.

Pictures are prepared as CLIP's were: the shorter side to the network's own (bicubic, antialiased), the middle square,
CLIP's mean and deviation. So a square stays whole, and of others the ends are not seen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from factory.errors import UsageError
from factory.models.device import Device
from factory.quality.scorers.scorer import View
from factory.sample import Picture


class Clip:
    """One CLIP on one device, in float32."""

    def __init__(self, folder: Path, device: Device) -> None:
        self._device = device
        self._tokenizer = cache(lambda: CLIPTokenizer.from_pretrained(folder, local_files_only=True))
        self._model = whole(CLIPModel, folder).to(device.torch)
        self.pictures = lru_cache(maxsize=1)(self._pictures)  # scorers that share it see the same view in turn

    def _pictures(self, view: View) -> Tensor:
        """(B, D) float32 on the CPU, of length 1."""
        side = self._model.config.vision_config.image_size
        with exact():
            seen = self._model.vision_model(prepared(view.pictures, side).to(self._device.torch)).pooler_output
            return _directions(self._model.visual_projection(seen))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """(B, D) float32 on the CPU, of length 1. What is longer than the encoder reads (77 tokens) is cut off."""
        positions = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer()(
            list(texts), padding="max_length", truncation=True, max_length=positions, return_tensors="pt"
        ).to(self._device.torch)
        with exact():
            read = self._model.text_model(**tokens).pooler_output
            return _directions(self._model.text_projection(read))


def prepared(pictures: Sequence[Picture | None], side: int) -> Tensor:
    """(B, 3, side, side) float32 as CLIP wants them; zeros where there is no picture."""
    prepare = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    pixels = torch.zeros(len(pictures), 3, side, side)
    for index, picture in enumerate(pictures):
        if picture is not None:
            pixels[index] = prepare(picture, return_tensors="pt", input_data_format="channels_last").pixel_values[0]
    return pixels


@contextmanager
def exact() -> Iterator[None]:
    """Nothing is learnt; on GPUs the same algorithms each time, and products of all bits."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


def whole(kind: Any, folder: Path) -> Any:
    """A network from its folder, in float32. A weight that is not in its files would be random, so it is refused."""
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    try:
        model, report = kind.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{folder} cannot be loaded, its config.json and weights differ: {reason}") from error
    if missing := sorted(report["missing_keys"]):
        raise UsageError(f"{folder} lacks {len(missing)} weights, {missing[0]} among them: copy it again, whole.")
    return model.eval().requires_grad_(False)


def _directions(embeddings: Tensor) -> Tensor:
    return torch.nn.functional.normalize(embeddings, dim=-1).cpu()
