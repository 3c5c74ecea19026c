"""DiffuMatting as a source of samples: requests with prompts in, pictures with coarse masks out."""

from collections.abc import Sequence
from typing import Any

from factory.diffusion.batches import in_batches_with
from factory.diffusion.conditions import Condition, Hints, hints, read_all
from factory.diffusion.given.pictures import GivenPictures, Read
from factory.diffusion.routing import Routing
from factory.diffusion.row_pictures import pictures_of
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.vocabulary import screen_prompt
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.sample import GENERATED, Origin, Request, Sample


class DiffuMattingSource:
    """A `factory.sample.Source` that paints with one model on one device.

    A request's item has "prompt" (with or without the screen's prefix), "class" and "caption" ("" or absent if none).
    licence, model: the model's, and the fingerprint of all that paints; for every sample's metadata.
    given: the pictures that sampling begins with, each prompt's own; without them it begins as the settings say.
    routing: chooses each attempt's screen among those of its item; without it all are painted on that of the settings.
    conditions: what the U-Net is told beside the prompts; an item whose own cannot be read fails alone.
    """

    def __init__(
        self,
        pipeline: DiffuMattingPipeline,
        settings: SamplerSettings,
        batch_size: int,
        *,
        licence: str = "",
        routing: Routing | None = None,
        model: str = "",
        given: GivenPictures | None = None,
        conditions: Sequence[Condition[Hints]] = (),
    ) -> None:
        self.settings = settings
        self.routing = routing
        self.batch_size = batch_size
        self.pipeline = pipeline
        self.model = model
        self.licence = licence
        self.given, self.conditions = given, conditions

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One batch, in the order asked; shorter than `batch_size` it is padded: the networks see one shape."""
        return in_batches_with(self._read, requests, self.batch_size, self._sample)

    def _read(self, request: Request) -> tuple[Read | None, Sequence[Any]]:
        if self.settings.coarse == "attention":
            self._objects(request, self._key(request))
        return self.given.read(request) if self.given else None, read_all(self.conditions, request.item)

    def _sample(
        self, requests: Sequence[Request], read: Sequence[tuple[Read | None, Sequence[Any]]]
    ) -> list[Sample | DataError]:
        keys = [self._key(request) for request in requests]
        prompts = [screen_prompt(request.item["prompt"], key) for request, key in zip(requests, keys, strict=True)]
        size = self.pipeline.picture_size(self.settings)
        given = self.given.batch([one for one, _ in read if one], keys, size) if self.given else None
        seeds, told = [request.seed for request in requests], hints(self.conditions, [own for _, own in read])
        objects = None
        if self.settings.coarse == "attention":
            objects = [self._objects(request, key) for request, key in zip(requests, keys, strict=True)]
        painted = self.pipeline.paint(prompts, seeds, self.settings, keys, given=given, hints=told, objects=objects)
        return [
            Sample(request=request, origin=self._origin(request, prompt, key), rgb=rgb, coarse=coarse)
            if finite
            else DataError("nan", "the model's numbers overflowed for this prompt and seed: there is no picture")
            for request, prompt, key, rgb, coarse, finite in zip(requests, prompts, keys, *painted, strict=True)
        ]

    def _objects(self, request: Request, key: KeyName) -> tuple[int, ...]:
        """The tokens of a request's object. Raises DataError."""
        prompt = screen_prompt(request.item["prompt"], key)
        return self.pipeline.objects_in(prompt, request.item.get("class", ""))

    def _key(self, request: Request) -> KeyName:
        if self.routing is None:
            return self.settings.key
        return self.routing.key(request.item, request.reasons)

    def _origin(self, request: Request, prompt: str, key: KeyName) -> Origin:
        origin = Origin(
            kind="generated",
            class_name=request.item.get("class", ""),
            caption=request.item.get("caption", ""),
            prompt=prompt,
            negative_prompt=self.settings.negative_prompt,
            source="DiffuMatting" if self.settings.coarse == "head" else "DiffuMatting, masks from attention",
            licence=self.licence,
            foreground="unmixed",
            model=self.model,
            sampler=self.settings.sampler,
            steps=self.settings.steps,
            guidance=self.settings.guidance,
            start=self.settings.start,
            attributes=tuple(request.item.get("attributes", ())),
            pictures=pictures_of(request.item),
            key_rgb=KEY_COLOURS[key],
            ai_generated=True,
            digital_source_type=GENERATED,
        )
        return self.given.told(origin, request.item) if self.given else origin
