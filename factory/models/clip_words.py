"""The words of a tokenizer of CLIP's, read from its files without loading a model.

A tokenizer's folder with configurations alone loads without an error, as one of two tokens: every word is the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from factory.errors import UsageError
from factory.models.folder import read_json

PAIR = ("vocab.json", "merges.txt")  # as published; transformers 5 writes all into one …
WHOLE = "tokenizer.json"  # … and reads that first, whatever lies beside it
BYTES = 512  # tokens that it has at least: each byte, within a word and at its end


def word_files(folder: Path) -> Sequence[Path]:
    """The files in which a folder has its words; none where it has not."""
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    pair = [folder / name for name in PAIR]
    return pair if all(path.is_file() for path in pair) else []


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
    check_count(folder, len(words_of(folder)))


def check_count(folder: Path, count: int) -> None:
    """The same, of one that was loaded and knows so many."""
    if count < BYTES:
        raise UsageError(
            f"{folder} knows {count} tokens only, so all words would be the same: copy it again, with "
            f"{' and '.join(PAIR)} or {WHOLE}."
        )
