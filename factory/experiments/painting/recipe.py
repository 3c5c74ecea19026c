"""Such an experiment as a recipe: sets, a training, the arms that differ from it, and what is painted and measured."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from factory.errors import UsageError
from factory.experiments.fields import (
    ExperimentBase,
    Numbers,
    Prompt,
    Texts,
    check_known,
    check_left_out,
    validated,
)
from factory.experiments.painting.figures import LEAST, MOST
from factory.quality.scorers.aesthetic import Aesthetic
from factory.settings import Place, Strict

Rate: TypeAlias = Annotated[float, Field(gt=0)]
OF_THE_CELL = {"seed", "threads"}  # of a training: told by the experiment, and by no arm


class Painting(Strict):
    """What each trained model paints: the same prompts from the same noise."""

    classes: Texts
    each: Annotated[int, Field(ge=1)] = 10  # pictures of a class
    prompt: Prompt = "a {name}"  # {name} is the class; the training's template says the rest
    sampler: dict[str, Any] = Field(default_factory=dict)  # laid over the sampler's defaults, of every arm
    batch: Annotated[int, Field(ge=1)] = 20


class HeldOut(Strict):
    """Samples with a true matte by which the matting head is measured; no arm trains on them."""

    data: str  # a folder, or `set:NAME`
    split: str = "validation"
    most: Annotated[int, Field(ge=1)] = 200  # of its samples, evenly spread


class Arm(Strict):
    """In what one arm differs from the experiment."""

    training: dict[str, Any] = Field(default_factory=dict)  # laid over the experiment's
    sampler: dict[str, Any] = Field(default_factory=dict)  # laid over the painting's
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] | None = None
    paper: dict[str, float] = Field(default_factory=dict)  # what a paper says of it, by metric, to stand beside ours


class PaintingRecipe(ExperimentBase):
    """The same base trained in several ways, and what it then paints."""

    job: Literal["painting-experiment"] = "painting-experiment"
    shared: Place | None = None  # where sets, trainings and cells go, which recipes may have in common; None: into out
    training: dict[str, Any]  # of `train`, but for its seed; `set:NAME` in it is a set or a model
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] | None = None  # of every phase; None: the training's own
    choose_by: Literal["gsg", "mae", "iou", "aesthetic", "noise", "latent"] = "gsg"  # which of them is best
    choose_seeds: Numbers = (101, 102)  # the trainings by which that is decided
    painting: Painting
    held_out: HeldOut | None = None  # None: the head is not measured
    aesthetic: Aesthetic | None = None  # None: the column says "not scored"
    arms: Annotated[dict[str, Arm], Field(min_length=1)]

    @property
    def root(self) -> Path:
        """Where what is made goes, but for the tables."""
        return self.shared or self.out


_ADAPTER: TypeAdapter[PaintingRecipe] = TypeAdapter(PaintingRecipe)


def parse_painting(fields: dict[str, Any]) -> PaintingRecipe:
    """Raises UsageError naming each wrong field, and what names an arm or a metric that there is not."""
    recipe: PaintingRecipe = validated(_ADAPTER, fields)
    check_left_out("training", recipe.training, OF_THE_CELL)
    for name, arm in recipe.arms.items():
        check_left_out(f"arms.{name}.training", arm.training, OF_THE_CELL)
        for metric in arm.paper:
            check_known(f"arms.{name}.paper", metric, [*LEAST, *MOST])
    for name in recipe.compare:
        check_known("compare", name, recipe.arms)
    if shared := sorted(set(recipe.seeds) & set(recipe.choose_seeds)):
        raise UsageError(
            f"seed {shared[0]} is in seeds and in choose_seeds: what chose a rate must not be what is reported of it."
        )
    if recipe.choose_by in {"mae", "iou"} and recipe.held_out is None:
        raise UsageError(f"choose_by is {recipe.choose_by}, of the head: give held_out, or choose by gsg.")
    if recipe.choose_by == "aesthetic" and recipe.aesthetic is None:
        raise UsageError("choose_by is aesthetic, and no scorer is given: give aesthetic, or choose by gsg.")
    return recipe
