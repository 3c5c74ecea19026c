"""Captions written by a model, a stage of batches; or corrected by people, a source around a source."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from factory.errors import DataError
from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import paint_on_screen
from factory.sample import BatchStep, Picture, Request, Sample, Source

Captions: TypeAlias = Callable[[Sequence[Picture]], Sequence[str]]

# A captioner tells what it sees: before a green screen it writes "… on a green background". The set's captions must
# speak of the object alone, for training puts the screen's words in front of them itself. Neutral grey is what a
# captioner mentions least, and of which dark and light objects stand out alike.
GROUND: Colour = (128, 128, 128)
GROUND_WORDS = re.compile(
    r",?\s+(?:isolated |set |placed )?(?:on|against|with|in front of|over) (?:a |an |the )?"
    r"(?:(?:plain|solid|flat|neutral|light|dark|medium) )*gr[ae]y (?:background|backdrop)$",
    re.IGNORECASE,
)
SCREEN_PREFIX = re.compile(r"^green screen\s*,\s*", re.IGNORECASE)


@dataclass(slots=True)
class Captioned:
    """A stage of batches in which samples get their captions from a model; their classes stay.

    Where the model finds no words, the caption that the source gave remains.
    """

    captioner: Captions
    device: str

    def begin(self) -> BatchStep:
        """It remembers nothing."""
        return self._step

    def _step(self, samples: Sequence[Sample]) -> list[Sample | DataError]:
        made = [on_ground(sample) for sample in samples]
        captions = iter(self.captioner([pair[1] for pair in made if not isinstance(pair, DataError)]))
        return [pair if isinstance(pair, DataError) else captioned(pair[0], tidy(next(captions))) for pair in made]


@dataclass(frozen=True, slots=True)
class Recaptioned:
    """A source whose samples get the caption of their request's item; "" or no such column keeps their own."""

    source: Source

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One batch of the inner source with the items' captions."""
        return [
            captioned(sample, str(request.item.get("caption") or "")) if isinstance(sample, Sample) else sample
            for request, sample in zip(requests, self.source(requests), strict=True)
        ]


def captioned(sample: Sample, caption: str) -> Sample:
    """The sample with another caption, of which no agreement was told; an empty one leaves it as it is."""
    if not caption:
        return sample
    scores = replace(sample.scores, text_agreement=-1.0, text_agreement_screen=-1.0)
    return replace(sample, origin=replace(sample.origin, caption=caption), scores=scores)


def tidy(caption: str) -> str:
    """On one line, without quotes and full stop, and without words about the grey ground or a green screen."""
    line = " ".join(caption.split()).strip("\"'“”").rstrip(" .")
    return GROUND_WORDS.sub("", SCREEN_PREFIX.sub("", line)).rstrip(" .,")


def on_ground(sample: Sample) -> tuple[Sample, Picture] | DataError:
    """The sample and its object on neutral grey."""
    if sample.alpha is None or sample.foreground is None:
        return DataError("unfinished", "the sample has no alpha or no foreground, so its object cannot be captioned")
    return sample, paint_on_screen(sample.foreground, sample.alpha, GROUND)
