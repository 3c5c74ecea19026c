"""What a network is given beside a prompt's text: pictures of where things are, or of what they look like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from torch import Tensor

G = TypeVar("G")
Hints: TypeAlias = Callable[[Tensor, Tensor, Tensor, float, float], Mapping[str, Any]]
"""(latents (B, 4, h, w), timestep (), text (B, T, D), the shares of the steps that this one begins and ends at) ->
further arguments of the U-Net. B is the batch's, or twice that: first without the prompts, then with them."""


@dataclass(frozen=True)
class Condition(Generic[G]):
    """read: what belongs to a prompt, from its row. Raises DataError.

    given: of a batch of what was read, what a painter is given: `Hints`, or further arguments of a pipeline's call.
    alone: whether that holds for one picture at a time only.
    """

    read: Callable[[Mapping[str, Any]], Any]
    given: Callable[[Sequence[Any]], G]
    alone: bool = False


def read_all(conditions: Sequence[Condition[Any]], item: Mapping[str, Any]) -> list[Any]:
    """What belongs to a prompt, by condition. Raises DataError."""
    return [condition.read(item) for condition in conditions]


def arguments(conditions: Sequence[Condition[Mapping[str, Any]]], read: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The further arguments of a pipeline's call.  read: of each picture of the batch, what `read_all` gave."""
    together = dict[str, Any]()
    for index, condition in enumerate(conditions):
        together |= condition.given([own[index] for own in read])
    return together


def hints(conditions: Sequence[Condition[Hints]], read: Sequence[Sequence[Any]]) -> Hints | None:
    """All in one; None where there are none.  read: as in `arguments`."""
    if not conditions:
        return None
    given = [condition.given([own[index] for own in read]) for index, condition in enumerate(conditions)]

    def together(latents: Tensor, t: Tensor, text: Tensor, begins: float, ends: float) -> dict[str, Any]:
        told = dict[str, Any]()
        for one in given:
            told |= one(latents, t, text, begins, ends)
        return told

    return together
