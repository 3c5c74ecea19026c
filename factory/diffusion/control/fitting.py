"""Which control networks there are, for which bases, and whether one fits: told from configurations, nothing loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from factory.errors import UsageError
from factory.models.folder import check_weights, read_json
from factory.models.other_inputs import CONTROL, other_input

CONTROLNET, UNION, T2I = "ControlNetModel", "ControlNetUnionModel", "T2IAdapter"
SD, XL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
FULL_XL = "full_adapter_xl"
PLAIN_BLOCK = "DownBlock2D"  # a level without attention, to which a T2I-Adapter adds after it has been halved
EMBEDDING = (16, 32, 96, 256)  # what a ControlNet's configuration leaves unsaid
SHARED = ("in_channels", "cross_attention_dim", "block_out_channels", "addition_embed_type")


class Sibling(NamedTuple):
    """A pipeline with control networks beside one without.  picture: its argument for control pictures."""

    pipeline: str
    picture: str = "image"


SIBLINGS: Mapping[tuple[str, str], Sibling] = {
    (SD, CONTROLNET): Sibling("StableDiffusionControlNetPipeline"),
    (XL, CONTROLNET): Sibling("StableDiffusionXLControlNetPipeline"),
    (XL, UNION): Sibling("StableDiffusionXLControlNetUnionPipeline", "control_image"),
    (SD, T2I): Sibling("StableDiffusionAdapterPipeline"),
    (XL, T2I): Sibling("StableDiffusionXLAdapterPipeline"),
}
"""By the base's pipeline and the network's class."""


def network_in(folder: Path, name: str) -> tuple[str, Mapping[str, Any]]:
    """The class of the control network in a folder, and its configuration.  name: the flag, for errors.

    Raises UsageError for another kind of folder, and for one that is not whole.
    """
    if (other := other_input(folder)) not in ("", CONTROL):
        raise UsageError(f"{name} {folder} is {other}.")
    if folder.is_file():
        raise UsageError(f"{name} {folder} is a file: give the folder that diffusers saved the network in, with it.")
    config: Any = read_json(folder / "config.json")
    kind = config.get("_class_name") if isinstance(config, dict) else None
    if kind not in (CONTROLNET, UNION, T2I):
        raise UsageError(f"{name} {folder} holds {kind or 'no network'}: give a {CONTROLNET}, {UNION} or {T2I}.")
    check_weights(folder)
    return str(kind), config


def check_fit(name: str, kind: str, config: Mapping[str, Any], base: Path) -> None:
    """Raises UsageError for a network of another base.  name: of the network, for errors.  base: its folder."""
    unet: Any = read_json(base / "unet" / "config.json")
    if kind == T2I:
        _check_adapter(name, config, unet, base)
        return
    embedding = config.get("conditioning_embedding_out_channels", EMBEDDING)
    if (smaller := 2 ** (len(embedding) - 1)) != (pixels := _pixels(base)):
        raise UsageError(f"{name} is for another base: it shrinks its picture {smaller} times, not {pixels}.")
    for field in SHARED:
        if field in config and field in unet and _plain(config[field]) != _plain(unet[field]):
            raise UsageError(
                f"{name} is for another base: its {field} is {config[field]}, that of {base} is {unet[field]}."
            )


def _check_adapter(name: str, config: Mapping[str, Any], unet: Mapping[str, Any], base: Path) -> None:
    """A T2I-Adapter's features are to be of the widths and sizes that the U-Net's levels have."""
    told, levels = list(config.get("channels", ())), list(unet.get("block_out_channels", ()))
    kind, is_xl = str(config.get("adapter_type", "")), unet.get("addition_embed_type") == "text_time"
    if (kind == FULL_XL) != is_xl:
        raise UsageError(f"{name} is for another base: its adapter_type is {kind}; {FULL_XL} is for XL, and only that.")
    features = [*told, *told[-1:]] if kind.startswith("light") else told  # its last level comes twice
    asked = [*levels, *levels[-1:]] if is_xl else levels  # the U-Net's middle too
    if features != asked:
        raise UsageError(f"{name} is for another base: its channels are {told}, those of {base} {levels}.")
    pixels = _pixels(base)
    first: Any = unet.get("down_block_types") or [""]
    smaller = pixels * 2 if first[0] == PLAIN_BLOCK and len(first) > 1 else pixels
    if (factor := config.get("downscale_factor")) != smaller:
        raise UsageError(f"{name} is for another base: its downscale_factor is {factor}, not {smaller}.")


def _pixels(base: Path) -> int:
    """By how much what the base paints is smaller than its pictures."""
    return int(2 ** (len(read_json(base / "vae" / "config.json").get("block_out_channels", ())) - 1))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
