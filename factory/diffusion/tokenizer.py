"""A vocabulary of one's own in CLIP's format: every word of the captions is one token.

The green-token attention loss (Eq. 3) needs `green</w>` as one id at a fixed index; a small text encoder learns
whole words far sooner than pieces. Files and rules are CLIP's, so plain `CLIPTokenizer` reads the result.
"""

import json
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Regex, normalizers, pre_tokenizers

from factory.greenscreen.colours import KEY_COLOURS

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
TEMPLATE_WORDS = ("screen", ",", *KEY_COLOURS)

# CLIP's own splitting: contractions, runs of letters, single digits, runs of anything else; then bytes as letters.
NORMALISER = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
SPLITTER = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(
            Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True
        ),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)

Merge = tuple[str, str]


def split_words(text: str) -> list[str]:
    """The words CLIP sees in a text, lower case, punctuation apart, each written in CLIP's byte alphabet."""
    return [word for word, _ in SPLITTER.pre_tokenize_str(NORMALISER.normalize_str(text))]


def build_tokenizer(captions: Iterable[str], max_length: int) -> "CLIPTokenizer":
    """CLIP-style byte-pair vocabulary in which each word of the captions and of the prompt template is one token.

    Any other text still encodes, byte by byte at worst. Depends on the set of words only, not on their order.
    max_length: the text encoder's number of positions, start and end token included.
    """
    from transformers import CLIPTokenizer  # noqa: PLC0415  (a second; who only counts tokens does without)

    words = {*TEMPLATE_WORDS}.union(*(split_words(caption) for caption in captions))
    merges = learn_merges(sorted(words, key=lambda word: (len(word), word)))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + END_OF_WORD for letter in alphabet), *map("".join, merges), START, END]
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), dict.fromkeys(tokens), merges)
        return CLIPTokenizer.from_pretrained(folder, model_max_length=max_length)


def write_files(folder: Path, tokens: Iterable[str], merges: Iterable[Merge]) -> None:
    """The two files that every CLIP tokenizer reads: vocab.json (token -> id, in the order given) and merges.txt."""
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def learn_merges(words: Iterable[str]) -> list[Merge]:
    """Merges, by rank, under which each word becomes one token.

    A word's pieces under the merges so far are joined from the left until one is left. A new merge ranks last, and
    is tried only where no earlier one fits: so a word that is whole stays whole whatever is added after it.
    """
    ranks: dict[Merge, int] = {}
    for word in words:
        while len(pieces := apply_merges(word, ranks)) > 1:
            ranks[pieces[0], pieces[1]] = len(ranks)
    return list(ranks)


def apply_merges(word: str, ranks: dict[Merge, int]) -> list[str]:
    """Byte-pair encoding of one word: the pair of the lowest rank is joined, leftmost first, until none is known."""
    pieces = [*word[:-1], word[-1] + END_OF_WORD]
    while known := [(ranks[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in ranks]:
        _, i = min(known)
        pieces[i : i + 2] = ["".join(pieces[i : i + 2])]
    return pieces
