"""The refiners that a recipe may set: each turns a sample's coarse mask or matte into a better one.

A new one is a file with a settings dataclass that makes its stage, and a line here. One that is not always wanted is
`NAME: Settings | None = None`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Protocol, cast

from factory.models.device import Device
from factory.refine.greenpost import GreenPostSettings
from factory.sample import BatchStage, Stage
from factory.settings import Strict, settings


class RefinerSettings(Protocol):
    """Settings of a refiner: a frozen dataclass that becomes part of the plan.

    on_device: whether it has a network that wants a GPU where there is one.
    """

    on_device: ClassVar[bool]

    def stage(self, device: Device, batch: int) -> Stage | BatchStage:
        """The refiner itself, in a worker. Torch is loaded here: its threads are pinned right after.

        batch: samples of a full one.
        Who changes α returns colours that fit it: I = αF + (1 − α)B is a gate.
        """
        ...


class Refiners(Strict):
    """By name, in the order in which they work."""

    greenpost: GreenPostSettings = GreenPostSettings()


def planned(recipe: Refiners) -> dict[str, dict[str, Any]]:
    """What a plan holds of the refiners that a recipe wants."""
    wanted = {name: getattr(recipe, name) for name in Refiners.model_fields}
    return {name: asdict(own) for name, own in wanted.items() if own is not None}


def in_plan(of_plan: Mapping[str, Any]) -> dict[str, RefinerSettings]:
    """The refiners that a plan's settings name, in the order in which they work."""
    fields = Refiners.model_fields.items()
    return {name: settings(cast(Any, field.annotation), of_plan[name]) for name, field in fields if name in of_plan}


def want_a_device(recipe: Refiners) -> bool:
    """Whether a refiner that the recipe wants has use for a GPU."""
    return any(own.on_device for own in in_plan(planned(recipe)).values())
