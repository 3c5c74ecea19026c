"""Recipes and prompt lists that ship with the package, found by name from any folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["pipelines", "prompts"]

_PACKED = Path(__file__).parent / "shipped"  # where a wheel has them
_FOLDER = _PACKED if _PACKED.is_dir() else Path(__file__).parents[1]  # in a checkout they lie at the top
_SUFFIX: Mapping[Kind, str] = {"pipelines": ".yaml", "prompts": ".txt"}


def shipped(kind: Kind) -> list[Path]:
    """The files of a kind, by name."""
    return sorted((_FOLDER / kind).glob(f"*{_SUFFIX[kind]}"))


def find_shipped(kind: Kind, name: str) -> Path | None:
    """The shipped file that a name means: "tiny-green", "tiny-green.yaml" or "pipelines/tiny-green.yaml"."""
    wanted = name.removeprefix(f"{kind}/").removesuffix(_SUFFIX[kind])
    return next((path for path in shipped(kind) if path.stem == wanted), None)


def summary(path: Path) -> str:
    """What a shipped file says of itself in its first line, a comment; "" where it says nothing."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.removeprefix("#").strip() if first.startswith("#") else ""
