"""How many tokens of a prompt a model reads, told from its folder without loading it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory.models.folder import read_json


@dataclass(frozen=True)
class TextLength:
    """most: tokens that the text encoder is given, begin and end included; what comes after them is cut off.

    of: the tokens of a text, begin and end included.
    """

    most: int
    of: Callable[[str], int]


OTHERS = ("tokenizer_2", "tokenizer_3")  # a model that has one of these reads more than CLIP does


def text_length(folder: Path) -> TextLength | None:
    """Of a model folder whose only tokenizer has CLIP's files; None for another kind."""
    files = [folder / "tokenizer" / name for name in ("vocab.json", "merges.txt", "tokenizer_config.json")]
    if not all(file.is_file() for file in files) or any((folder / part).is_dir() for part in OTHERS):
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415  (planning alone needs it)
    from tokenizers.models import BPE  # noqa: PLC0415

    from factory.diffusion.tokenizer import END, END_OF_WORD, NORMALISER, SPLITTER  # noqa: PLC0415

    vocabulary, merges, config = files
    if END not in read_json(vocabulary) or "model_max_length" not in read_json(config):  # another kind of tokenizer
        return None
    tokenizer = Tokenizer(BPE.from_file(str(vocabulary), str(merges), unk_token=END, end_of_word_suffix=END_OF_WORD))
    tokenizer.normalizer, tokenizer.pre_tokenizer = NORMALISER, SPLITTER
    return TextLength(int(read_json(config)["model_max_length"]), lambda text: len(tokenizer.encode(text).ids) + 2)
