"""The sets of an experiment: those that there are, and those that are made once, by the jobs that make any set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory.errors import InputChanged, UsageError, nearest
from factory.experiments.recipe import ExperimentRecipe, SetSource
from factory.jobs.base import RunSettings
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.run.execute import execute
from factory.run.say import Say
from factory.shards.durable import json_bytes
from factory.shipped_files import choose

REFERENCE = "set:"  # before the name of another set of the experiment, wherever a recipe names a folder


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """Where a set lies, or will.

    recipe: by what it is made; None for one that there is.  origins: the sets that it is made of, and what these are.
    """

    folder: Path
    recipe: RunSettings | None = None
    origins: tuple[str, ...] = ()


def plan_sets(recipe: ExperimentRecipe, say: Say) -> dict[str, PlannedSet]:
    """Every set of the recipe, those before others that these are made of. Raises UsageError for a wrong one."""
    planned: dict[str, PlannedSet] = {}
    for name in recipe.sets:
        _plan(recipe, name, planned, (), say)
    return planned


def _plan(
    recipe: ExperimentRecipe, name: str, planned: dict[str, PlannedSet], asking: tuple[str, ...], say: Say
) -> PlannedSet:
    if name in asking:
        raise UsageError(f"sets.{name} is made of itself ({' of '.join([*asking, name])}): mend that.")
    if name in planned:
        return planned[name]
    source = recipe.sets[name]
    if source.path is not None:
        planned[name] = PlannedSet(source.path)
        return planned[name]
    fields = _fields(name, source, say)
    origins: list[str] = []
    for other in dict.fromkeys(_references(fields)):
        if other not in recipe.sets:
            raise UsageError(f"sets.{name} is made of {other}{nearest(other, recipe.sets)}, and there is no such set.")
        origins += [*_plan(recipe, other, planned, (*asking, name), say).origins, other]
    resolved = _resolved(fields, planned)
    mark = sha256(json_bytes(resolved | {"out": ""})).hexdigest()[:8]
    resolved["out"] = str(recipe.out / "sets" / f"{name}-{mark}")
    try:
        of_job = parse(resolved)
    except UsageError as error:
        raise UsageError(f"sets.{name}: {error}") from error
    if not isinstance(of_job, RunSettings):
        raise UsageError(f"sets.{name} is the recipe of a training: name one that makes a set.")
    planned[name] = PlannedSet(of_job.out, of_job, tuple(origins))
    return planned[name]


def _fields(name: str, source: SetSource, say: Say) -> dict[str, Any]:
    """Of its recipe, which works in this process where it does not say otherwise."""
    if isinstance(source.recipe, str):
        path = choose("pipelines", source.recipe, lambda remark: say(f"sets.{name}: {source.recipe}: {remark}"))
        fields = read_yaml(path)
    else:
        fields = dict(source.recipe or {})
    if not isinstance(fields.get("job"), str):
        raise UsageError(f"sets.{name} does not say by which job it is made: write `job: build-green100k` in it.")
    return {"executor": "local"} | fields


def _references(value: Any) -> Iterator[str]:
    """Names of the sets that a recipe is made of."""
    match value:
        case str() if value.startswith(REFERENCE):
            yield value.removeprefix(REFERENCE)
        case dict():
            for inner in value.values():
                yield from _references(inner)
        case list():
            for inner in value:
                yield from _references(inner)


def _resolved(value: Any, planned: Mapping[str, PlannedSet]) -> Any:
    """The recipe with folders in the place of names."""
    match value:
        case str() if value.startswith(REFERENCE):
            return str(planned[value.removeprefix(REFERENCE)].folder)
        case dict():
            return {name: _resolved(inner, planned) for name, inner in value.items()}
        case list():
            return [_resolved(inner, planned) for inner in value]
    return value


def make_sets(sets: Mapping[str, PlannedSet], wanted: set[str], say: Say) -> dict[str, str]:
    """Make what is missing of the wanted sets.

    Returns by name why a set is not to be had: arms that want it fail, the others go on.
    Raises Interrupted, and MachineError: what the disk refuses to one it will refuse to all.
    """
    failed: dict[str, str] = {}
    for name, planned in sets.items():
        if planned.recipe is None or name not in wanted:
            continue
        if origin := next((one for one in planned.origins if one in failed), ""):
            failed[name] = f"it is made of {origin}, which failed"
            continue
        try:
            result = execute(planned.recipe, partial(_say_of, name, say))
        except (UsageError, InputChanged) as error:
            failed[name] = str(error)
            continue
        if not result.accepted:
            failed[name] = f"no sample of it was accepted: {result.out / 'report' / 'index.html'} shows why"
    return failed


def _say_of(name: str, say: Say, told: str) -> None:
    say(f"{name}: {told}")
