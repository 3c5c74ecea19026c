"""Recipes and prompt lists that ship with the package, found by name from any folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["pipelines", "prompts"]

_PACKED = Path(__file__).parent / "shipped"  # where a wheel has them
_FOLDER = _PACKED if _PACKED.is_dir() else Path(__file__).parents[1]  # in a checkout they lie at the top
_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {"pipelines": (".yaml",), "prompts": (".txt", ".yaml")}
_CALLED: Mapping[Kind, str] = {"pipelines": "recipe", "prompts": "prompt list"}


def shipped(kind: Kind) -> list[Path]:
    """The files of a kind, by name."""
    return sorted(path for suffix in _SUFFIXES[kind] for path in (_FOLDER / kind).glob(f"*{suffix}"))


def names(kind: Kind) -> list[str]:
    """What they are called by."""
    return [path.stem for path in shipped(kind)]


def find_shipped(kind: Kind, name: str) -> Path | None:
    """The shipped file that a name means: "tiny-green", "tiny-green.yaml" or "pipelines/tiny-green.yaml"."""
    wanted = name.removeprefix(f"{kind}/")
    return next((path for path in shipped(kind) if wanted in (path.stem, path.name)), None)


def choose(kind: Kind, name: str, say: Callable[[str], None]) -> Path:
    """The user's own file of this name, with or without suffix; else the shipped one; else the path as it was given.

    say: is told, in a sentence that follows the name, where the other of the two could have been meant.
    """
    given, found = Path(name), find_shipped(kind, name)
    beside = next((path for suffix in _SUFFIXES[kind] if _is_file(path := Path(f"{name}{suffix}"))), None)
    if _is_file(given):
        return given
    if beside is not None:
        if found is not None:
            say(f"taking {beside} of this folder, not the {_CALLED[kind]} that ships under this name.")
        return beside
    if found is None:
        return given
    if given.is_dir() or name != found.stem:  # a folder, or written as a file is
        what = "a folder" if given.is_dir() else "not a file"
        say(f"{what} here; taking the {_CALLED[kind]} of that name that ships with factory.")
    return found


def summary(path: Path) -> str:
    """What a shipped file says of itself in its first line, a comment; "" where it says nothing."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _is_file(path: Path) -> bool:
    """Also a pipe, as the shell's <(…) gives one."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a folder that may not be entered, a name too long: reading it will say so
        return True
