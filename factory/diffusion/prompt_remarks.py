"""What a model will make of a list of prompts, in sentences: what it leaves out, does not read, was never taught."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TypeAlias

from factory.diffusion.text_length import text_length
from factory.diffusion.vocabulary import Vocabulary, screen_prompt, unknown_words, words_of
from factory.errors import count_of, some
from factory.greenscreen.colours import KeyName

WARNINGS = 5  # of unknown words; for more of them one remark about the whole list
NAMED = 3  # prompts and words that it names
SHOWN = 60  # letters of a prompt in a sentence

Rows: TypeAlias = Sequence[Mapping[str, str]]
"""What to paint, as `sources/prompts.py` lists it: prompt and class."""

Strangers: TypeAlias = Mapping[str, set[str]]
"""Words that a model was never taught, in the list's order → the lines that have them."""


def line_of(row: Mapping[str, str]) -> str:
    """What the row's line in the list was: a class in ten colours is one line, a grammar's prompts are each one."""
    return row["prompt"] if "attributes" in row else row["class"] or row["prompt"]


def unused(rows: Rows, n: int) -> list[str]:
    """A remark where fewer samples are asked than there are lines: the first rows are one a line."""
    lines = len({line_of(row) for row in rows})
    if n >= lines:
        return []
    return [f"only the first {n:,} of {lines:,} prompts will be painted: --n {lines} paints each once."]


def cut_off(rows: Rows, written: Callable[[str], str], folder: Path, words: str | None = None) -> list[str]:
    """A remark about prompts whose end the model does not read.  written: a prompt as it is given to the model.

    words: the folder of the model's vocabulary, if that lies elsewhere.
    """
    length = text_length(folder, Path(words) if words else None)
    if length is None:
        return []
    long = list(dict.fromkeys(line_of(row) for row in rows if length.of(written(row["prompt"])) > length.most))
    if not long:
        return []
    of_all = f"{len(long):,} of {len({line_of(row) for row in rows}):,} prompts {'is' if len(long) == 1 else 'are'}"
    example = shorten(long[0], SHOWN, placeholder="…")
    return [
        f"{of_all} longer than the {length.most} tokens that this model reads, and the end is not painted: shorten it, "
        f"for example in {example!r}."
    ]


def never_used(added: Sequence[str], texts: Sequence[str]) -> list[str]:
    """A remark about new words that stand in none of the texts, where a plan has such.  texts: all that are read."""
    unused = [word for word in added if not any(word in text for text in texts)]
    return [f"no prompt has {some(unused)}: write it into the prompts as it stands here."] if unused else []


def never_taught(rows: Rows, key: KeyName, known: Vocabulary, added: Sequence[str] = ()) -> Strangers:
    """Each word that the model has never seen, in the list's order, with the lines that have it.

    The screen's prefix is no word of a prompt, typed or not.  added: words that it learns from files.
    """
    prefix, words = screen_prompt("", key), set(known.words)
    found: dict[str, set[str]] = {}
    for row in rows:
        body = screen_prompt(row["prompt"], key).removeprefix(prefix)
        for word in added:
            body = body.replace(word, " ")  # wherever it stands, as tokenizers cut it out
        for word in words_of(body):
            if word not in words:
                found.setdefault(word, set()).add(line_of(row))
    return found


def refusal(strangers: Strangers) -> str:
    count = len(set().union(*strangers.values()))
    return (
        f"--strict-words: {count_of(count, 'prompt has', 'prompts have')} words that the model was never taught "
        f"({some(list(strangers))}): take them out, or train a bigger model for them."
    )


def unknown(strangers: Strangers, rows: Rows, known: Vocabulary) -> list[str]:
    """A warning for each word that the model has never seen; if there are many, what it knows of the list."""
    if len(strangers) > WARNINGS:
        strange = set().union(*strangers.values())
        return [_share({line: line not in strange for line in map(line_of, rows)}, list(strangers))]
    return [
        f"the model does not know the word {word!r}" + (f"; the nearest it knows: {', '.join(near)}." if near else ".")
        for word, near in unknown_words(" ".join(sorted(strangers)), known)
    ]


def _share(taught: Mapping[str, bool], strangers: Sequence[str]) -> str:
    """One sentence for a list with many unknown words: how much of it the model knows, and what to do."""
    known = [line for line, whole in taught.items() if whole]
    words = ", ".join(repr(word) for word in strangers[:NAMED])
    mend = "train a bigger model for them, or name one with --model (the report lists all these words)."
    if not known:
        return f"the model knows none of these prompts: it was never taught {words}, …, and paints them poorly: {mend}"
    named = ", ".join(known[:NAMED]) + (", …" if len(known) > NAMED else "")
    return (
        f"the model knows the words of {len(known):,} of these {len(taught):,} prompts ({named}); it was never taught "
        f"those of the other {len(taught) - len(known):,}, for example {words}, and paints these poorly: {mend}"
    )
