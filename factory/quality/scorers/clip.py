"""CLIP (Radford et al., 2021) as scorers use it: pictures and texts as directions in one space.

Pictures are prepared as CLIP's were: the shorter side to the network's own (bicubic, antialiased), the middle square,
CLIP's mean and deviation. So a square stays whole, and of others the ends are not seen.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from factory.errors import UsageError
from factory.models.clip_words import check_count
from factory.models.device import CPU, Device
from factory.models.part import load_part
from factory.quality.scorers.scorer import View
from factory.sample import Picture


class Clip:
    """One CLIP on one device, in float32.

    pictures: of a View.  texts: of a tuple of them; what is longer than the encoder reads (77 tokens) is cut off.
    Both give (B, D) float32 on the CPU, of length 1, and remember the last: scorers ask for the same one in turn.
    """

    def __init__(self, folder: Path, device: Device) -> None:
        self._device = device
        self._model = whole(CLIPModel, folder).to(device.torch)
        self._tokenizer = cache(lambda: _tokenizer(folder, self._model.config.text_config.vocab_size))
        self.pictures = lru_cache(maxsize=1)(self._pictures)
        self.texts = lru_cache(maxsize=1)(self._texts)

    def _pictures(self, view: View) -> Tensor:
        model = self._model
        pixels = prepared(view.pictures, model.config.vision_config.image_size)
        return through(
            lambda inputs: normalize(model.visual_projection(model.vision_model(inputs).pooler_output)),
            pixels,
            self._device,
        )

    def _texts(self, texts: tuple[str, ...]) -> Tensor:
        model = self._model
        positions = model.config.text_config.max_position_embeddings
        # No mask is needed: what a token is told comes from those before it, and the first end tells the whole.
        tokens = self._tokenizer()(
            list(texts), padding="max_length", truncation=True, max_length=positions, return_tensors="pt"
        ).input_ids
        return through(
            lambda inputs: normalize(model.text_projection(model.text_model(inputs).pooler_output)),
            tokens,
            self._device,
        )


def prepared(pictures: Sequence[Picture | None], side: int) -> Tensor:
    """(B, 3, side, side) float32 as CLIP wants them; zeros where there is no picture."""
    prepare = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    pixels = torch.zeros(len(pictures), 3, side, side)
    for index, picture in enumerate(pictures):
        if picture is not None:
            pixels[index] = prepare(picture, return_tensors="pt", input_data_format="channels_last").pixel_values[0]
    return pixels


def through(network: Callable[[Tensor], Tensor], inputs: Tensor, device: Device) -> Tensor:
    """What a network makes of a batch, (B, …) on the CPU.

    Whole on a GPU, with the same algorithms each time and products of all bits. One by one on a CPU: there a batch is
    no quicker, and the last bits of a sum would depend on the place in it.
    """
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        if device.torch == CPU.torch:
            return torch.cat([network(one) for one in torch.split(inputs, 1)])
        return network(inputs.to(device.torch)).cpu()


def whole(kind: Any, folder: Path) -> Any:
    """A network of all its weights, in float32, frozen. Raises UsageError."""
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    return load_part(kind, folder, dtype=torch.float32).eval().requires_grad_(False)


def _tokenizer(folder: Path, most: int) -> Any:
    """The words of an encoder that knows so many tokens."""
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise anything for damaged files
        raise UsageError(f"{folder}: its tokenizer cannot be loaded ({error}): copy the model again, whole.") from error
    check_count(folder, len(tokenizer))
    if len(tokenizer) > most:
        raise UsageError(
            f"{folder}: its tokenizer has {len(tokenizer):,} tokens, and its text encoder knows {most:,}: copy the "
            "model again, whole."
        )
    return tokenizer
