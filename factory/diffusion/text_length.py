"""How many tokens of a prompt a model reads, told from its folder without loading it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory.diffusion.clip_vocabulary import read_tokenizer
from factory.models.clip_words import word_files, words_of
from factory.models.folder import read_mapping

END = "<|endoftext|>"  # CLIP's


@dataclass(frozen=True)
class TextLength:
    """most: tokens that the text encoder is given, begin and end included; what comes after them is cut off.

    of: the tokens of a text, begin and end included.
    """

    most: int
    of: Callable[[str], int]


def text_length(folder: Path, words: Path | None = None) -> TextLength | None:
    """Of a model folder whose tokenizers are all CLIP's; None for another kind, that reads more than CLIP does.

    words: where CLIP's vocabulary lies, if not in the folder.
    """
    places = sorted(folder.glob("tokenizer*"))
    lengths = [_length(place, words or place) for place in places]
    if not places or None in lengths:
        return None
    tokenizer = read_tokenizer(words or places[0])
    shortest = min(length for length in lengths if length)
    return TextLength(shortest, lambda text: len(tokenizer.encode(text).ids) + 2)


def _length(place: Path, words: Path) -> int | None:
    config = place / "tokenizer_config.json"
    if not word_files(words) or END not in words_of(words) or not config.is_file():
        return None
    length = read_mapping(config).get("model_max_length")
    return length if isinstance(length, int) else None
