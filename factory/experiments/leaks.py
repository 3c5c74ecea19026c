"""Before anything is trained: no set and no background of a cell shows a picture that the cell is tested on."""

from collections.abc import Sequence
from pathlib import Path

from factory.engine.input_files import digest
from factory.errors import some
from factory.experiments.cells import Cell, outcome_of
from factory.matting.leakage import HeldOut, find_leaks, leaks_sentence
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES


def leaking(cells: Sequence[Cell]) -> dict[str, str]:
    """Arm → what leaks into its trainings; arms of which all cells are done are not looked at again.

    Sets are compared by files, pixels and looks (matting/leakage.py), backgrounds by files. Each set is looked at once
    for each fold.
    """
    seen: dict[tuple[str, str, int], str] = {}
    leaks: dict[str, str] = {}
    for cell in cells:
        if cell.arm.name in leaks or outcome_of(cell).errors:
            continue
        for entry in cell.training.loader.sets:
            place = (entry.path, entry.split, cell.fold)
            if place not in seen:
                seen[place] = _in_set(cell, Path(entry.path), entry.split)
            if seen[place]:
                leaks[cell.arm.name] = seen[place]
        if backgrounds := cell.training.loader.backgrounds:
            place = (backgrounds, "", cell.fold)
            if place not in seen:
                seen[place] = _in_backgrounds(cell, Path(backgrounds))
            if seen[place]:
                leaks[cell.arm.name] = seen[place]
    return leaks


def _in_set(cell: Cell, folder: Path, split: str) -> str:
    test = HeldOut(cell.fold_folder / "pictures", cell.fold_folder / "alphas")
    leaks = find_leaks([folder], [test], split)
    return leaks_sentence(leaks) if leaks else ""


def _in_backgrounds(cell: Cell, folder: Path) -> str:
    tested = {digest(picture.picture)[1] for picture in cell.pictures}
    same = [file for file in sorted(files_below(folder, SUFFIXES)) if digest(folder / file)[1] in tested]
    return f"test pictures lie among the backgrounds {folder}: {some(same)}; take them out." if same else ""
