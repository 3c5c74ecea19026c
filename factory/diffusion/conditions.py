"""What a network is given beside a prompt's text: pictures of where things are, or of what they look like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from torch import Tensor

G = TypeVar("G")
ADDED = ("text_embeds", "time_ids")  # what XL is told beside a text's tokens, as its U-Net calls it
Told: TypeAlias = Sequence[Tensor]
"""Text (B, T, D), and of XL what ADDED names."""
Hints: TypeAlias = Callable[[Tensor, Tensor, Told, float, float], Mapping[str, Any]]
"""(latents (B, 4, h, w), timestep (), what the text tells, the shares of the steps that this one begins and ends at) ->
further arguments of the U-Net. B is the batch's, or twice that: first without the prompts, then with them."""
NO_HINTS: Mapping[str, Any] = {}


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


def told_by_name(told: Told, more: Mapping[str, Any] = NO_HINTS) -> dict[str, Any]:
    """What a U-Net or a control network is told, by the names of its arguments; with what hints tell it."""
    text, *added = told
    named = dict[str, Any](zip(ADDED, added, strict=True)) if added else {}
    named |= more.get("added_cond_kwargs", {})
    return {"encoder_hidden_states": text, **more, "added_cond_kwargs": named or None}


def hints(conditions: Sequence[Condition[Hints]], read: Sequence[Sequence[Any]]) -> Hints | None:
    """All in one; None where there are none.  read: as in `arguments`."""
    if not conditions:
        return None
    given = [condition.given([own[index] for own in read]) for index, condition in enumerate(conditions)]

    def together(latents: Tensor, t: Tensor, said: Told, begins: float, ends: float) -> dict[str, Any]:
        told = dict[str, Any]()
        for one in given:
            told |= one(latents, t, said, begins, ends)
        return told

    return together
