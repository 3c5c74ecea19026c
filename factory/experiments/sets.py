"""The sets of an experiment, and models it begins with: those that there are, and those that jobs make once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory.diffusion.model_files import INDEX
from factory.diffusion.sample.settings import SamplerSettings
from factory.errors import InputChanged, UsageError, nearest
from factory.experiments.fields import ClassPictures, SetSource
from factory.jobs.base import Job, Recipe, RunSettings, TrainingRecipe
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import JOBS, parse, training_of
from factory.run.execute import execute
from factory.run.say import Say
from factory.run.train import execute_training
from factory.settings import changed
from factory.shards.durable import json_bytes, write_durably
from factory.shards.layout import Layout
from factory.shipped_files import choose
from factory.training.folder import FINISHED_FILE

MODEL = "model"  # in a training's folder
REFERENCE = "set:"  # before the name of another set of the experiment, wherever a recipe names a folder


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """Where a set or a model lies, or will.

    recipe: by what it is made; None for one that there is.  origins: the sets that it is made of, and what these are.
    """

    folder: Path
    recipe: Recipe | ClassPictures | None = None
    origins: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        layout = Layout(self.folder)
        return any(place.exists() for place in (layout.manifest, layout.finished, self.folder / INDEX, self.painted))

    @property
    def is_made(self) -> bool:
        """Whether nothing is left to do for it. Of a training the model is a folder in the folder."""
        match self.recipe:
            case None:
                return True
            case ClassPictures():
                return self.painted.exists()
            case recipe:
                return (recipe.out / FINISHED_FILE).exists()

    @property
    def painted(self) -> Path:
        """Of class pictures: marks that all of them are there."""
        return self.folder / ".painted"

    def outlook(self, name: str) -> str:
        """A line for a dry run."""
        return f"  set {name}: {self.folder} {'is there' if self.is_made else 'is made first'}"


def plan_sets(sets: Mapping[str, SetSource], out: Path, say: Say, *, models: bool = False) -> dict[str, PlannedSet]:
    """Every set of a recipe, those before others that these are made of. Raises UsageError for a wrong one.

    models: whether one may also be the recipe of a training, whose folder is then that of the model, or class pictures.
    """
    planned: dict[str, PlannedSet] = {}
    for name in sets:
        _plan(sets, name, planned, (), out=out, say=say)
        if not models and not isinstance(planned[name].recipe, RunSettings | None):
            raise UsageError(f"sets.{name} makes no set with mattes: give the recipe of one that does.")
    return planned


def _plan(
    sets: Mapping[str, SetSource],
    name: str,
    planned: dict[str, PlannedSet],
    asking: tuple[str, ...],
    *,
    out: Path,
    say: Say,
) -> PlannedSet:
    if name in asking:
        raise UsageError(f"sets.{name} is made of itself ({' of '.join([*asking, name])}): mend that.")
    if name in planned:
        return planned[name]
    source = sets[name]
    if source.path is not None:
        planned[name] = PlannedSet(source.path)
        return planned[name]
    fields = source.painted.model_dump() if source.painted else _fields(name, source, say)
    origins: list[str] = []
    for other in references(fields):
        if other not in sets:
            raise UsageError(f"sets.{name} is made of {other}{nearest(other, sets)}, and there is no such set.")
        origins += [*_plan(sets, other, planned, (*asking, name), out=out, say=say).origins, other]
    resolved = with_folders(fields, planned)
    mark = sha256(json_bytes(resolved | {"out": ""})).hexdigest()[:8]
    folder = out / "sets" / f"{name}-{mark}"
    if source.painted:
        class_sampler(source.painted)
        planned[name] = PlannedSet(folder, ClassPictures(**resolved), tuple(origins))
        return planned[name]
    resolved["out"] = str(folder)
    try:
        of_job = parse(resolved)
    except UsageError as error:
        raise UsageError(f"sets.{name}: {error}") from error
    planned[name] = PlannedSet(folder / MODEL if training_of(of_job) else folder, of_job, tuple(origins))
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
    return {"executor": "local"} | fields if isinstance(JOBS.get(fields["job"]), Job) else fields


def references(value: Any) -> list[str]:
    """Names of the sets that a recipe is made of, each once."""
    match value:
        case str() if value.startswith(REFERENCE):
            return [value.removeprefix(REFERENCE)]
        case dict():
            return references(list(value.values()))
        case list():
            return list(dict.fromkeys(name for inner in value for name in references(inner)))
    return []


def with_folders(value: Any, planned: Mapping[str, PlannedSet]) -> Any:
    """The recipe with folders in the place of names."""
    match value:
        case str() if value.startswith(REFERENCE):
            return str(planned[value.removeprefix(REFERENCE)].folder)
        case dict():
            return {name: with_folders(inner, planned) for name, inner in value.items()}
        case list():
            return [with_folders(inner, planned) for inner in value]
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
            if sentence := _make(planned, partial(_say_of, name, say)):
                failed[name] = sentence
        except (UsageError, InputChanged) as error:
            failed[name] = str(error)
    return failed


def _make(planned: PlannedSet, say: Say) -> str:
    """Returns why it came to nothing."""
    recipe = planned.recipe
    assert recipe is not None
    if isinstance(recipe, ClassPictures):
        _paint(recipe, planned, say)
        return ""
    if (training := training_of(recipe)) is not None:
        assert isinstance(recipe, TrainingRecipe)
        execute_training(training, recipe)
        return ""
    assert isinstance(recipe, RunSettings)  # as every recipe of a job that makes a data set
    result = execute(recipe, say)
    return "" if result.accepted else f"no sample of it was accepted: {result.out / 'report' / 'index.html'} shows why"


def _paint(of: ClassPictures, planned: PlannedSet, say: Say) -> None:
    if planned.is_made:
        return
    from factory.diffusion.train.class_pictures import paint_classes  # noqa: PLC0415  (torch takes seconds)

    slots = [(name, number, of.prompt.format(name=name)) for name in of.classes for number in range(of.each)]
    paint_classes(Path(of.model), planned.folder, slots, class_sampler(of), say)
    write_durably(planned.painted, b"")


def class_sampler(of: ClassPictures) -> SamplerSettings:
    """From plain noise: a base knows of no screen. Raises UsageError naming each wrong field."""
    return changed("painted.sampler", SamplerSettings(compile=False, start="noise", negative_prompt=""), of.sampler)


def _say_of(name: str, say: Say, told: str) -> None:
    say(f"{name}: {told}")
