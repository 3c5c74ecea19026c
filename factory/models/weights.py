"""A network's weights in one file that a user names: found, safe to read, the shapes in it. Without loading torch."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from factory.errors import UsageError, quoted

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".h5", ".msgpack")
SAFE = ".safetensors"


def weights_file(place: Path, name: str) -> Path:
    """The safetensors file at a place, or the only one in a folder.  name: of the flag or setting that names the place.

    Raises UsageError where there is none, or one of a kind that could run code.
    """
    if place.is_dir():
        found = sorted(place.glob(f"*{SAFE}"))
        if len(found) != 1:
            raise UsageError(f"{name} {place} holds {len(found)} files *{SAFE}: name the file.")
        return found[0]
    if not place.is_file():
        raise UsageError(f"{name} {place}: there is no such file; give the network's {SAFE}.")
    if place.suffix in PICKLED:
        raise UsageError(
            f"{name} {place} is pickled and could run code: convert it to safetensors "
            f"(`factory convert {quoted(place)}`) and give that."
        )
    return place


def refuse_pickled(folder: Path) -> None:
    """Raises UsageError for weights in a folder without safe ones."""
    for path in sorted(folder.iterdir()):
        if path.suffix in PICKLED:
            how = f"convert it to safetensors (`factory convert {quoted(path)}`) and remove it"
            raise UsageError(f"{path} is pickled and could run code: {how}")


def shapes_in(path: Path) -> Mapping[str, tuple[int, ...]]:
    """The shape of each tensor, by its name. Raises UsageError where the file is no whole safetensors file."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"{path} is cut short or not a safetensors file ({error}): copy it again") from error
