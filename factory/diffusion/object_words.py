"""Where in a prompt its object's words stand, in tokens: what attention is read of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.diffusion.clip_vocabulary import read_tokenizer
from factory.diffusion.text_length import text_length
from factory.diffusion.vocabulary import screen_prompt
from factory.errors import DataError, UsageError

MOST_TOKENS = 8  # of an object's words: the networks always see as many


def object_tokens(text: Sequence[int], words: Sequence[int]) -> tuple[int, ...]:
    """The indices at which the ids of an object's words stand in a text's, where they do so last.

    Last, because the screen's words come first. Raises DataError("no_object_word") where they do not, or are too many.
    """
    count = len(words)
    for start in range(len(text) - count, -1, -1) if 0 < count <= MOST_TOKENS else ():
        if list(text[start : start + count]) == list(words):
            return tuple(range(start, start + count))
    raise DataError("no_object_word", f"the prompt does not hold its class in at most {MOST_TOKENS} tokens")


def check_object_words(rows: Sequence[Mapping[str, str]], folder: Path) -> None:
    """Raises UsageError where a prompt's class is not in what the model reads of it.

    rows: with prompt and class, "" for none.  folder: of the model.
    """
    tokenizer, length = read_tokenizer(folder / "tokenizer"), text_length(folder)
    end = None if length is None else length.most - 1  # where the end's token stands, less the beginning's
    for row in rows:
        try:
            object_tokens(tokenizer.encode(screen_prompt(row["prompt"])).ids[:end], tokenizer.encode(row["class"]).ids)
        except DataError as error:
            raise UsageError(
                f"--coarse attention: of {row['prompt']!r}, {error}: give class names, or name a column with the "
                "object's words with --objects."
            ) from error
