"""The refiners that a recipe may set: each turns a sample's coarse mask or matte into a better one.

A new one is a file with a settings dataclass that makes its stage, and a line here. One that is not always wanted is
`NAME: Settings | None = None`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import InputChanged
from factory.models.device import Device
from factory.models.planned_file import file_as_planned, plan_file
from factory.refine.chroma_key import ChromaKeySettings
from factory.refine.connectivity import ConnectivitySettings
from factory.refine.greenpost import GreenPostSettings
from factory.refine.mask_as_matte import MaskAsMatteSettings
from factory.sample import BatchStage, Stage
from factory.settings import Strict, said, settings


class RefinerSettings(Protocol):
    """Settings of a refiner: a frozen dataclass that becomes part of the plan."""

    @property
    def on_device(self) -> bool:
        """Whether it has a network that wants a GPU where there is one."""
        ...

    def stage(self, device: Device, batch: int) -> Stage | BatchStage:
        """The refiner itself, in a worker. Torch is loaded here: its threads are pinned right after.

        batch: samples of a full one.
        Who changes α returns colours that fit it: I = αF + (1 − α)B is a gate.
        """
        ...


@runtime_checkable
class WithWeights(RefinerSettings, Protocol):
    """Settings of a refiner that may have a network with weights of the user's, in a stage before its own."""

    def asked_weights(self) -> Path | None:
        """The file, looked at while the run is planned; None where no network is wanted.

        Raises UsageError for a file that is missing, unsafe or of another network.
        """
        ...

    def code(self) -> str:
        """Whose code the network is, where it is not our own; part of the plan."""
        ...

    def network(self, weights: Path, device: Device) -> BatchStage:
        """The stage before its own, in a worker."""
        ...


class Refiners(Strict):
    """By name, in the order in which they work."""

    greenpost: GreenPostSettings = GreenPostSettings()
    connectivity: ConnectivitySettings | None = None
    chroma_key: ChromaKeySettings | None = None
    mask_as_matte: MaskAsMatteSettings | None = None


def planned(recipe: Refiners) -> dict[str, dict[str, Any]]:
    """What a plan's settings hold of the refiners that a recipe wants."""
    return {name: said(own) for name, own in _wanted(recipe).items()}


def plan_weights(recipe: Refiners, draft: Draft) -> None:
    """Of the networks that refiners have, a plan holds hash and place. Raises UsageError for files of no use."""
    for name, own in _wanted(recipe).items():
        if not isinstance(own, WithWeights) or (weights := own.asked_weights()) is None:
            continue
        plan_file(name, weights, draft)
        if code := own.code():
            draft.weights[f"{name}_code"] = code


def in_plan(of_plan: Mapping[str, Any]) -> dict[str, RefinerSettings]:
    """The refiners that a plan's settings name, in the order in which they work."""
    fields = Refiners.model_fields.items()
    return {name: settings(cast(Any, field.annotation), of_plan[name]) for name, field in fields if name in of_plan}


def stages(plan: Plan, device: Device) -> dict[str, Stage | BatchStage]:
    """The refiners of a plan at work, in a worker. Raises InputChanged where a network is not the planned one."""
    made: dict[str, Stage | BatchStage] = {}
    for name, own in in_plan(plan.settings).items():
        if name in plan.weights:
            assert isinstance(own, WithWeights)  # as planned
            made[f"{name}_network"] = own.network(_weights_as_planned(plan, name, own), device)
        made[name] = own.stage(device, plan.batch_size)
    return made


def want_a_device(recipe: Refiners) -> bool:
    """Whether a refiner that the recipe wants has use for a GPU."""
    return any(own.on_device for own in in_plan(planned(recipe)).values())


def _wanted(recipe: Refiners) -> dict[str, RefinerSettings]:
    fields = {name: getattr(recipe, name) for name in Refiners.model_fields}
    return {name: own for name, own in fields.items() if own is not None}


def _weights_as_planned(plan: Plan, name: str, own: WithWeights) -> Path:
    path, code = file_as_planned(plan, name), plan.weights.get(f"{name}_code", "")
    if own.code() != code:
        raise InputChanged(f"{name}: the run was planned with {code}, here is {own.code()}: install the former.")
    return path
