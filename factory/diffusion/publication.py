"""What lies beside a trained model's weights: how to sample it, which words it knows, its card.

Everything here is made from the settings, the log and the manifests of the data, so it can be made after the training.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from factory.diffusion import model_card, training_sets
from factory.diffusion.model_files import read_json
from factory.diffusion.settings import DEFAULTS_FILE, SamplerSettings, default_settings
from factory.diffusion.train_settings import TrainSettings
from factory.diffusion.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary, words_of, write_vocabulary
from factory.shards.commit import write_durably, write_json


def complete(settings: TrainSettings, out: Path) -> None:
    """Add to OUT/model what it lacks. sampler.json follows the recipe; a card that someone has edited stays."""
    model = out / "model"
    sampler = sampler_settings(settings)
    if not (model / DEFAULTS_FILE).is_file() or default_settings(model) != sampler:
        write_json(model / DEFAULTS_FILE, asdict(sampler), out)
    card = model / "README.md"
    small = not settings.base or (Path(settings.base) / VOCABULARY_FILE).is_file()
    if card.is_file() and ((model / VOCABULARY_FILE).is_file() or not small):
        return
    sets = [training_sets.facts(folder) for folder in settings.data]
    if small:
        write_vocabulary(vocabulary(settings, sets), model)
    if not card.is_file():
        text = model_card.model_card(model_card.Training.read(settings, out), sets, sampler, read_vocabulary(model))
        write_durably(card, text.encode(), out)


def sampler_settings(settings: TrainSettings) -> SamplerSettings:
    """As the recipe says; else the base's, or for fresh networks those under which pictures were drawn in training.

    A small model has never seen the words of the usual negative prompt.
    """
    if settings.sampler is not None:
        return settings.sampler
    if settings.base:
        return default_settings(Path(settings.base))
    return SamplerSettings(negative_prompt="", guidance=settings.picture_guidance)


def vocabulary(settings: TrainSettings, sets: Iterable[training_sets.SetFacts]) -> Vocabulary:
    """The words of the captions; a small base's own go on being known."""
    base = read_vocabulary(Path(settings.base)) if settings.base else None
    known = base or Vocabulary(words=(), classes=(), colours=())
    sets = list(sets)
    words = {*known.words, *(word for one in sets for caption in one.captions for word in words_of(caption))}
    return Vocabulary(
        words=tuple(sorted(words)),
        classes=tuple(dict.fromkeys([*known.classes, *(name for one in sets for name in one.classes)])),
        colours=tuple(dict.fromkeys([*known.colours, *(colour for colour in settings.colours if colour in words)])),
    )
