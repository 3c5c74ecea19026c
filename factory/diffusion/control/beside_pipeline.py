"""Control networks beside a pipeline of diffusers: its own sibling that takes them, called as anybody calls it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import diffusers

from factory.diffusion.conditions import Condition
from factory.diffusion.control.fitting import SIBLINGS, T2I, UNION
from factory.diffusion.control.networks import Loaded, as_inputs, reader
from factory.diffusion.row_pictures import RowPictures
from factory.diffusion.sizes import Size
from factory.errors import UsageError
from factory.sample import Picture


def sibling(pipeline: Any, loaded: Sequence[Loaded]) -> Any:
    """The same parts with the networks beside them. Several are one part, as diffusers has it.

    Raises UsageError for T2I-Adapters that cannot be one, as their features are of other sizes.
    """
    network = loaded[0].said.network
    kind = getattr(diffusers, SIBLINGS[type(pipeline).__name__, network].pipeline)
    networks = list({id(one.network): one.network for one in loaded}.values())
    together = networks[0] if network == UNION or len(loaded) == 1 else [one.network for one in loaded]
    if network == T2I and len(loaded) > 1:
        together = _as_one(together)
    more: dict[str, Any] = {"adapter" if network == T2I else "controlnet": together}
    if "add_watermarker" in inspect.signature(kind).parameters:
        more["add_watermarker"] = False
    return kind(**_parts(pipeline, kind), **more)


def _as_one(adapters: Sequence[Any]) -> Any:
    try:
        return diffusers.MultiAdapter(adapters)
    except ValueError as error:
        raise UsageError(
            "--control: a pipeline takes several T2I-Adapters only if all make a picture smaller by the same factor: "
            "give one of them."
        ) from error


def _parts(pipeline: Any, kind: Any) -> dict[str, Any]:
    """What of a pipeline its sibling takes too; a setting that is in both is as the pipeline has it."""
    known = inspect.signature(kind).parameters
    own = {name: value for name, value in pipeline.config.items() if not name.startswith("_")}
    return {name: value for name, value in (own | pipeline.components).items() if name in known}


def controlled(loaded: Sequence[Loaded], base: str, pictures: RowPictures, size: Size) -> Condition[Mapping[str, Any]]:
    """The networks' pictures and weights as arguments of the sibling's call.  base: the pipeline's class.

    With a union network each picture is painted alone, see residuals.py.
    """
    return Condition(
        reader(loaded, pictures, size),
        lambda batch: arguments(loaded, base, batch),
        alone=loaded[0].said.network == UNION,
    )


def arguments(loaded: Sequence[Loaded], base: str, batch: Sequence[Sequence[Picture]]) -> dict[str, Any]:
    """As diffusers calls them.  batch: of each picture to paint, the control pictures."""
    network = loaded[0].said.network
    said = [one.said for one in loaded]
    shown = as_inputs(loaded, batch)
    alone = len(loaded) == 1 and network != UNION
    picture = SIBLINGS[base, network].picture
    height, width = shown[0].shape[-2:]
    call: dict[str, Any] = {picture: shown[0] if alone else shown, "height": height, "width": width}
    weights = [one.weight for one in said]
    if network == T2I:
        return call | {"adapter_conditioning_scale": weights[0] if alone else weights}
    if network == UNION:
        call["control_mode"] = [one.mode for one in said]
    return call | {
        "controlnet_conditioning_scale": weights[0] if alone else weights,
        "control_guidance_start": said[0].begin if alone else [one.begin for one in said],
        "control_guidance_end": said[0].end if alone else [one.end for one in said],
    }
