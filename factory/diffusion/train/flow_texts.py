"""Every prompt of a training as a joint transformer is told it: read once by frozen text encoders, kept in a file."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.joint_models import Text
from factory.diffusion.joint_text import UNPADDED, read_text
from factory.diffusion.train.no_screen import Prompt
from factory.greenscreen.colours import KeyName
from factory.shards.durable import fsync, reserve, write_json

BATCH = 16


@dataclass(frozen=True)
class PromptTexts:
    """Texts of P distinct prompts, by the rows of those that they were made of.

    of_row: (N,) which of the P a row has. embeddings: a memory map (P, S, D) of bfloat16, as its bits. The rest as in
    `Text`, of P.
    """

    of_row: Tensor
    embeddings: NDArray[np.uint16]
    real: Tensor
    words: Tensor
    pooled: Tensor | None
    unpadded: bool

    def __call__(self, rows: Tensor) -> Text:
        """Of these rows (B,), float32; where nobody sees padding, as long as the longest of them."""
        chosen = self.of_row[rows]
        real = self.real[chosen]
        length = int(real.sum(dim=1).max()) if self.unpadded else real.shape[1]
        bits = torch.from_numpy(self.embeddings[chosen.numpy(), :length])
        pooled = None if self.pooled is None else self.pooled[chosen]
        return Text(bits.view(torch.bfloat16).float(), real[:, :length], self.words[chosen, :length], pooled)


def key_word(prompt: str, template: str, key: KeyName) -> slice:
    """Where the *template's* word of the screen stands (a green dress is not it).

    Nowhere in the empty prompt, and in that of a picture without a screen.
    """
    start = 0 if template == "prefix" else prompt.rfind(key)
    return slice(start, start + len(key)) if prompt and not isinstance(prompt, Prompt) else slice(0, 0)


def read_prompts(
    pipeline: Any, prompts: Sequence[str], words: Sequence[slice], length: int, file: Path, *, made_by: str
) -> PromptTexts:
    """Read them all, or take what lies in `file` if it was made so.

    words: of each prompt, its word's characters. made_by: tells one making of the text encoders from another.
    bfloat16, as such encoders are run: half precision has not the range of what they put out.
    """
    distinct = list(dict.fromkeys(zip(prompts, ((word.start, word.stop) for word in words), strict=True)))
    rest, done = file.with_suffix(".pt"), file.with_suffix(".json")
    said = hashlib.sha256(json.dumps(distinct).encode()).hexdigest()
    content = {"prompts": said, "length": length, "pipeline": type(pipeline).__name__, "made_by": made_by}
    if not done.is_file() or json.loads(done.read_text()) != content:
        done.unlink(missing_ok=True)
        _write(pipeline, distinct, length, file, rest)
        write_json(done, content)
    small = torch.load(rest, weights_only=True)
    index = {one: place for place, one in enumerate(distinct)}
    rows = [index[prompt, (word.start, word.stop)] for prompt, word in zip(prompts, words, strict=True)]
    embeddings = np.memmap(file, np.uint16, "r", shape=tuple(small.pop("shape")))
    return PromptTexts(torch.tensor(rows), embeddings, unpadded=type(pipeline).__name__ in UNPADDED, **small)


def _write(pipeline: Any, distinct: Sequence[tuple[str, tuple[int, int]]], length: int, file: Path, rest: Path) -> None:
    embeddings: np.memmap[Any, np.dtype[np.uint16]] | None = None
    small: dict[str, list[Tensor]] = {"real": [], "words": [], "pooled": []}
    for start in range(0, len(distinct), BATCH):
        prompts, words = zip(*distinct[start : start + BATCH], strict=True)
        text = read_text(pipeline, prompts, [slice(*word) for word in words], length)
        own = text.embeddings.shape[1]
        if embeddings is None:
            most = length if type(pipeline).__name__ in UNPADDED else own
            shape = (len(distinct), most, text.embeddings.shape[2])
            with file.open("wb") as empty:
                reserve(empty.fileno(), 2 * math.prod(shape))
            embeddings = np.memmap(file, np.uint16, "r+", shape=shape)
        bits = text.embeddings.to("cpu", torch.bfloat16).contiguous().view(torch.uint16).numpy()
        embeddings[start : start + len(prompts), :own] = bits
        for name, value in (("real", text.real), ("words", text.words)):
            filled = torch.zeros(len(prompts), embeddings.shape[1], *value.shape[2:], dtype=torch.bool)
            filled[:, :own] = value
            small[name].append(filled)
        small["pooled"] += [] if text.pooled is None else [text.pooled.float().cpu()]
    assert embeddings is not None  # the empty prompt is always among them
    embeddings.flush()
    fsync(file)
    joined = {name: torch.cat(values) if values else None for name, values in small.items()}
    torch.save(joined | {"shape": embeddings.shape}, rest)
    fsync(rest)
