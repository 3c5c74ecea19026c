"""What a network is told of a picture in words, and with Stable Diffusion XL in numbers.

Stable Diffusion 1 and 2 read the last states of one text encoder; how many layers it has is said in its configuration
(2's lacks the last of its original). XL reads the last but one of two encoders side by side, the second one's
projection of the whole text, and sizes (Podell et al. 2023, section 2.2).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from factory.diffusion.model_folder import Components
from factory.diffusion.new_words import in_full
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sizes import Size

TEXT_BATCH = 8  # texts are encoded in batches of one fixed size, so an embedding depends on its text alone
REMEMBERED_TEXTS = 1024  # 236 kB each for Stable Diffusion 1.5 in float32
PENULTIMATE = -2

Told: TypeAlias = tuple[Tensor, ...]
"""Of each text (B, T, D) states, token by token; of XL (B, P), the whole text's projection, too."""


class TextReader:
    """The texts of one model. Each distinct text is encoded once."""

    def __init__(self, components: Components) -> None:
        self.components = components
        self._known: OrderedDict[str, Told] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Told:
        """On the text encoder's device, in its type."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), TEXT_BATCH):
            batch = new[start : start + TEXT_BATCH]
            padded = batch + batch[-1:] * (TEXT_BATCH - len(batch))
            self._known |= zip(batch, zip(*self._encode(padded), strict=True), strict=False)
        for text in texts:
            self._known.move_to_end(text)
        told = zip(*(self._known[text] for text in texts), strict=True)
        stacked = tuple(torch.stack(each) for each in told)
        while len(self._known) > REMEMBERED_TEXTS:
            self._known.popitem(last=False)
        return stacked

    def forget(self) -> None:
        """For when the encoders' weights have changed."""
        self._known.clear()

    def negative(self, text: str) -> Told:
        """The same of one text (1, …) that guidance leads away from; of none, zeros where XL was trained so."""
        told = self([text])
        return told if text or not self.components.zeros_for_empty else tuple(map(torch.zeros_like, told))

    def _encode(self, texts: list[str]) -> Told:
        c = self.components
        if c.text_encoder_2 is None:
            return (read(c.tokenizer, c.text_encoder, texts).last_hidden_state,)
        first = read(c.tokenizer, c.text_encoder, texts, output_hidden_states=True)
        second = read(c.tokenizer_2, c.text_encoder_2, texts, output_hidden_states=True)
        states = [reader.hidden_states[PENULTIMATE] for reader in (first, second)]
        return torch.cat(states, dim=-1), second.text_embeds


def read(tokenizer: Any, text_encoder: Any, texts: Sequence[str], **more: bool) -> Any:
    """What an encoder says of texts, each with all tokens of its new words and filled up to the length it takes."""
    whole = [in_full(text, tokenizer) for text in texts]
    tokens = tokenizer(
        whole, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    return text_encoder(tokens.input_ids.to(text_encoder.device), **more)


def sizes_told(settings: SamplerSettings, size: Size, device: torch.device) -> Tensor:
    """(1, 6) float32, in pixels, as XL's training said of each picture: the height and width it was shrunk from, the
    top and left of the crop, the height and width it is seen at.
    """
    longer = settings.original_size or max(size)
    original = [longer * side / max(size) for side in size]
    return torch.tensor([[*original, *settings.crop, *size]], dtype=torch.float32, device=device)
