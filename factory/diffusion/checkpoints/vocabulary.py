"""CLIP's vocabulary, which a checkpoint does not hold and which does not ship: found, and counted."""

from collections.abc import Sequence
from pathlib import Path

from factory.errors import UsageError, quoted
from factory.models.clip_words import PAIR, word_files, words_of

FOLDER = "tokenizer"


def find_vocabulary(asked: str, places: Sequence[Path], words: int) -> Path:
    """The folder with its files: the one asked for, or the first `tokenizer/` in these places that has them.

    words: the tokens that the text encoder knows.  Raises UsageError where there are others, or none.
    """
    candidates = [Path(asked)] if asked else [place / FOLDER for place in places]
    found = next(filter(word_files, candidates), None)
    if found is None:
        where = candidates[-1]
        raise UsageError(
            f"{where} has no {' and '.join(PAIR)} of CLIP's, without which a checkpoint reads no words: get them with "
            f"`hf download openai/clip-vit-large-patch14 {' '.join(PAIR)} --local-dir {quoted(where)}`, or name a "
            "folder that has them with --tokenizer."
        )
    if (count := len(words_of(found))) != words:
        raise UsageError(f"{found} has {count:,} tokens, the checkpoint's text encoder {words:,}: take its own.")
    return found
