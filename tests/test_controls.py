"""Control networks and style pictures: they add what they add in diffusers' pipelines, and each prompt has its own."""

import inspect
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, T2IAdapter
from PIL import Image
from pipelines import OPEN, own_call
from program import Ended, factory_here, hashes
from small_set import small_plan
from tiny_controls import controlnet, ip_adapter, t2i_adapter, union
from tiny_model import OPEN_GATES, save_tiny_model
from tiny_pipelines import build

import factory
from factory.diffusion import model_folder
from factory.diffusion.conditions import hints
from factory.diffusion.control.networks import Loaded, load_networks
from factory.diffusion.control.planning import PlannedControl, plan_controls
from factory.diffusion.control.residuals import controlled
from factory.diffusion.control.settings import Control, Style
from factory.diffusion.control.style_planning import plan_styles
from factory.diffusion.control.styles import hinted, wear
from factory.diffusion.row_pictures import RowPictures
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.samplers import draw_noise, make_scheduler, sample_latents
from factory.diffusion.sample.settings import SamplerSettings
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.sample import Picture

PROMPTS, SEEDS, SIDE = ["green screen, a red feather", "green screen, a blue leaf"], [17, 18], 32
NOISE, CLOSE = draw_noise(SEEDS, (4, SIDE // 2, SIDE // 2)), 1e-4
SETTINGS = SamplerSettings(sampler="ddim", steps=4, guidance=3.0, start="noise", negative_prompt="shadow")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("controlled") / "model")


@pytest.fixture(scope="module")
def unet(model: Path) -> Any:
    return model_folder.load(model).unet


@pytest.fixture(scope="module")
def nets(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each kind."""
    folder = tmp_path_factory.mktemp("nets")
    controlnet(unet, folder / "one", seed=1)
    controlnet(unet, folder / "two", seed=2)
    union(unet, folder / "union")
    t2i_adapter(unet, folder / "t2i", factor=2)
    t2i_adapter(unet, folder / "grey", factor=2, channels=1)
    return folder


def said(network: str = "ControlNetModel", **more: Any) -> PlannedControl:
    own = {"kind": "as-is", "column": "control", "weight": 1.0, "begin": 0.0, "end": 1.0, "mode": -1}
    return PlannedControl(network=network, **{**own, **more})


def read_anew(folder: Path) -> ControlNetModel:
    return ControlNetModel.from_pretrained(folder)


def planned(model: Path, controls: Sequence[Control] = (), styles: Sequence[Style] = ()) -> Plan:
    """A plan of nothing else."""
    draft = Draft()
    plan_controls(controls, model, draft, plain=False)
    plan_styles(styles, model, draft, plain=False)
    return replace(small_plan(), settings=draft.settings, weights=draft.weights, places=draft.places)


def pictures(count: int, side: int = SIDE) -> list[list[Picture]]:
    """For each of two prompts as many."""
    random = np.random.default_rng(3)
    return [[random.integers(0, 256, (side, side, 3)).astype(np.uint8) for _ in range(count)] for _ in SEEDS]


def tensors(batch: Sequence[Sequence[Picture]], index: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([own[index] for own in batch])).permute(0, 3, 1, 2).float() / 255


def ours(model: Path, loaded: Sequence[Loaded], batch: Any, **more: Any) -> torch.Tensor:
    """Latents of our own loop."""
    pipeline = DiffuMattingPipeline.from_folder(model)
    conditions = [controlled(loaded, RowPictures(), SIDE, pipeline.device)] if loaded else []
    return latents_of(pipeline, conditions, [[own] for own in batch], **more)


@torch.inference_mode()
def latents_of(pipeline: DiffuMattingPipeline, conditions: Any, read: Any, **more: Any) -> torch.Tensor:
    return sample_latents(
        pipeline._denoise,
        pipeline.components.scheduler,
        NOISE,
        prompt_embeds=pipeline.embed(PROMPTS),
        negative_embeds=pipeline.embed([SETTINGS.negative_prompt]),
        key_latent=torch.zeros(1, 4, 1, 1),
        settings=replace(SETTINGS, **more),
        hints=hints(conditions, read),
    )


def theirs(model: Path, kind: str, parts: dict[str, Any], call: dict[str, Any]) -> torch.Tensor:
    """Latents of a pipeline of diffusers, of the same noise."""
    return own_latents(their_pipeline(model, kind, parts), call)


def their_pipeline(model: Path, kind: str, parts: dict[str, Any]) -> Any:
    base = StableDiffusionPipeline.from_pretrained(model, safety_checker=None)
    kind_of_it = getattr(diffusers, kind)
    known = inspect.signature(kind_of_it).parameters
    pipeline = kind_of_it(
        **{name: part for name, part in base.components.items() if name != "scheduler" and name in known},
        scheduler=make_scheduler(base.scheduler, "ddim"),
        requires_safety_checker=False,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def own_latents(pipeline: Any, call: dict[str, Any], which: slice = slice(None)) -> torch.Tensor:
    told: torch.Tensor = pipeline(
        prompt=PROMPTS[which],
        negative_prompt=[SETTINGS.negative_prompt] * len(PROMPTS[which]),
        latents=NOISE[which].clone(),
        num_inference_steps=SETTINGS.steps,
        output_type="latent",
        **{"guidance_scale": SETTINGS.guidance, **call},
    ).images
    return told


@pytest.mark.parametrize("weight", [0.5, 1.0])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_controlnet_adds_what_it_adds_in_diffusers_pipeline(
    model: Path, nets: Path, weight: float, guidance: float
) -> None:
    loaded, batch = load_networks([(nets / "one", said(weight=weight))], torch.float32), pictures(1)
    painted = ours(model, loaded, batch, guidance=guidance)
    call = {
        "image": tensors(batch, 0),
        "controlnet_conditioning_scale": weight,
        "guidance_scale": guidance,
    }
    own = theirs(model, "StableDiffusionControlNetPipeline", {"controlnet": read_anew(nets / "one")}, call)
    assert (painted - own).abs().max() < CLOSE
    assert (painted - ours(model, [], batch, guidance=guidance)).abs().max() > 0.05, "it has a say"


def test_several_are_summed_each_in_its_own_steps(model: Path, nets: Path) -> None:
    windows = [(nets / "one", said(weight=0.5, end=0.5)), (nets / "two", said(weight=0.8, begin=0.3))]
    batch = pictures(2)
    painted = ours(model, load_networks(windows, torch.float32), batch)
    own = theirs(
        model,
        "StableDiffusionControlNetPipeline",
        {"controlnet": [read_anew(nets / "one"), read_anew(nets / "two")]},
        {
            "image": [tensors(batch, 0), tensors(batch, 1)],
            "controlnet_conditioning_scale": [0.5, 0.8],
            "control_guidance_start": [0.0, 0.3],
            "control_guidance_end": [0.5, 1.0],
        },
    )
    assert (painted - own).abs().max() < CLOSE


@pytest.mark.parametrize("name", ["t2i", "grey"])
def test_a_t2i_adapter_adds_what_it_adds_in_diffusers_pipeline(model: Path, nets: Path, name: str) -> None:
    batch = pictures(1)
    painted = ours(model, load_networks([(nets / name, said("T2IAdapter", weight=0.7))], torch.float32), batch)
    shown = tensors(batch, 0)
    call = {
        "image": shown if name == "t2i" else shown.mean(1, keepdim=True),
        "adapter_conditioning_scale": 0.7,
        "height": SIDE,
        "width": SIDE,
    }
    adapter = T2IAdapter.from_pretrained(nets / name)
    own = theirs(model, "StableDiffusionAdapterPipeline", {"adapter": adapter}, call)
    assert (painted - own).abs().max() < CLOSE
    assert (painted - ours(model, [], batch)).abs().max() > 0.05, "it has a say"


def test_a_union_network_is_told_what_each_picture_is(model: Path, nets: Path) -> None:
    """diffusers has no pipeline with one for Stable Diffusion 1: its XL one is beside_pipeline's."""
    one, batch = said("ControlNetUnionModel", mode=3), pictures(2)
    painted = ours(model, load_networks([(nets / "union", one)], torch.float32), [own[:1] for own in batch])
    other = ours(model, load_networks([(nets / "union", replace(one, mode=0))], torch.float32), [o[:1] for o in batch])
    assert (painted - other).abs().max() > 1e-3
    both = load_networks([(nets / "union", one), (nets / "union", replace(one, mode=0))], torch.float32)
    assert both[0].network is both[1].network
    assert (ours(model, both, batch) - painted).abs().max() > 1e-3


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_an_ip_adapter_adds_what_it_adds_in_diffusers_pipeline(
    model: Path, unet: Any, tmp_path: Path, plus: bool, guidance: float
) -> None:
    adapter, batch = ip_adapter(unet, tmp_path / "ip", plus=plus), pictures(1, side=40)
    plan = planned(model, styles=[Style(model=adapter, weight=0.6)])
    components = model_folder.load(model)
    styles = wear(plan, components.unet)
    pipeline = DiffuMattingPipeline(components)
    painted = latents_of(pipeline, [hinted(styles, RowPictures())], [[own] for own in batch], guidance=guidance)
    base = their_pipeline(model, "StableDiffusionPipeline", {})
    base.load_ip_adapter(str(adapter), "", "ip-adapter.safetensors", local_files_only=True)
    base.set_ip_adapter_scale(0.6)
    own = [
        own_latents(base, {"guidance_scale": guidance, "ip_adapter_image": Image.fromarray(shown[0])}, slice(i, i + 1))
        for i, shown in enumerate(batch)
    ]
    assert (painted - torch.cat(own)).abs().max() < CLOSE
    assert (painted - ours(model, [], batch, guidance=guidance)).abs().max() > 0.01, "it has a say"
