"""Recipe → cells: arms × folds × seeds, with the sets as they lie on the disk by now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from factory.errors import UsageError
from factory.experiments.contents import Contents
from factory.experiments.fields import check_known
from factory.experiments.matting.arms import OneArm, Taken, arms_of
from factory.experiments.matting.cell import MattingCell
from factory.experiments.matting.folds import TestPicture, find_test_pictures, in_folds, lay_out
from factory.experiments.matting.parts import lay_part
from factory.experiments.matting.recipe import ExperimentRecipe
from factory.experiments.sets import PlannedSet, plan_sets
from factory.jobs.registry import parse
from factory.jobs.train_matting import TrainMattingRecipe
from factory.matting.data.backgrounds import find_backgrounds
from factory.matting.data.settings import check as check_loader
from factory.matting.networks.folder import look
from factory.matting.networks.kinds import checked
from factory.matting.tainted import models_of, taints
from factory.matting.train.inputs import check_inputs
from factory.matting.train.settings import MattingTraining
from factory.run.say import Say
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout


@dataclass(frozen=True)
class Experiment:
    """What a recipe asks for, before anything is made.  wanted: the arms to be run; the others are only told of."""

    recipe: ExperimentRecipe
    arms: tuple[OneArm, ...]
    wanted: frozenset[str]
    folds: tuple[tuple[TestPicture, ...], ...]
    sets: Mapping[str, PlannedSet]

    @property
    def wanted_sets(self) -> set[str]:
        """The sets of the wanted arms, and those that these are made of."""
        used = {name for arm in self.arms if arm.name in self.wanted for name in arm.sets}
        return used | {origin for name in used for origin in self.sets[name].origins}


def plan_experiment(recipe: ExperimentRecipe, only: Sequence[str], say: Say) -> Experiment:
    """Writes nothing. Raises UsageError for whatever is wrong with the recipe and the folders that it names.

    only: arms, as the recipe or the table names them; none are all.
    """
    arms = tuple(arms_of(recipe))
    known = dict.fromkeys([name for arm in arms for name in (arm.name, arm.series) if name])
    for name in only:
        check_known("--only", name, known)
    wanted = frozenset(arm.name for arm in arms if not only or {arm.name, arm.series} & set(only))
    pictures = find_test_pictures(recipe.test)
    folds = in_folds(pictures, recipe.folds.count) if recipe.folds else [pictures]
    experiment = Experiment(recipe, arms, wanted, tuple(map(tuple, folds)), plan_sets(recipe.sets, recipe.out, say))
    for arm in arms:
        training = training_of(arm, {name: experiment.sets[name].folder for name in arm.sets})
        if arm.name in wanted:
            _check_folders(training)
    for name in experiment.wanted_sets:
        if (there := experiment.sets[name]).recipe is None:
            DataSet(there.folder)
    return experiment


def _check_folders(training: MattingTraining) -> None:
    """Before sets are made, which may take days. Raises UsageError."""
    if training.loader.backgrounds:
        find_backgrounds(training.loader.backgrounds)
    if training.begin:
        look(Path(training.begin))


def cells_of(experiment: Experiment, without: Mapping[str, str]) -> tuple[list[MattingCell], dict[str, str]]:
    """The cells of all arms whose sets are there; and why the others have none, by arm.

    Folds and parts of sets are laid out on the way.  without: sets that are not to be had, and why.
    """
    out, cells, failed = experiment.recipe.out, list[MattingCell](), dict[str, str]()
    for fold, pictures in enumerate(experiment.folds):
        lay_out(pictures, out / "folds" / str(fold))
    parts = Parts(experiment)
    for arm in experiment.arms:
        if reason := next((f"the set {name}: {without[name]}" for name in arm.sets if name in without), ""):
            failed[arm.name] = reason
            continue
        if arm.name not in experiment.wanted and not all(experiment.sets[name].is_there for name in arm.sets):
            continue
        try:
            cells += _cells(experiment, arm, parts)
        except UsageError as error:
            failed[arm.name] = str(error)
    return cells, failed


class Parts:
    """The parts of sets that arms train on, each laid out once."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self.content = Contents()

    def part(self, name: str, taken: Taken, fold: int) -> Path:
        """The set itself, or that part of it that a fold may train on."""
        recipe, whole = self._experiment.recipe, self._experiment.sets[name].folder
        held_out: list[str] = []
        if recipe.folds and name in recipe.folds.sets:
            held_out = [picture.name for picture in self._experiment.folds[fold]]
        if not held_out and not taken.take:
            return whole
        mark = sha256(repr((self.content(whole), held_out, taken.take)).encode()).hexdigest()[:12]
        out = recipe.out / "parts" / f"{name}-{mark}"
        if not Layout(out).manifest.is_file():
            lay_part(whole, out, without=held_out, take=taken.take)
        return out


def _cells(experiment: Experiment, arm: OneArm, parts: Parts) -> Iterator[MattingCell]:
    """Raises UsageError for what cannot be trained."""
    out = experiment.recipe.out.absolute()
    for fold in arm.folds:
        fold_folder = out / "folds" / str(fold)
        folders = {name: parts.part(name, taken, fold).absolute() for name, taken in arm.sets.items()}
        training = training_of(arm, folders)
        check_inputs(training)
        places = (*folders.values(), training.loader.backgrounds, training.begin)
        content = {str(place): parts.content(Path(place)) for place in places if place}
        for seed in arm.seeds:
            yield MattingCell(
                arm=arm,
                fold=fold,
                seed=seed,
                training=replace(training, seed=seed),
                pictures=experiment.folds[fold],
                content=content,
                fold_folder=fold_folder,
                root=out / "cells",
            )


def training_of(arm: OneArm, folders: Mapping[str, Path]) -> MattingTraining:
    """The settings of an arm's trainings but for the seed. Raises UsageError naming each wrong field.

    folders: where its sets lie.
    """
    sets = [{"path": str(folders[name]), "share": own.share, **own.options} for name, own in arm.sets.items()]
    fields = {**arm.training, "loader": {**arm.training.get("loader", {}), "sets": sets}}
    try:
        recipe = parse({"job": "train-matting", "out": "unused", "train": fields})
    except UsageError as error:
        raise UsageError(f"arm {arm.name}: {error}") from error
    assert isinstance(recipe, TrainMattingRecipe)
    training = recipe.train
    check_loader(training.loader)
    checked(training.network, training.options)
    return training


def tainted(experiment: Experiment) -> list[str]:
    """Models that had a part in the wanted arms' sets or weights, and are known to have seen the test's benchmark."""
    folders = [experiment.sets[name].folder for name in sorted(experiment.wanted_sets)]
    used = {name for folder in folders for name in models_of(folder)}
    wanted = [arm for arm in experiment.arms if arm.name in experiment.wanted]
    used |= {arm.training["begin"] for arm in wanted if arm.training.get("begin")}
    return [str(taint) for taint in taints(sorted(used), [experiment.recipe.test.pictures])]
