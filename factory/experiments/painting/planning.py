"""Recipe → cells: arms × rates × seeds, with sets and base as they lie on the disk by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.diffusion.model_files import INDEX
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train.no_screen import Photographs, is_pictures
from factory.diffusion.train.settings import TrainSettings, base_folder
from factory.errors import UsageError
from factory.experiments.cells import Row
from factory.experiments.contents import DECIDE, Contents
from factory.experiments.fields import check_known, laid_over
from factory.experiments.painting.cell import PaintingCell
from factory.experiments.painting.one_cell import held_out_keys
from factory.experiments.painting.recipe import HeldOut, PaintingRecipe
from factory.experiments.sets import PlannedSet, plan_sets, references, with_folders
from factory.jobs.registry import parse
from factory.jobs.train import TrainRecipe
from factory.run.say import Say
from factory.settings import changed
from factory.shards.data_set import DataSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """An arm of the recipe.

    training: at its own rates.  rates: of which the best is chosen; one, or none, is taken as it is.
    uses: the sets and models that it names.
    """

    name: str
    training: TrainSettings
    sampler: SamplerSettings
    rates: tuple[float, ...]
    uses: tuple[str, ...]

    def at(self, rate: float | None, seed: int) -> TrainSettings:
        """Its training.  rate: of every phase; None leaves the recipe's."""
        phases = self.training.phases
        if rate is not None:
            phases = tuple(replace(phase, lr=rate) for phase in phases)
        return replace(self.training, phases=phases, seed=seed)

    @property
    def samples(self) -> int:
        """How many it sees."""
        return sum(phase.steps * phase.batch for phase in self.training.phases)

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.training.phases)


@dataclass(frozen=True)
class Experiment:
    """What a recipe asks for, before anything is made.  wanted: the arms to be run; the others are only told of."""

    recipe: PaintingRecipe
    methods: tuple[Method, ...]
    wanted: frozenset[str]
    sets: Mapping[str, PlannedSet]

    @property
    def wanted_sets(self) -> set[str]:
        """The sets of the wanted arms, and those that these are made of."""
        used = {name for method in self.methods if method.name in self.wanted for name in method.uses}
        return used | {origin for name in used for origin in self.sets[name].origins}

    @property
    def rows(self) -> list[Row]:
        """The arms as they are reported."""
        return [Row(name=method.name, seeds=self.recipe.seeds) for method in self.methods]

    @property
    def trial_rows(self) -> list[Row]:
        """The arms at each of their rates, on the seeds that choose; none of arms that have no choice."""
        return [
            Row(
                name=f"{method.name} at {rate:g}",
                seeds=self.recipe.choose_seeds,
                series=method.name,
                axis="learning rate",
                value=rate,
            )
            for method in self.methods
            if len(method.rates) > 1
            for rate in method.rates
        ]


def plan_painting(recipe: PaintingRecipe, only: Sequence[str], say: Say) -> Experiment:
    """Writes nothing. Raises UsageError for whatever is wrong with the recipe and the folders that it names.

    only: names of arms; none are all.
    """
    for name in only:
        check_known("--only", name, recipe.arms)
    sets = plan_sets(recipe.sets, recipe.root, say, models=True)
    methods = tuple(_method(recipe, name, sets) for name in recipe.arms)
    first = methods[0]
    for method in methods[1:]:
        if method.samples != first.samples:
            raise UsageError(
                f"arm {method.name} sees {method.samples:,} samples, and {first.name} {first.samples:,}: give all arms "
                "the same steps and batches, or the table compares how long they were trained."
            )
    experiment = Experiment(recipe, methods, frozenset(only or recipe.arms), sets)
    for method in methods:
        if method.name in experiment.wanted:
            _check_backgrounds(method.training)
            if not _is_to_be_made(method.training.base, sets):
                base_folder(method.training)
    for name in experiment.wanted_sets:
        folder = sets[name].folder
        if isinstance(own := sets[name].recipe, TrainRecipe):
            _check_backgrounds(own.train)
        if sets[name].recipe is None and not (folder / INDEX).is_file() and not is_pictures(folder):
            DataSet(folder)
    if recipe.aesthetic is not None:
        recipe.aesthetic.check()
    return experiment


