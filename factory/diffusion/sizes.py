"""At what size pictures are painted: one for all, or several that slots take in turn (buckets).

A slot keeps its size in all its attempts. Networks see a batch of one shape: requests of a size are painted together,
each size's batch filled up like any other. So a sample still depends on its prompt, seed and settings alone.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from factory.errors import DataError, UsageError
from factory.sample import Request, Sample, Source

WIDTH_X_HEIGHT = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})")
LARGE = 1024 * 1024  # pixels of a picture, from which on they are decoded one at a time: a decoder's features are large


class Size(NamedTuple):
    """In pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def is_large(self) -> bool:
        """Whether a batch of such pictures is decoded one after the other."""
        return self.height * self.width > LARGE


def square(side: int) -> Size:
    return Size(side, side)


def read_size(text: str) -> Size:
    """Of "640x448", width and height. Raises UsageError."""
    found = WIDTH_X_HEIGHT.fullmatch(text)
    if found is None:
        raise UsageError(f"size {text!r} is none: write width and height in pixels, as 640x448")
    return Size(int(found[2]), int(found[1]))


def asked_size(side: int, sizes: Sequence[str]) -> Size | None:
    """What settings ask for: the first of `sizes`, else a square; None where they leave it to the model."""
    if sizes:
        return read_size(sizes[0])
    return square(side) if side else None


def check_sizes(sizes: Sequence[str], multiple: int = 1) -> None:
    """Raises UsageError for what is no size, or no multiple of what the networks halve evenly."""
    for text in sizes:
        if any(pixels % multiple for pixels in read_size(text)):
            raise UsageError(f"sampler.sizes {text} does not fit this model: take multiples of {multiple}.")


def refuse_sizes(sizes: Sequence[str]) -> None:
    """Raises UsageError, for what paints at one size."""
    if sizes:
        raise UsageError("sampler.sizes: pictures with alpha of their own are painted at one size: set sampler.size.")


def in_turn(sizes: Sequence[str], source_at: Callable[[tuple[str, ...]], Source]) -> Source:
    """Slot i painted at the size i mod their number; a size that is named twice has twice the share.

    source_at: what paints at one size, given as the only one; it is given none where there are none.
    """
    if not sizes:
        return source_at(())
    sources = {size: source_at((size,)) for size in dict.fromkeys(sizes)}

    def painted(requests: Sequence[Request]) -> list[Sample | DataError]:
        made = dict[str, Sample | DataError]()
        for size, source in sources.items():
            own = [request for request in requests if sizes[request.slot % len(sizes)] == size]
            made |= {request.key: result for request, result in zip(own, source(own), strict=True)}
        return [made[request.key] for request in requests]

    return painted
