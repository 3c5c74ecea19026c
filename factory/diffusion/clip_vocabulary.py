"""CLIP's tokenizer, made of its files without loading a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from factory.errors import UsageError
from factory.models.clip_words import word_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
    if not isinstance(model, BPE):
        kind = type(model).__name__
        raise UsageError(
            f"{files[0]} is a tokenizer of another kind ({kind}) than CLIP's: copy the model again, whole."
        )
    model.end_of_word_suffix = END_OF_WORD
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = NORMALISER, SPLITTER
    return tokenizer
