"""A folder with a ViTMatte, as transformers writes and reads it, looked at without torch."""

from math import isfinite
from pathlib import Path
from typing import Any

from factory.errors import UsageError
from factory.matting.networks.colours import IMAGENET, Colours
from factory.models.folder import check_weights, read_mapping

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
HALVES = (0.5, 0.5, 0.5)


def is_vitmatte(folder: Path) -> bool:
    """Whether its config.json says so."""
    return (folder / CONFIG).is_file() and read_mapping(folder / CONFIG).get("model_type") == "vitmatte"


def check_folder(folder: Path) -> list[Path]:
    """The files that decide what the network computes.

    Raises UsageError for a folder that is not whole, or whose backbone is no VitDet of four channels: the picture's
    and the trimap.
    """
    config = read_mapping(folder / CONFIG)
    backbone: Any = config.get("backbone_config")
    if config.get("backbone") is not None or not isinstance(backbone, dict):
        raise UsageError(f"{folder / CONFIG} has no backbone_config of its own: give a folder that is whole.")
    if backbone.get("model_type") != "vitdet" or backbone.get("num_channels") != 4:
        found = f"{backbone.get('model_type')!r} with {backbone.get('num_channels')} channels"
        raise UsageError(f"{folder / CONFIG} has the backbone {found}: a ViTMatte has a 'vitdet' with 4.")
    check_weights(folder)
    colours_of(folder)
    configurations = [path for name in (CONFIG, PREPROCESSOR) if (path := folder / name).is_file()]
    return [*configurations, *sorted(folder.glob("*.safetensors"))]


def colours_of(folder: Path) -> Colours:
    """What its image processor takes off; ImageNet's where there is none. Raises UsageError where it says no such."""
    place = folder / PREPROCESSOR
    if not place.is_file():
        return IMAGENET
    said = read_mapping(place)
    mean, std = (_three(place, name, said.get(name, list(HALVES))) for name in ("image_mean", "image_std"))
    if min(std) <= 0:
        raise UsageError(f"{place} has an image_std of {min(std)}: give three numbers above 0.")
    return mean, std


def remark_on(folder: Path) -> str:
    """What is to be said of a folder that can be used; "" for most."""
    if not is_vitmatte(folder) or colours_of(folder) != (HALVES, HALVES):
        return ""
    mean, std = (list(values) for values in IMAGENET)
    return (
        f"{folder / PREPROCESSOR} says mean and deviation 0.5, the default of transformers, and is followed; the "
        f"authors' weights were trained with ImageNet's: for these set image_mean to {mean} and image_std to {std}."
    )


def _three(place: Path, name: str, value: Any) -> tuple[float, ...]:
    if (
        not isinstance(value, list | tuple)
        or len(value) != 3
        or not all(isinstance(each, int | float) and isfinite(each) for each in value)
    ):
        raise UsageError(f"{place} has no three numbers {name}: copy it again.")
    return tuple(float(each) for each in value)
