"""The refiners that a recipe may set: each turns a sample's coarse mask or matte into a better one.

A new one is a file with a settings dataclass that makes its stage, and a line here. One that is not always wanted is
`NAME: Settings | None = None`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from factory.refine.greenpost import GreenPostSettings
from factory.sample import BatchStage, Stage
from factory.settings import Strict, settings


class RefinerSettings(Protocol):
    """Settings of a refiner: a frozen dataclass that becomes part of the plan."""

    def stage(self, device: str) -> Stage | BatchStage:
        """The refiner itself, in a worker.  device: for torch, "cuda" or "cpu"."""
        ...


class Refiners(Strict):
    """By name, in the order in which they work."""

    greenpost: GreenPostSettings = GreenPostSettings()


def planned(recipe: Refiners) -> dict[str, dict[str, Any]]:
    """What a plan holds of the refiners that a recipe wants."""
    wanted = {name: getattr(recipe, name) for name in Refiners.model_fields}
    return {name: asdict(own) for name, own in wanted.items() if own is not None}


def refining(of_plan: Mapping[str, Any], device: str) -> dict[str, Stage | BatchStage]:
    """The stages of the refiners that a plan's settings name."""
    stages: dict[str, Stage | BatchStage] = {}
    for name, field in Refiners.model_fields.items():
        if name in of_plan:
            kind: Any = field.annotation
            own: RefinerSettings = settings(kind, of_plan[name])
            stages[name] = own.stage(device)
    return stages
