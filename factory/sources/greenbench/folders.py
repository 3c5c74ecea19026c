"""Folders of cut-outs that a user adds to the benchmark: repository and commit are told, a hash is held to."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field

from factory.engine.survey import Surveyor
from factory.errors import UsageError
from factory.settings import Place, Strict
from factory.sources.entry import Row
from factory.sources.files.rgba_folder import list_items, look_at_cutouts
from factory.sources.greenbench.registry import Kind
from factory.sources.groups import Group, group_of


class PinnedFolder(Strict):
    """Pictures with an alpha channel, straight colours."""

    path: Place
    repository: Annotated[str, Field(min_length=1)]  # where it comes from, "owner/name"
    commit: Annotated[str, Field(pattern="[0-9a-f]{7,40}")]
    sha256: Annotated[str, Field(pattern="([0-9a-f]{64})?")] = ""  # over all that is included; "" pins nothing yet
    licence: Annotated[str, Field(min_length=1)]
    attribution: str = ""
    kind: Kind = "plain"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)  # glob patterns below the folder
    at_most: Annotated[int, Field(ge=0)] = 0  # pictures of a group, chosen by hashes of their names; 0 is all
    optional: bool = False  # an absent folder is passed over with a word


def rows_of(folder: PinnedFolder, group: Group, surveyor: Surveyor) -> tuple[list[Row], str]:
    """The folder's pictures of a group that can be used, and the hash over names and contents of those of all groups.

    So one pin holds for every group.  Raises UsageError where that is not the hash of the recipe.
    """
    looked = list_items(
        folder.path,
        lambda paths: look_at_cutouts(surveyor, folder.path, paths),
        include=folder.include,
        licence=folder.licence,
        attribution=folder.attribution or f"{folder.repository}@{folder.commit}",
    )
    usable = [row for row in looked if not row["error_kind"]]
    pin = hash_over(usable)
    if folder.sha256 not in ("", pin):
        raise UsageError(
            f"{folder.path} is not what the recipe pins (sha256 {folder.sha256[:16]}…, found {pin[:16]}…): restore "
            f"{folder.repository}@{folder.commit}, or correct `sha256`."
        )
    own = (row for row in usable if group_of(str(row["path"])) == group)
    rows = sorted(own, key=lambda row: _rank(str(row["path"])))
    return rows[: folder.at_most] if folder.at_most else rows, pin


def is_absent(folder: PinnedFolder) -> bool:
    """Whether it is optional and not there. Raises UsageError where it is not there and not optional."""
    if folder.path.is_dir():
        return False
    if not folder.optional:
        where = Path(folder.path).resolve()
        raise UsageError(f"the recipe's folder {where} does not exist: mend its path, or mark it `optional: true`.")
    return True


def hash_over(rows: Sequence[Row]) -> str:
    """SHA-256 over path and SHA-256 of each picture, in order of paths."""
    lines = sorted(f"{row['path']}\0{row['sha256']}\n" for row in rows)
    return sha256("".join(lines).encode()).hexdigest()


def _rank(path: str) -> bytes:
    return sha256(path.encode()).digest()
