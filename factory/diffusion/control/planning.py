"""Control networks and style pictures in a plan: looked at and frozen by content, and what a worker knows of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from factory.diffusion.control.fitting import SIBLINGS, T2I, UNION, check_fit, network_in
from factory.diffusion.control.modes import MODES, OF_KINDS
from factory.diffusion.control.settings import Control
from factory.diffusion.plain.folder import read_index
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import InputChanged, UsageError
from factory.models.folder import files_fingerprint
from factory.settings import settings

SETTINGS = "controls"  # of a plan
DECIDING = frozenset({".json", ".safetensors"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedControl:
    """As `settings.Control`, but for the place.  network: its class.  mode: its number; -1 where there is none."""

    network: str
    kind: str
    column: str
    weight: float
    begin: float
    end: float
    mode: int


def plan_controls(controls: Sequence[Control], base: Path, draft: Draft, *, plain: bool) -> None:
    """Freeze the networks, by their content. Raises UsageError for one that does not fit the base.

    base: the model's folder.  plain: whether a pipeline of diffusers paints with them, and not our own loop.
    """
    planned = list[PlannedControl]()
    for index, control in enumerate(controls):
        name = f"--control {control.model}"
        network, config = network_in(control.model, "--control")
        _check_use(name, network, control)
        if config.get("global_pool_conditions"):
            raise UsageError(f"{name} takes no part in where things are (global_pool_conditions): it is not read here.")
        if plain:
            pipeline = read_index(base).pipeline
            if (pipeline, network) not in SIBLINGS:
                raise UsageError(f"{name}: for {pipeline} there is no pipeline with a {network} here.")
        check_fit(name, network, config, base)
        side, factor = draft.settings.get("sampler", {}).get("size", 0), config.get("downscale_factor", 1)
        if network == T2I and side % factor:
            raise UsageError(f"{name} does not fit sampler.size {side}: take a multiple of {factor}.")
        planned.append(
            PlannedControl(
                network=network,
                kind=control.kind,
                column=control.column,
                weight=float(control.weight),
                begin=float(control.begin),
                end=float(control.end),
                mode=_mode(name, control, int(config.get("num_control_type", 0))) if network == UNION else -1,
            )
        )
        draft.weights[name_of(index)] = fingerprint(control.model)
        draft.places[name_of(index)] = str(control.model.resolve())
    if plain and len({control.network for control in planned}) > 1:
        raise UsageError("--control: a pipeline takes networks of one class only: leave the others out.")
    unions = {draft.weights[name_of(index)] for index, control in enumerate(planned) if control.network == UNION}
    if len(unions) > 1:
        raise UsageError("--control: one union network takes several pictures; give one of them only.")
    if planned:
        draft.settings[SETTINGS] = [asdict(control) for control in planned]
        draft.remarks += [f"controlled by {control.model} ({control.kind})" for control in controls]


def planned_controls(plan: Plan) -> list[tuple[Path, PlannedControl]]:
    """The folder of each network and what is said of it. Raises InputChanged where one is not the planned one."""
    return [
        (folder_as_planned(plan, name_of(index)), settings(PlannedControl, said))
        for index, said in enumerate(plan.settings.get(SETTINGS, ()))
    ]


def folder_as_planned(plan: Plan, name: str) -> Path:
    """The folder that a plan holds under a name. Raises InputChanged where it is not the planned one."""
    folder = Path(plan.places[name])
    if not folder.is_dir() or fingerprint(folder) != plan.weights[name]:
        raise InputChanged(f"{folder} is not what the run was planned with: restore it, or use a new --out.")
    return folder


def with_controls(model: str, plan: Plan) -> str:
    """The fingerprint of what paints: of the model alone, or with a plan's control networks."""
    controls = plan.settings.get(SETTINGS, ())
    if not controls:
        return model
    total = sha256(model.encode())
    for index, said in enumerate(controls):
        total.update(f"\n{plan.weights[name_of(index)]} {sorted(said.items())!r}".encode())
    return total.hexdigest()


def fingerprint(folder: Path) -> str:
    """SHA-256 of all files that decide what a network in a folder does."""
    return files_fingerprint(folder, sorted(path for path in folder.rglob("*") if path.suffix in DECIDING))


def name_of(index: int) -> str:
    """Under which a plan holds a network."""
    return f"control_{index}"


def _check_use(name: str, network: str, control: Control) -> None:
    if network == T2I and (control.begin, control.end) != (0, 1):
        raise UsageError(f"{name} is a {T2I}, which counts in all steps: leave `begin` and `end` out.")
    if control.mode and network != UNION:
        raise UsageError(f"{name} is no union network: leave `mode` out.")


def _mode(name: str, control: Control, there_are: int) -> int:
    mode = control.mode or OF_KINDS.get(control.kind, "")
    known = [known for known, number in MODES.items() if number < there_are]
    if mode not in known:
        raise UsageError(f"{name} is a union network: say what its picture is, with `mode`: {', '.join(known)}.")
    return MODES[mode]
