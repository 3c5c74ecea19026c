"""Words that a text encoder learns from a file: textual inversion (Gal et al. 2022)."""

from collections.abc import Mapping

import torch
from tokenizers import AddedToken
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from factory.errors import UsageError


@torch.no_grad()
def add_words(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, words: Mapping[str, Tensor]) -> None:
    """Make each word one token of its own, in place.  words: by word its embedding (D,).

    Raises UsageError for a word that is a token already, and for an embedding of another width.
    """
    if not words:
        return
    width = int(text_encoder.config.hidden_size)
    for word, embedding in words.items():
        if embedding.shape != (width,):
            raise UsageError(
                f"the word {word} has an embedding of {tuple(embedding.shape)}, the model needs ({width},)."
            )
        if tokenizer.convert_tokens_to_ids(word) != tokenizer.unk_token_id:
            raise UsageError(f"the word {word} is a token of the model already: rename it in the file that brings it.")
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = text_encoder.get_input_embeddings().weight
    for word, embedding in words.items():
        table[tokenizer.convert_tokens_to_ids(word)] = embedding.to(table)
    text_encoder.requires_grad_(requires_grad=False)
