"""Style pictures: IP-Adapter (Ye et al. 2023), a second cross-attention that reads a picture's CLIP embedding."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from safetensors.torch import load
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from factory.diffusion.conditions import Condition, Hints, Told
from factory.diffusion.control.as_is import BEHIND
from factory.diffusion.control.planning import folder_as_planned
from factory.diffusion.control.style_planning import PlannedStyle, encoder_of, name_of, planned_styles
from factory.diffusion.row_pictures import RowPictures
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.greenscreen.compositing import paint_on_screen
from factory.models.part import load_part
from factory.models.planned_file import bytes_as_planned
from factory.sample import Matte, Picture


class LoadedStyle(NamedTuple):
    """An adapter's image encoder, and how it is asked.

    hidden: for its last but one layer, which IP-Adapter Plus reads.
    """

    said: PlannedStyle
    encoder: Any
    process: Any
    hidden: bool

    @torch.inference_mode()
    def embeddings(self, picture: Picture) -> tuple[Tensor, Tensor]:
        """(1, 1, D) or (1, 1, T, D): those of nothing, and of the picture, as diffusers' pipelines make them."""
        pixels = self.process(picture, return_tensors="pt").pixel_values.to(self.encoder.device, self.encoder.dtype)
        if not self.hidden:
            told: Tensor = self.encoder(pixels).image_embeds
            return torch.zeros_like(told)[:, None], told[:, None]
        nothing, something = (
            self.encoder(shown, output_hidden_states=True).hidden_states[-2][:, None]
            for shown in (torch.zeros_like(pixels), pixels)
        )
        return nothing, something


def wear(plan: Plan, unet: Any) -> list[LoadedStyle]:
    """A plan's adapters, put into a U-Net; their encoders beside it. Adapters of weights are laid over it before.

    Raises UsageError for a file that is not for this U-Net, InputChanged for one that is not the planned one.
    """
    styles = planned_styles(plan)
    if not styles:
        return []
    states = [_state(load(bytes_as_planned(plan, name_of(index)))) for index in range(len(styles))]
    try:
        unet._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"--style {plan.places[name_of(0)]} does not fit the model's U-Net: {reason}") from error
    attentions = [own for own in unet.attn_processors.values() if hasattr(own, "to_k_ip")]
    for attention in attentions:
        attention.scale = [style.weight for style in styles]
    for index, state in enumerate(states):
        if len(state["ip_adapter"]) != 2 * len(attentions):
            place, there = plan.places[name_of(index)], len(state["ip_adapter"])
            raise UsageError(f"--style {place} is for another U-Net: {there} weights, not {2 * len(attentions)}.")
    return [_loaded(plan, index, style, states[index], unet) for index, style in enumerate(styles)]


def hinted(styles: Sequence[LoadedStyle], pictures: RowPictures) -> Condition[Hints]:
    """For our own sampling loop."""

    def given(batch: Sequence[Sequence[Picture]]) -> Hints:
        embedded = _embedded(styles, batch)

        def hints(latents: Tensor, _t: Tensor, _said: Told, _begins: float, _ends: float) -> Mapping[str, Any]:
            told = [torch.cat([nothing, own])[-len(latents) :] for nothing, own in embedded]
            return {"added_cond_kwargs": {"image_embeds": told}}

        return hints

    return Condition(_reader(styles, pictures), given)


def called(styles: Sequence[LoadedStyle], pictures: RowPictures, *, guided: bool) -> Condition[Mapping[str, Any]]:
    """For a pipeline of diffusers, which gives all pictures of a call the same styles: so each is painted alone.

    guided: whether it evaluates the negative prompt too.
    """

    def given(batch: Sequence[Sequence[Picture]]) -> Mapping[str, Any]:
        told = [torch.cat([nothing, own]) if guided else own for nothing, own in _embedded(styles, batch)]
        return {"ip_adapter_image_embeds": told}

    return Condition(_reader(styles, pictures), given, alone=True)


def _reader(styles: Sequence[LoadedStyle], pictures: RowPictures) -> Callable[[Mapping[str, Any]], list[Picture]]:
    def read(item: Mapping[str, Any]) -> list[Picture]:
        return [_seen(*pictures.layers(item, style.said.column)) for style in styles]

    return read


def _seen(picture: Picture, alpha: Matte | None) -> Picture:
    """What of a picture is seen: colours beneath transparency have no say."""
    return picture if alpha is None else paint_on_screen(picture, alpha, BEHIND)


def _embedded(styles: Sequence[LoadedStyle], batch: Sequence[Sequence[Picture]]) -> list[tuple[Tensor, Tensor]]:
    """Of each style, (B, 1, …) of nothing and of the pictures, each by itself: it depends on no other picture."""
    told = []
    for index, style in enumerate(styles):
        pairs = [style.embeddings(own[index]) for own in batch]
        told.append((torch.cat([nothing for nothing, _ in pairs]), torch.cat([own for _, own in pairs])))
    return told


def _state(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """As diffusers takes it."""
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor
    return parts


def _loaded(
    plan: Plan, index: int, style: PlannedStyle, state: Mapping[str, Mapping[str, Tensor]], unet: Any
) -> LoadedStyle:
    encoder = load_part(CLIPVisionModelWithProjection, folder_as_planned(plan, encoder_of(index)), dtype=unet.dtype)
    encoder.to(unet.device).eval().requires_grad_(requires_grad=False)
    side = int(encoder.config.image_size)
    process = CLIPImageProcessorPil(size=side, crop_size=side)
    return LoadedStyle(style, encoder, process, hidden="proj.weight" not in state["image_proj"])
