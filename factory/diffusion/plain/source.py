"""A plain pipeline as a source of samples: requests with prompts in, pictures that are still to be keyed out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.diffusion.batches import in_batches_with
from factory.diffusion.conditions import Condition, arguments, read_all
from factory.diffusion.given.pictures import GivenPictures, Read
from factory.diffusion.plain.pipeline import PlainPipeline
from factory.diffusion.plain.settings import PlainSettings, asked
from factory.diffusion.routing import Routing
from factory.diffusion.row_pictures import pictures_of
from factory.diffusion.vocabulary import without_screen
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.compositing import as_levels
from factory.sample import GENERATED, Origin, Request, Sample, Shot

NAME = "plain"  # of the source, in plans


class PlainSource:
    """A `factory.sample.Source` that paints with one pipeline on one device.

    A request's item has "prompt", "class" and "caption" ("" or absent if none).
    licence, model: the model's, and the fingerprint of all that paints; for every sample's metadata.
    given: the pictures that sampling begins with, each prompt's own; without them it begins as the settings say.
    name: of the source in the plan, which says how its pictures are keyed.
    routing: chooses each attempt's screen among those of its item; without it all are painted on that of the settings.
    conditions: what the pipeline is given beside the prompts; an item whose own cannot be read fails alone.
    """

    def __init__(
        self,
        pipeline: PlainPipeline,
        settings: PlainSettings,
        batch_size: int,
        *,
        licence: str = "",
        routing: Routing | None = None,
        model: str = "",
        given: GivenPictures | None = None,
        conditions: Sequence[Condition[Mapping[str, Any]]] = (),
        name: str = NAME,
    ) -> None:
        self.name = name
        self.pipeline, self.settings = pipeline, settings
        self.batch_size = 1 if any(condition.alone for condition in conditions) else batch_size
        self.licence, self.routing, self.model = licence, routing, model
        self.given, self.conditions = given, conditions

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One batch, in the order asked; shorter than `batch_size` it is padded: the networks see one shape."""
        return in_batches_with(self._read, requests, self.batch_size, self._paint)

    def _read(self, request: Request) -> tuple[Read | None, Sequence[Any]]:
        return self.given.read(request) if self.given else None, read_all(self.conditions, request.item)

    def _paint(
        self, requests: Sequence[Request], read: Sequence[tuple[Read | None, Sequence[Any]]]
    ) -> list[Sample | DataError]:
        keys = [self._key(request) for request in requests]
        prompts = [self._prompt(request, key) for request, key in zip(requests, keys, strict=True)]
        given = None
        if self.given:
            size = self.pipeline.picture_size(self.settings)
            given = self.given.batch([one for one, _ in read if one], keys, size)
        seeds, more = [request.seed for request in requests], arguments(self.conditions, [own for _, own in read])
        painted = self.pipeline.paint(prompts, seeds, self.settings, keys, given=given, more=more)
        return list(map(self._sample, requests, prompts, keys, painted))

    def _key(self, request: Request) -> KeyName:
        return self.settings.key if self.routing is None else self.routing.key(request.item, request.reasons)

    def _prompt(self, request: Request, key: KeyName) -> str:
        template = self.settings.template or self.pipeline.family.template
        return asked(without_screen(request.item["prompt"]), key, template)

    def _sample(self, request: Request, prompt: str, key: KeyName, picture: NDArray[np.float32]) -> Sample | DataError:
        if not np.isfinite(picture).all():
            return DataError("nan", "the model's numbers overflowed for this prompt and seed: there is no picture")
        levels = as_levels(picture[..., :3])
        if not levels.any():
            return DataError(
                "black", "the picture is all black: the model's safety checker made it so, or its precision"
            )
        facts = self.pipeline.facts(self.settings)
        origin = Origin(
            kind="generated",
            class_name=request.item.get("class", ""),
            caption=request.item.get("caption", ""),
            prompt=prompt,
            negative_prompt=self.settings.negative_prompt if self.pipeline.guided(self.settings) else "",
            source=self.pipeline.name,
            licence=self.licence,
            foreground="unmixed",
            model=self.model,
            start=self.settings.start,
            attributes=tuple(request.item.get("attributes", ())),
            pictures=pictures_of(request.item),
            key_rgb=KEY_COLOURS[key],
            ai_generated=True,
            digital_source_type=GENERATED,
            **facts,
        )
        origin = self.given.told(origin, request.item) if self.given else origin
        return Sample(request=request, origin=origin, rgb=np.ascontiguousarray(levels), shot=Shot(source=self.name))
