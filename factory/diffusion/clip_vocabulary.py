"""The words of a tokenizer of CLIP's, read from its files without loading a model.

A tokenizer's folder with configurations alone loads without an error, as one of two tokens: every word is the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.errors import UsageError
from factory.models.folder import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAIR = ("vocab.json", "merges.txt")  # as published; transformers 5 writes all into one
WHOLE = "tokenizer.json"
BYTES = 512  # tokens that it has at least: each byte, within a word and at its end


def word_files(folder: Path) -> Sequence[Path]:
    """The files in which a folder has its words; none where it has not."""
    pair = [folder / name for name in PAIR]
    if all(path.is_file() for path in pair):
        return pair
    return [folder / WHOLE] if (folder / WHOLE).is_file() else []


def words_of(folder: Path) -> Mapping[str, Any]:
    """Each token and its number; {} where there are none. Raises UsageError for files that cannot be read."""
    files = word_files(folder)
    content = read_json(files[0]) if files else {}
    if isinstance(content, dict) and len(files) == 1:
        model = content.get("model")
        content = model.get("vocab") if isinstance(model, dict) else {}
    return content if isinstance(content, dict) else {}


def check_words(folder: Path) -> None:
    """Raises UsageError for a tokenizer that knows fewer words than there are bytes."""
    if (count := len(words_of(folder))) < BYTES:
        raise UsageError(
            f"{folder} knows {count} tokens only, so all words would be the same: copy it again, with "
            f"{' and '.join(PAIR)} or {WHOLE}."
        )


def read_tokenizer(folder: Path) -> "Tokenizer":
    """What splits texts into tokens, without begin and end. Raises UsageError for files that it cannot be made of."""
    from tokenizers import Tokenizer  # noqa: PLC0415  (planning alone needs it)
    from tokenizers.models import BPE  # noqa: PLC0415

    from factory.diffusion.tokenizer import END, END_OF_WORD, NORMALISER, SPLITTER  # noqa: PLC0415

    files = [str(path) for path in word_files(folder)]
    try:
        model = Tokenizer.from_file(files[0]).model if len(files) == 1 else BPE.from_file(*files, unk_token=END)
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"{folder} has words or merges that cannot be read ({error}): copy it again.") from error
    model.end_of_word_suffix = END_OF_WORD
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = NORMALISER, SPLITTER
    return tokenizer
