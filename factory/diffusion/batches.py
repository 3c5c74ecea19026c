"""What all sources that paint share: batches of one size, and a fault of its own for an item that cannot be painted."""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from factory.errors import DataError
from factory.sample import Request, Sample

Result: TypeAlias = Sample | DataError
T = TypeVar("T")


def in_batches(
    requests: Sequence[Request], size: int, paint: Callable[[Sequence[Request]], Sequence[Result]]
) -> list[Result]:
    """What is painted of the requests, in their order.

    paint: of exactly `size` requests at once, for networks see one shape: a short batch is filled up with its last.
    """
    return in_batches_with(lambda _: None, requests, size, lambda batch, _: paint(batch))


def in_batches_with(
    read: Callable[[Request], T],
    requests: Sequence[Request],
    size: int,
    paint: Callable[[Sequence[Request], Sequence[T]], Sequence[Result]],
) -> list[Result]:
    """As `in_batches`, where more than its prompt belongs to each request.

    read: what belongs to it; where that raises DataError, the request fails alone, for good.  paint: is given both.
    """
    results, drawable = dict[str, Result](), list[tuple[Request, T]]()
    for request in requests:
        try:
            _check_prompt(request)
            drawable.append((request, read(request)))
        except DataError as fault:
            results[request.key] = DataError(fault.kind, str(fault), final=True)  # told before anything is drawn
    for start in range(0, len(drawable), size):
        batch = drawable[start : start + size]
        filled = [*batch, *[batch[-1]] * (size - len(batch))]
        painted = paint([request for request, _ in filled], [own for _, own in filled])
        results |= zip((request.key for request, _ in batch), painted, strict=False)
    return [results[request.key] for request in requests]


def _check_prompt(request: Request) -> None:
    if not request.item.get("prompt", "").strip():
        raise DataError("prompt", "the item has no prompt: give it one line of text")
