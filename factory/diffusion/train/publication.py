"""What lies beside a trained model's weights: how to sample it, which words it knows, its card.

Everything here is made from the settings, the log and the manifests of the data, so it can be made after the training.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from factory.diffusion.sample.settings import DEFAULTS_FILE, SamplerSettings, default_settings
from factory.diffusion.train import model_card
from factory.diffusion.train import sets as training_sets
from factory.diffusion.train.report import drawing_settings
from factory.diffusion.train.settings import TrainSettings, is_joint
from factory.diffusion.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary, words_of, write_vocabulary
from factory.settings import said
from factory.shards.durable import write_durably, write_json

CARD_FILE = "README.md"


def complete(settings: TrainSettings, out: Path) -> None:
    """Add to OUT/model what it lacks. sampler.json follows the recipe; a card that someone has edited stays."""
    model = out / "model"
    # A joint model's is of another form, and written with its weights
    sampler = None if is_joint(Path(settings.base)) else sampler_settings(settings)
    if sampler is not None and (not (model / DEFAULTS_FILE).is_file() or default_settings(model) != sampler):
        write_json(model / DEFAULTS_FILE, said(sampler))
    small = not settings.base or (Path(settings.base) / VOCABULARY_FILE).is_file()
    wanted = [CARD_FILE, VOCABULARY_FILE] if small else [CARD_FILE]
    missing = [name for name in wanted if not (model / name).is_file()]
    if not missing:
        return
    sets = [training_sets.facts(folder) for folder in settings.data]
    if VOCABULARY_FILE in missing:
        write_vocabulary(vocabulary(settings, sets), model)
    if CARD_FILE in missing:
        card = model_card.model_card(settings, out, sets, sampler, read_vocabulary(model))
        write_durably(model / CARD_FILE, card.encode())


def sampler_settings(settings: TrainSettings) -> SamplerSettings:
    """As the recipe says; else the base's, or for fresh networks those that drew the pictures of the training.

    The key is always that of the training.
    """
    if settings.sampler is not None:
        chosen = settings.sampler
    elif settings.base:
        chosen = default_settings(Path(settings.base))
    else:
        chosen = drawing_settings(settings)
    return replace(chosen, key=settings.key)


def vocabulary(settings: TrainSettings, sets: Iterable[training_sets.SetFacts]) -> Vocabulary:
    """The words of the captions and the classes to prompt for; a small base's own go on being known."""
    base = read_vocabulary(Path(settings.base)) if settings.base else None
    known = base or Vocabulary(words=(), classes=(), colours=())
    sets = list(sets)
    captions = list(dict.fromkeys(pair for one in sets for pair in one.captions))
    words = {*known.words, *(word for _, caption in captions for word in words_of(caption))}
    palette = {name: set(colours) for name, colours in known.palette.items()}
    for name, caption in captions:
        palette.setdefault(name, set()).update(words_of(caption))
    colours = tuple(dict.fromkeys([*known.colours, *(colour for colour in settings.colours if colour in words)]))
    classes = [*known.classes, *(name for one in sets for name in one.classes)]
    return Vocabulary(
        words=tuple(sorted(words)),
        classes=tuple(name for name in dict.fromkeys(classes) if name not in settings.not_offered),
        colours=colours,
        palette={
            name: seen for name, all_words in palette.items() if (seen := tuple(c for c in colours if c in all_words))
        },
    )
