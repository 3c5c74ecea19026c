"""Before anything is trained: no set and no background of a cell shows a picture that the cell is tested on."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from factory.errors import count_of
from factory.experiments.cells import outcome_of
from factory.experiments.matting.cell import MattingCell
from factory.matting.leakage import HeldOut, find_leaks, leaks_of_backgrounds, leaks_sentence
from factory.run.say import Say

Place: TypeAlias = tuple[str, str]
"""A set and its split, or a folder of backgrounds and ""."""


def leaking(cells: Sequence[MattingCell], say: Say) -> dict[str, str]:
    """Arm → what leaks into its trainings; arms of which all cells are done are not looked at again.

    Sets are compared by files, pixels and looks (matting/leakage.py), backgrounds by files. Of each fold, pictures,
    sets and backgrounds are looked at once.
    """
    leaks: dict[str, str] = {}
    missing = [cell for cell in cells if not outcome_of(cell).measured]
    for fold in dict.fromkeys(cell.fold for cell in missing):
        own = [cell for cell in missing if cell.fold == fold]
        pictures = count_of(len(own[0].pictures), "test picture", "test pictures")
        say(f"looking for the {pictures} of fold {fold} in sets and backgrounds")
        found = _in_sets(own) | _in_backgrounds(own)
        for cell in own:
            if told := next((found[place] for place in (*_sets(cell), *_backgrounds(cell)) if place in found), ""):
                leaks.setdefault(cell.arm.name, told)
    return leaks


def _sets(cell: MattingCell) -> list[Place]:
    return [(entry.path, entry.split) for entry in cell.training.loader.sets]


def _backgrounds(cell: MattingCell) -> list[Place]:
    return [(folder, "")] if (folder := cell.training.loader.backgrounds) else []


def _in_sets(cells: Sequence[MattingCell]) -> dict[Place, str]:
    """Of cells of one fold: what leaks into which of their sets."""
    fold, found = cells[0].fold_folder, dict[Place, str]()
    places = sorted({place for cell in cells for place in _sets(cell)})
    for split in sorted({split for _, split in places}):
        folders = {Path(path): path for path, own in places if own == split}
        by_set = groupby(
            find_leaks(list(folders), [HeldOut(fold / "pictures", fold / "alphas")], split), lambda leak: leak.dataset
        )
        found |= {(folders[folder], split): leaks_sentence(list(leaks)) for folder, leaks in by_set}
    return found


def _in_backgrounds(cells: Sequence[MattingCell]) -> dict[Place, str]:
    test = HeldOut(cells[0].fold_folder / "pictures")
    places = sorted({place for cell in cells for place in _backgrounds(cell)})
    told = {place: leaks_of_backgrounds(Path(place[0]), [test]) for place in places}
    return {place: sentence for place, sentence in told.items() if sentence}
