"""Pictures that belong to prompts: columns of a prompt list that is a table name their files.

A plan holds each file's hash in the prompt's row. One that is missing, or is no picture, costs its item and nothing
else; one that has changed since ends the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any, TypeAlias

from factory.diffusion.routing import SCREENS
from factory.engine.draft import Draft
from factory.engine.input_files import look_at_files, read_as_planned
from factory.engine.inputs import ATTEMPTS, HOLE
from factory.engine.plan import Plan
from factory.engine.survey import Surveyor
from factory.errors import DataError, UsageError, some
from factory.pictures.picture import decode_layers
from factory.sample import Matte, Picture

PLACE = "row_pictures"  # of a plan: the folder that the names are relative to, the prompt list's own
TAKEN = frozenset({"prompt", "text", "caption", "TEXT", "class", "attributes", SCREENS, HOLE, ATTEMPTS})

Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RowPictures:
    """Where a plan's pictures lie, for those who read them in a worker.  folder: None where there are none."""

    folder: Path | None = None

    def data(self, item: Mapping[str, Any], column: str) -> bytes:
        """The file that an item's row names. Raises DataError where there is none, InputChanged where it is another."""
        name, sha256 = str(item.get(column, "")), str(item.get(hash_of(column), ""))
        if not name:
            raise DataError("no_picture", f"its row names no file under `{column}`")
        if not sha256 or self.folder is None:
            raise DataError("no_picture", f"there was no file {name!r} when the run was planned (`{column}`)")
        return read_as_planned(self.folder / name, sha256)

    def layers(self, item: Mapping[str, Any], column: str) -> tuple[Picture, Matte | None]:
        """(H, W, 3) uint8 sRGB, and its alpha (H, W) uint8 if it has one.

        Raises as `data`, and DataError for a file that is no picture.
        """
        content = self.data(item, column)
        try:
            return decode_layers(content)
        except DataError as fault:
            raise about(item, column, fault) from fault

    def picture(self, item: Mapping[str, Any], column: str) -> Picture:
        """As `layers`, without alpha."""
        return self.layers(item, column)[0]


def about(item: Mapping[str, Any], column: str, fault: DataError) -> DataError:
    """What is wrong with the file that an item's row names, with its name."""
    return DataError(fault.kind, f"{item[column]} (`{column}`): {fault}")


def pictures_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """What an item's row names, as "column: file"."""
    columns = [name.removesuffix(hash_of("")) for name in item if name.endswith(hash_of(""))]
    return tuple(f"{column}: {item[column]}" for column in columns)


def hash_of(column: str) -> str:
    """The name of the column that holds the hashes of a column's files; "" stands there for a file that is missing."""
    return f"{column}_sha256"


def check_columns(columns: Sequence[str], prompts: str) -> None:
    """Raises UsageError for a column that means something else.  prompts: the list, "" for none."""
    if columns and not prompts:
        raise UsageError(f"the column `{columns[0]}` names pictures: give the table that has it, with --prompts.")
    for column in columns:
        if not column.strip() or column in TAKEN or column.endswith(hash_of("")):
            raise UsageError(f"a column of pictures cannot be called {column!r}: name it otherwise.")


def plan_row_pictures(
    rows: Rows, columns: Sequence[str], folder: Path, surveyor: Surveyor, draft: Draft
) -> list[dict[str, Any]]:
    """The rows with the hash of each file that they name; a remark says how many are missing.

    Rows that were frozen before, whose list is gone, keep the hashes that they have.
    folder: of the prompt list.
    """
    fresh = [column for column in columns if hash_of(column) not in rows[0]]
    if lacking := [column for column in fresh if column not in rows[0]]:
        raise UsageError(f"the prompts that the set was begun with have no column `{lacking[0]}`: use a new --out.")
    named = {str(row[column]) for row in rows for column in fresh}
    found = sorted(name for name in named if name and isfile(folder / name))  # noqa: PTH113  (also of names that none can have)
    hashes = {name: sha256 for name, (_, sha256) in look_at_files(surveyor, folder, found).items()}
    hashed = [{**row, **{hash_of(column): hashes.get(str(row[column]), "") for column in fresh}} for row in rows]
    for column in columns:
        if missing := [str(row[column]) for row in hashed if not row[hash_of(column)]]:
            told = f"{len(missing):,} of {len(rows):,} prompts name no file that is there under `{column}`"
            names = list(dict.fromkeys(filter(None, missing)))
            draft.remarks.append(f"{told}{': ' if names else ''}{some(names)}.")
    if columns:
        draft.places[PLACE] = str(folder.resolve())
    return hashed


def changed_pictures(begun: Rows, now: Rows) -> list[str]:
    """The pictures that are others than they were, with their prompts. [] where the rows differ in anything else."""
    if len(begun) != len(now):
        return []
    told = list[str]()
    for old, new in zip(begun, now, strict=True):
        columns = [column for column in old if hash_of(column) in old]
        hashes = {name: new[name] for name in map(hash_of, columns) if name in new}
        if {**old, **hashes} != new:
            return []
        changed = [column for column in columns if old[hash_of(column)] != new[hash_of(column)]]
        shown_for = f" of {new['prompt']!r}" if "prompt" in new else ""
        told += [f"picture {new[column]}{shown_for}" for column in changed]
    return list(dict.fromkeys(told))


def planned_row_pictures(plan: Plan) -> RowPictures:
    """The pictures of a plan's prompts."""
    return RowPictures(Path(plan.places[PLACE]) if PLACE in plan.places else None)
