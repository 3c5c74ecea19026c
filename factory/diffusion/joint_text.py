"""What joint transformers are told of prompts, as each pipeline asks its text encoders, and where a word stands in it.

Everything here is frozen in a training, so that each prompt is read once.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from factory.diffusion.joint_models import Text
from factory.errors import UsageError


def read_text(pipeline: Any, prompts: Sequence[str], words: Sequence[slice], length: int) -> Text:
    """Text of the prompts, one word each.

    pipeline: of `READERS`, with text encoders and tokenizers. words: the characters of each prompt's word; an empty
    slice for none. length: the most tokens that are read, a pipeline's `max_sequence_length`. Raises UsageError where a
    word is not among them.
    """
    with torch.no_grad():
        text = READERS[type(pipeline).__name__](pipeline, list(prompts), words, length)
    for prompt, word, found in zip(prompts, words, text.words[..., 0].any(dim=1), strict=True):
        if prompt[word] and not found:
            raise UsageError(f'no token "{prompt[word]}" is left of the prompt "{prompt}": shorten the caption')
    return text


def own_length(pipeline: Any) -> int:
    """How many tokens the pipeline reads when it paints: a training should, where padding is read too."""
    return int(inspect.signature(pipeline.__call__).parameters["max_sequence_length"].default)


def _sd3(pipeline: Any, prompts: list[str], words: Sequence[slice], length: int) -> Text:
    """CLIP's tokens, then T5's; each has the word. Where T5 was left out to save memory, its tokens are nothing."""
    embeddings, _, pooled, _ = pipeline.encode_prompt(
        prompts, None, None, do_classifier_free_guidance=False, max_sequence_length=length
    )
    real, found = _places(pipeline.tokenizer, prompts, words, pipeline.tokenizer_max_length)
    nothing = torch.zeros(len(prompts), length, dtype=torch.bool)
    its = _places(pipeline.tokenizer_3, prompts, words, length) if pipeline.text_encoder_3 else (nothing, nothing)
    return Text(embeddings, torch.cat([real, its[0]], dim=1), torch.cat([found, its[1]], dim=1)[..., None], pooled)


def _flux(pipeline: Any, prompts: list[str], words: Sequence[slice], length: int) -> Text:
    embeddings, pooled, _ = pipeline.encode_prompt(prompts, max_sequence_length=length)
    real, found = _places(pipeline.tokenizer_2, prompts, words, length)
    return Text(embeddings, real, found[..., None], pooled)


def _flux2(pipeline: Any, prompts: list[str], words: Sequence[slice], length: int) -> Text:
    embeddings, _ = pipeline.encode_prompt(prompts, max_sequence_length=length)
    real, found = _places(pipeline.tokenizer, *_as_chat(pipeline, prompts, words, thinking=False), length)
    return Text(embeddings, real, found[..., None])


def _z_image(pipeline: Any, prompts: list[str], words: Sequence[slice], length: int) -> Text:
    chats = _as_chat(pipeline, prompts, words, thinking=True)
    own, _ = pipeline.encode_prompt(prompts, do_classifier_free_guidance=False, max_sequence_length=length)
    real, found = _places(pipeline.tokenizer, *chats, length)
    return _closed_up(own, [mine[its] for mine, its in zip(found, real, strict=True)])


def _qwen_image(pipeline: Any, prompts: list[str], words: Sequence[slice], length: int) -> Text:
    """Without the beginning, in which all prompts are the same."""
    template, skipped = pipeline.prompt_template_encode, pipeline.prompt_template_encode_start_idx
    chats = _moved([template.format(prompt) for prompt in prompts], prompts, words)
    real, found = _places(pipeline.tokenizer, *chats, pipeline.tokenizer_max_length + skipped)
    embeddings, mask = pipeline.encode_prompt(prompts, max_sequence_length=length)
    counts = [len(row) for row in embeddings] if mask is None else mask.sum(dim=1).tolist()
    own = [row[:count] for row, count in zip(embeddings, counts, strict=True)]
    kept = [mine[its][skipped:][:length] for mine, its in zip(found, real, strict=True)]
    return _closed_up(own, kept)


READERS: dict[str, Callable[[Any, list[str], Sequence[slice], int], Text]] = {
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
    "Flux2KleinPipeline": _flux2,
    "QwenImagePipeline": _qwen_image,
    "ZImagePipeline": _z_image,
}
"""By the pipeline's class."""

UNPADDED = frozenset({"QwenImagePipeline", "ZImagePipeline"})
"""Whose transformers never see padding; the others read as many tokens of it as it takes."""


def _as_chat(
    pipeline: Any, prompts: list[str], words: Sequence[slice], *, thinking: bool
) -> tuple[list[str], list[slice]]:
    """What the language model is asked, and where the words stand in that."""
    chats = [
        pipeline.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        for prompt in prompts
    ]
    return _moved(chats, prompts, words)


def _moved(chats: list[str], prompts: list[str], words: Sequence[slice]) -> tuple[list[str], list[slice]]:
    """Templates may strip a prompt."""
    starts = [
        chat.rindex(prompt.strip()) - (len(prompt) - len(prompt.lstrip()))
        for chat, prompt in zip(chats, prompts, strict=True)
    ]
    return chats, [slice(start + word.start, start + word.stop) for start, word in zip(starts, words, strict=True)]


def _places(tokenizer: Any, texts: list[str], words: Sequence[slice], length: int) -> tuple[Tensor, Tensor]:
    """Which of `length` tokens are no padding, and which have a character of the word: (B, length) bool each."""
    read = tokenizer(
        texts,
        padding="max_length",
        max_length=length,
        truncation=True,
        return_tensors="pt",
        return_offsets_mapping=True,
    )
    first, behind = read.offset_mapping.unbind(dim=-1)
    start, stop = torch.tensor([(word.start, word.stop) for word in words]).T[..., None]
    return read.attention_mask.bool(), (first < stop) & (behind > start) & (first < behind)


def _closed_up(embeddings: Sequence[Tensor], found: Sequence[Tensor]) -> Text:
    """Texts of several lengths, (S_i, D) and (S_i,), with padding behind."""
    lengths = torch.tensor([len(own) for own in embeddings])
    real = torch.arange(int(lengths.max())) < lengths[:, None]
    words = pad_sequence(list(found), batch_first=True)
    return Text(pad_sequence(list(embeddings), batch_first=True), real, words[..., None])
