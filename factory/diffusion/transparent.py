"""Pictures that come with α as a source of samples: checked, padded, set on a pure screen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from factory.diffusion.batches import in_batches
from factory.diffusion.layerdiffuse.padding import padded
from factory.diffusion.routing import Routing
from factory.diffusion.vocabulary import without_screen
from factory.errors import DataError, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.sample import GENERATED, Origin, Request, Sample

SURE = 2  # levels beside 0 and 255 that a decoder's 0 and 1 may miss
FARTHEST = 1.5  # that floats which mean 0..1 may overshoot to
OPAQUE = 0.99  # share of opaque pixels from which there is no transparent background


class TransparentSource:
    """A `factory.sample.Source` of pictures with α.

    paint: prompts and seeds to pictures (H, W, 4) of straight colour and α: floats in 0..1, or levels.
    key: the screen that objects are set on, unless the routing chooses each one's.  template: with {prompt} in it.
    about: what each sample's origin says of what painted it.
    """

    def __init__(
        self,
        paint: Callable[[list[str], list[int]], Any],
        batch_size: int,
        *,
        key: KeyName,
        template: str,
        routing: Routing | None,
        about: Mapping[str, Any],
    ) -> None:
        self.paint, self.batch_size, self.template = paint, batch_size, template
        self.key, self.routing, self.about = key, routing, about

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        """One batch, in the order asked; shorter than `batch_size` it is padded: networks see one shape."""
        return in_batches(requests, self.batch_size, self._paint)

    def _paint(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        prompts = [self.template.replace("{prompt}", without_screen(one.item["prompt"])) for one in requests]
        pictures = list(self.paint(prompts, [request.seed for request in requests]))
        if len(pictures) != len(requests):
            raise UsageError(f"{self.about['source']} gave {len(pictures)} pictures for {len(requests)} prompts.")
        return [self._sample(*one) for one in zip(requests, prompts, pictures, strict=True)]

    def _sample(self, request: Request, prompt: str, picture: Any) -> Sample | DataError:
        key = self.key if self.routing is None else self.routing.key(request.item, request.reasons)
        origin = Origin(
            kind="generated",
            class_name=request.item.get("class", ""),
            caption=request.item.get("caption", ""),
            prompt=prompt,
            attributes=tuple(request.item.get("attributes", ())),
            key_rgb=KEY_COLOURS[key],
            ai_generated=True,
            digital_source_type=GENERATED,
            **self.about,
        )
        try:
            rgba = levels_of(picture)
            colours = as_levels(padded(rgba))
            return painted(request, origin, colours, rgba[..., 3], FramingSettings(size=0, key=key))
        except DataError as fault:
            return fault


def levels_of(picture: Any) -> Any:
    """(H, W, 4) uint8 of a picture with α; next to 0 and 255 its α is exactly that.

    Raises DataError: nan, levels (out of range), no_alpha (three channels), opaque (no transparent background), empty.
    """
    pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise DataError("no_alpha", f"the picture comes as {pixels.shape}, without alpha: (height, width, 4) is asked")
    if np.issubdtype(pixels.dtype, np.integer):
        if pixels.min() < 0 or pixels.max() > 255:
            raise DataError("levels", f"its numbers go from {pixels.min()} to {pixels.max()}: levels are 0 to 255")
    else:
        unit = np.asarray(pixels, np.float32)
        if not np.isfinite(unit).all():
            raise DataError("nan", "the model's numbers overflowed for this prompt and seed: there is no picture")
        if unit.max() > FARTHEST:
            raise DataError("levels", f"its numbers go up to {unit.max():.4g}: floats are 0 to 1, levels whole numbers")
        pixels = as_levels(unit)
    rgba = np.array(pixels, np.uint8)
    alpha = rgba[..., 3]
    alpha[alpha <= SURE] = 0
    alpha[alpha >= 255 - SURE] = 255
    if not alpha.any():
        raise DataError("empty", "the picture is transparent all over")
    if float(np.mean(alpha == 255)) >= OPAQUE:
        raise DataError("opaque", "the picture is opaque all over: the model painted a background")
    return rgba
