"""What a model can be asked for: the form of its prompts, and for a small model the words it has seen."""

import json
import re
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path

from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.models.folder import read_json
from factory.shards.durable import write_durably

VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words of a small model's training captions. A big model knows everything and has no such file."""

    words: tuple[str, ...]  # all of them, lower case, those of classes and colours among them
    classes: tuple[str, ...]  # object names to prompt for, in the order to show them
    colours: tuple[str, ...]
    palette: dict[str, tuple[str, ...]] = field(default_factory=dict)  # class → the colours it was seen in, if any


def screen_prompt(prompt: str, key: KeyName = "green") -> str:
    """`green screen, {prompt}`, the form DiffuMatting is trained on; a prompt that has the prefix keeps it.

    In front, as two words: so the colour is always token 1, sees no other word (CLIP's text is causal), and is not
    cut off with a long prompt's end.
    """
    body = re.sub(rf"^\s*{key}\s+screen\s*,\s*", "", prompt, flags=re.IGNORECASE)
    return f"{key} screen, {body.strip()}"


def without_screen(prompt: str) -> str:
    """The prompt without any screen's prefix."""
    return re.sub(rf"^\s*({'|'.join(KEY_COLOURS)})\s+screen\s*,\s*", "", prompt, flags=re.IGNORECASE).strip()


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without digits and punctuation."""
    return re.findall(r"[^\W\d_]+", text.lower())


def unknown_words(prompt: str, vocabulary: Vocabulary) -> list[tuple[str, list[str]]]:
    """Each word of the prompt the model has never seen, with at most three known ones that look like it."""
    known = set(vocabulary.words)
    strangers = [word for word in dict.fromkeys(words_of(prompt)) if word not in known]
    return [(word, get_close_matches(word, sorted(known), n=3, cutoff=0.5)) for word in strangers]


def write_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Put the vocabulary beside the weights."""
    text = json.dumps(asdict(vocabulary), ensure_ascii=False, indent=1)
    write_durably(folder / VOCABULARY_FILE, f"{text}\n".encode())


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The vocabulary of a model folder; None for a model that has no list of words."""
    path = folder / VOCABULARY_FILE
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        palette = {name: tuple(colours) for name, colours in content.pop("palette", {}).items()}
        return Vocabulary(palette=palette, **{name: tuple(words) for name, words in content.items()})
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{path} must hold words, classes, colours and palette: mend or remove it") from error