def _method(recipe: PaintingRecipe, name: str, sets: Mapping[str, PlannedSet]) -> Method:
    """Raises UsageError naming each wrong field."""
    arm = recipe.arms[name]
    fields = laid_over(recipe.training, arm.training)
    held_out = references(recipe.held_out.data) if recipe.held_out else []
    uses = [*references(fields), *held_out]
    for used in uses:
        check_known(f"arms.{name}", used, sets)
    try:
        parsed = parse({"job": "train", "out": "unused", "train": with_folders(fields, sets)})
        assert isinstance(parsed, TrainRecipe)
        training = parsed.train
        sampler = SamplerSettings(key=training.key, compile=False)
        sampler = changed("sampler", sampler, {**recipe.painting.sampler, **arm.sampler})
    except UsageError as error:
        raise UsageError(f"arm {name}: {error}") from error
    _check_held_out(recipe, name, training, sets)
    if not training.base:
        raise UsageError(f"arm {name} has no base: name the model that all arms begin with in training.base.")
    rates = recipe.rates if arm.rates is None else arm.rates
    return Method(name=name, training=training, sampler=sampler, rates=rates or (), uses=tuple(dict.fromkeys(uses)))


def _check_held_out(recipe: PaintingRecipe, name: str, training: TrainSettings, sets: Mapping[str, PlannedSet]) -> None:
    """Raises UsageError where an arm trains on what it is measured on."""
    if (asked := recipe.held_out) is not None:
        folder = Path(with_folders(asked.data, sets)).absolute()
        if any((Path(one.folder).absolute(), one.split) == (folder, asked.split) for one in training.data):
            raise UsageError(
                f"arm {name} trains on held_out, the split {asked.split} of {asked.data}: hold out another one."
            )


def _check_backgrounds(training: TrainSettings) -> None:
    """Before sets are made, which may take days. Raises UsageError."""
    for folder in training.data:
        if folder.backgrounds:
            Photographs(Path(folder.backgrounds), training.size).names  # noqa: B018  (raises where there are none)


def _is_to_be_made(folder: str, sets: Mapping[str, PlannedSet]) -> bool:
    return any(planned.recipe is not None and str(planned.folder) == folder for planned in sets.values())


class Cells:
    """The cells of arms, whose sets and base are there."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._content = Contents(DECIDE | {"caption"})
        self._root = experiment.recipe.root.absolute() / "cells"

    def of(self, method: Method, row: Row, rate: float | None) -> list[PaintingCell]:
        """One for each seed of a row. Raises UsageError for what cannot be trained or measured."""
        recipe = self._experiment.recipe
        held_out = self._held_out()
        training = method.training
        base_folder(training)
        places = [training.base, *(place for one in training.data for place in (one.folder, one.backgrounds) if place)]
        places += [held_out.data] if held_out else []
        places += [str(recipe.aesthetic.clip), str(recipe.aesthetic.head)] if recipe.aesthetic else []
        content = {place: self._content(Path(place)) for place in places}
        return [
            PaintingCell(
                arm=row,
                seed=seed,
                root=self._root,
                training=method.at(rate, seed),
                sampler=method.sampler,
                painting=recipe.painting,
                held_out=held_out,
                aesthetic=recipe.aesthetic,
                content=content,
            )
            for seed in row.seeds
        ]

    def _held_out(self) -> HeldOut | None:
        asked = self._experiment.recipe.held_out
        if asked is None:
            return None
        folder: Any = with_folders(asked.data, self._experiment.sets)
        if not held_out_keys(Path(folder), asked.split, asked.most):
            raise UsageError(
                f"held_out.data {folder} has no sample of the split {asked.split} with a soft matte: build it with "
                "some (`validation: 200` of its source), or leave held_out out."
            )
        return asked.model_copy(update={"data": folder})
