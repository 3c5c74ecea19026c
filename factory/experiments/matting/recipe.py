"""An experiment as a recipe: the test pictures, the sets, the arms that train on them, and what is compared."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, model_validator

from factory.errors import UsageError
from factory.experiments.fields import ExperimentBase, Numbers, check_known, check_left_out, validated
from factory.settings import Place, Strict

Share: TypeAlias = Annotated[float, Field(gt=0)]
Size: TypeAlias = Annotated[int, Field(ge=1)]
Shares: TypeAlias = Annotated[tuple[Share, ...], Field(min_length=1)]
Sizes: TypeAlias = Annotated[tuple[Size, ...], Field(min_length=1)]
OF_THE_CELL = {"seed", "threads", "tests", "loader.sets"}  # of a training: told by the experiment, and by no arm
OF_THE_USE = {"path", "share"}  # of the loader's entry: told by the arm


class TestPictures(Strict):
    """Real photographs with a trimap (0, 128, 255) and the true matte of each, under one name in three folders."""

    __test__ = False  # for pytest

    pictures: Place
    trimaps: Place
    alphas: Place


class Folds(Strict):
    """The test pictures in parts: where one is tested, what these sets made of its pictures is left out."""

    sets: Annotated[tuple[str, ...], Field(min_length=1)]  # whose samples come from the test pictures
    count: Annotated[int, Field(ge=2)]


class Use(Strict):
    """How an arm takes a set. One list in an arm makes an arm for each of its values."""

    share: Share | Shares = 1.0  # γ: how often it is drawn from, in proportion to the arm's other sets
    take: Size | Sizes | None = None  # so many of its samples; the fewer are among the more
    options: dict[str, Any] = Field(default_factory=dict)  # other fields of the loader's entry: quality, split …

    @model_validator(mode="before")
    @classmethod
    def _of_a_share(cls, fields: Any) -> Any:
        return {"share": fields} if isinstance(fields, int | float | list | tuple) else fields


class Arm(Strict):
    """What one arm trains on, and in what it differs from the experiment."""

    sets: Annotated[dict[str, Use], Field(min_length=1)]  # a bare number or list is its share
    training: dict[str, Any] = Field(default_factory=dict)  # laid over the experiment's
    seeds: Numbers | None = None
    folds: Numbers | None = None


class ExperimentRecipe(ExperimentBase):
    """The same training on different data, and what its mattes of real photographs are wrong by."""

    job: Literal["experiment"] = "experiment"
    test: TestPictures
    folds: Folds | None = None
    training: dict[str, Any]  # of `train-matting`, but for its sets and its seed
    arms: Annotated[dict[str, Arm], Field(min_length=1)]


_ADAPTER: TypeAdapter[ExperimentRecipe] = TypeAdapter(ExperimentRecipe)


def parse_experiment(fields: dict[str, Any]) -> ExperimentRecipe:
    """Raises UsageError naming each wrong field, and what names a set, an arm or a fold that there is not."""
    recipe: ExperimentRecipe = validated(_ADAPTER, fields)
    _check_training("training", recipe.training)
    for name, arm in recipe.arms.items():
        _check_training(f"arms.{name}.training", arm.training)
    folds = recipe.folds.count if recipe.folds else 1
    for name, arm in recipe.arms.items():
        for used, use in arm.sets.items():
            check_known(f"arms.{name}.sets", used, recipe.sets)
            if told := sorted(OF_THE_USE & use.options.keys()):
                raise UsageError(f"arms.{name}.sets.{used}.options.{told[0]} is the arm's to say: leave it out.")
        if absent := [one for one in (arm.folds or ()) if one >= folds]:
            raise UsageError(f"arms.{name}.folds names fold {absent[0]}: there are 0 to {folds - 1}.")
    for name in recipe.folds.sets if recipe.folds else ():
        check_known("folds.sets", name, recipe.sets)
    return recipe


def _check_training(place: str, fields: dict[str, Any]) -> None:
    """What the experiment itself says is left out; the rest is looked at with the sets."""
    if not isinstance(fields.get("loader", {}), dict):
        raise UsageError(f"{place}.loader is no group of fields: write crop, backgrounds and so on below it.")
    check_left_out(place, fields, OF_THE_CELL)
