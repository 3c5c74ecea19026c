"""What all sources that paint share: batches of one size, and a fault of its own for an item without a prompt."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from factory.errors import DataError
from factory.sample import Request, Sample

Result: TypeAlias = Sample | DataError


def in_batches(
    requests: Sequence[Request], size: int, paint: Callable[[Sequence[Request]], Sequence[Result]]
) -> list[Result]:
    """What is painted of the requests, in their order.

    paint: of exactly `size` requests at once, for networks see one shape: a short batch is filled up with its last.
    """
    results: dict[str, Result] = {
        request.key: DataError("prompt", "the item has no prompt: give it one line of text")
        for request in requests
        if not request.item.get("prompt", "").strip()
    }
    drawable = [request for request in requests if request.key not in results]
    for start in range(0, len(drawable), size):
        batch = drawable[start : start + size]
        painted = paint([*batch, *[batch[-1]] * (size - len(batch))])
        results |= zip((request.key for request in batch), painted, strict=False)
    return [results[request.key] for request in requests]
