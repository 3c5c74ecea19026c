"""Words that a text encoder learns from a file: textual inversion (Gal et al. 2022).

A word is one token, or as many as its file has vectors for: then the further ones are called as diffusers calls them,
`<word>_1` and so on, and stand behind it in every prompt that has it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.folder import read_mapping
from factory.models.planned_file import bytes_as_planned, plan_file
from factory.models.weights import shapes_in, weights_file

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = "words"  # of a plan: the words, in the order of their files
OF_A_FAMILY = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}  # keys of XL's files
OF_A1111 = "emb_params"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A file with a word's vectors, and how the word is written in prompts; "" as the file says, or is called."""

    file: Path
    word: str = ""


def said_in_a_flag(text: str) -> Word:
    """`FILE` or `FILE=WORD`."""
    file, _, word = text.partition("=")
    return Word(file=Path(file), word=word)


def plan_words(words: Sequence[Word], folder: Path, draft: Draft) -> None:
    """Freeze the files and the words. Raises UsageError for a file that has no vectors of the model's width."""
    named = list[str]()
    for index, asked in enumerate(words):
        file = weights_file(asked.file, "--word")
        shapes = shapes_in(file)
        for key, shape in shapes.items():
            part = OF_A_FAMILY.get(key, "text_encoder")
            width = _width(folder, part)
            if len(shape) not in (1, 2) or shape[-1] != width:
                raise UsageError(
                    f"--word {file}: {key} has {shape}, the {part} of {folder} reads {width} numbers a token."
                )
        keys = [key for key in shapes if key not in OF_A_FAMILY and key != OF_A1111]
        word = asked.word or (keys[0] if len(keys) == 1 else f"<{file.stem}>")
        if not word.strip() or " " in word or word in named:
            raise UsageError(f"--word {file}: {word!r} is no word of its own: name one with FILE=<word>.")
        named.append(word)
        plan_file(_name(index), file, draft)
    if named:
        draft.settings[SETTINGS] = named
        draft.remarks.append(f"new words for prompts: {', '.join(named)}")


def add_planned(plan: Plan, text_encoders: Mapping[str, Any], tokenizers: Mapping[str, Any]) -> None:
    """A plan's words, into a model. Both by the text encoder's name. Raises InputChanged, UsageError."""
    from safetensors.torch import load  # noqa: PLC0415  (torch takes seconds)

    for index, word in enumerate(plan.settings.get(SETTINGS, ())):
        for key, vectors in load(bytes_as_planned(plan, _name(index))).items():
            part = OF_A_FAMILY.get(key, "text_encoder")
            add_words(tokenizers[part], text_encoders[part], {word: vectors})


def add_words(tokenizer: Any, text_encoder: Any, words: Mapping[str, "Tensor"]) -> None:
    """Make each word a token of its own, or several, in place.  words: by word its embedding (D,) or (N, D).

    Raises UsageError for a word that is a token already, and for an embedding of another width.
    """
    import torch  # noqa: PLC0415
    from tokenizers import AddedToken  # noqa: PLC0415

    if not words:
        return
    width = int(text_encoder.config.hidden_size)
    vectors = dict[str, torch.Tensor]()
    for word, embedding in words.items():
        if embedding.shape[-1] != width or embedding.dim() > 2:
            raise UsageError(
                f"the word {word} has an embedding of {tuple(embedding.shape)}, the model needs ({width},)."
            )
        for number, vector in enumerate(embedding.reshape(-1, width)):
            token = f"{word}_{number}" if number else word
            if tokenizer.convert_tokens_to_ids(token) != tokenizer.unk_token_id:
                raise UsageError(f"the word {token} is a token of the model already: name it otherwise.")
            vectors[token] = vector
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in vectors])
    with torch.no_grad():
        text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        table = text_encoder.get_input_embeddings().weight
        for token, vector in vectors.items():
            table[tokenizer.convert_tokens_to_ids(token)] = vector.to(table)
    text_encoder.requires_grad_(requires_grad=False)


def in_full(prompt: str, tokenizer: Any) -> str:
    """The prompt with all tokens of its new words."""
    added = tokenizer.added_tokens_encoder
    words = [word for word in added if f"{word}_1" in added and word in prompt]
    for word in words:
        tokens, number = [word], 1
        while f"{word}_{number}" in added:
            tokens.append(f"{word}_{number}")
            number += 1
        prompt = prompt.replace(word, " ".join(tokens))
    return prompt


def said_of(plan: Plan) -> str:
    """What a plan's words add to the fingerprint of what paints; "" for none."""
    words = plan.settings.get(SETTINGS, ())
    return json.dumps([[word, plan.weights[_name(index)]] for index, word in enumerate(words)]) if words else ""


def _name(index: int) -> str:
    return f"word_{index}"


def _width(folder: Path, part: str) -> int:
    config = folder / part / "config.json"
    if not config.is_file():
        raise UsageError(f"--word: {folder} has no {part} to learn a word.")
    return int(read_mapping(config).get("hidden_size", 0))
