"""What recipes of experiments have in common: seeds, and sets that there are or that are made once."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from factory.errors import UsageError, nearest
from factory.jobs.base import Recipe
from factory.recipe_faults import faults_in
from factory.settings import Place, Strict


def _apart(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("one of them is there twice")
    return values


def _names_a_folder(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+ -]*", name):
        raise ValueError("folders are named by it: write letters and digits, and . + - _ between them")
    return name


def _has_a_name(prompt: str) -> str:
    if "{name}" not in prompt:
        raise ValueError("the prompt has no {name}, where the class would stand")
    return prompt


Texts: TypeAlias = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
Prompt: TypeAlias = Annotated[str, AfterValidator(_has_a_name)]
Number: TypeAlias = Annotated[int, Field(ge=0)]
Numbers: TypeAlias = Annotated[tuple[Number, ...], Field(min_length=1), AfterValidator(_apart)]
SetName: TypeAlias = Annotated[str, AfterValidator(_names_a_folder)]


class ClassPictures(Strict):
    """What a model paints of some classes before it is taught: DreamBooth's class images."""

    model: str  # a folder, or `set:NAME`
    classes: Texts
    each: Annotated[int, Field(ge=1)] = 20
    prompt: Prompt = "a {name}"
    sampler: dict[str, Any] = Field(default_factory=dict)  # laid over the sampler's defaults


class SetSource(Strict):
    """A set that there is, or by what it is made once, into OUT/sets."""

    path: Place | None = None
    recipe: str | dict[str, Any] | None = None  # a file, one that ships, or its fields; `set:NAME` in it is another set
    painted: ClassPictures | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "SetSource":
        if [self.path, self.recipe, self.painted].count(None) != 2:
            raise ValueError("give `path`, a set that there is, or `recipe` or `painted`, by which it is made")
        return self


Sets: TypeAlias = Annotated[dict[SetName, SetSource], Field(min_length=1)]


class ExperimentBase(Recipe):
    """What every experiment says."""

    seeds: Numbers = (1, 2, 3)
    sets: Sets
    compare: tuple[str, ...] = ()  # arms that each other one is compared to


def validated(adapter: TypeAdapter[Any], fields: dict[str, Any]) -> Any:
    """The recipe in these fields. Raises UsageError naming each wrong one."""
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        raise UsageError(f"wrong recipe: {'; '.join(faults_in(error, adapter))}.") from error


def check_left_out(place: str, fields: dict[str, Any], told: Collection[str]) -> None:
    """Raises UsageError for a field that the experiment itself says.  told: their names, with dots."""
    for name in sorted(told):
        inner: Any = fields
        for part in name.split("."):
            inner = inner[part] if isinstance(inner, dict) and part in inner else None
        if inner is not None:
            raise UsageError(f"{place}.{name} is the experiment's to say: leave it out.")


def check_known(place: str, name: str, known: Collection[str]) -> None:
    """Raises UsageError for a name that there is not."""
    if name not in known:
        raise UsageError(f"{place} names {name}{nearest(name, known)}: there are {', '.join(known)}.")


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them, group by group."""
    merged = dict(base)
    for name, value in changes.items():
        below = merged.get(name)
        merged[name] = laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
