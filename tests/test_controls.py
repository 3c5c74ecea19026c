"""Control networks and style pictures: they add what they add in diffusers' pipelines, and each prompt has its own."""

import inspect
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, MultiAdapter, StableDiffusionPipeline, T2IAdapter, UNet2DConditionModel
from PIL import Image
from program import Ended, factory_here, hashes
from pyarrow.parquet import read_table
from safetensors.numpy import load_file, save_file
from small_set import small_plan
from tiny_controls import controlnet, ip_adapter, t2i_adapter, union
from tiny_model import OPEN_GATES, save_tiny_model
from tiny_pipelines import build

import factory
from factory.diffusion import model_folder
from factory.diffusion.conditions import hints
from factory.diffusion.control.beside_pipeline import arguments, sibling
from factory.diffusion.control.beside_pipeline import controlled as called_with
from factory.diffusion.control.networks import Loaded, load_networks
from factory.diffusion.control.planning import PlannedControl, plan_controls, planned_controls
from factory.diffusion.control.residuals import controlled, residuals
from factory.diffusion.control.settings import Control, Style
from factory.diffusion.control.style_planning import plan_styles
from factory.diffusion.control.styles import hinted, wear
from factory.diffusion.plain.families import family_of
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.screen_start import screen_start
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.plain.source import PlainSource
from factory.diffusion.row_pictures import RowPictures
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.samplers import draw_noise, make_scheduler, sample_latents
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.sizes import square
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels
from factory.sample import Picture, Request
from factory.shards.layout import Layout
from pipelines import OPEN

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


def planned(
    model: Path, controls: Sequence[Control] = (), styles: Sequence[Style] = (), *, plain: bool = False
) -> Plan:
    """A plan of nothing else."""
    draft = Draft()
    plan_controls(controls, model, draft, plain=plain)
    plan_styles(styles, model, draft, plain=plain)
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
    conditions = [controlled(loaded, RowPictures(), square(SIDE), pipeline.device)] if loaded else []
    return latents_of(pipeline, conditions, [[own] for own in batch], **more)


@torch.inference_mode()
def latents_of(pipeline: DiffuMattingPipeline, conditions: Any, read: Any, **more: Any) -> torch.Tensor:
    return sample_latents(
        pipeline._denoise,
        pipeline.components.scheduler,
        NOISE,
        prompt_embeds=pipeline.texts(PROMPTS)[0],
        negative_embeds=pipeline.texts.negative(SETTINGS.negative_prompt)[0],
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
    """Diffusers has no pipeline with one for Stable Diffusion 1: its XL one is beside_pipeline's."""
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


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion XL, of its levels, and networks for it."""
    folder = tmp_path_factory.mktemp("xl")
    pipeline = build("StableDiffusionXLPipeline")
    config = dict(pipeline.unet.config) | {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(0)
    pipeline.register_modules(unet=UNet2DConditionModel.from_config(config))
    pipeline.save_pretrained(folder / "model")
    for seed, name in enumerate(("one", "two")):
        controlnet(pipeline.unet, folder / name, seed=seed)
        t2i_adapter(pipeline.unet, folder / f"t2i_{name}", factor=4, seed=seed)
    union(pipeline.unet, folder / "union")
    return folder


PLAIN = PlainSettings(steps=3, size=SIDE, guidance=3.0, start="screen")


def beside(model: Path, planned: Sequence[tuple[Path, PlannedControl]], batch: Any) -> tuple[Any, Any]:
    """Levels that the plain painter paints, and those of the sibling's own call."""
    loaded = load_networks(planned, torch.float32)
    base = load_pipeline(model, torch.float32)
    painter = PlainPipeline(sibling(base, loaded), family_of(type(base).__name__))
    more = arguments(loaded, type(base).__name__, batch)
    painted = as_levels(painter.paint(PROMPTS, SEEDS, PLAIN, ["green"] * 2, more=more)).astype(int)
    kind = type(painter.pipeline)
    part = {"adapter" if "Adapter" in kind.__name__ else "controlnet": _alone(loaded)}
    own = kind.from_pipe(load_pipeline(model, torch.float32), **part)
    own.set_progress_bar_config(disable=True)
    call = painter.call_with(PROMPTS, PLAIN) | {"generator": [torch.Generator("cpu").manual_seed(s) for s in SEEDS]}
    call["latents"] = screen_start(own, call["generator"], ["green"] * 2, call, {})
    told = own(**call, **_as_people_call_it(kind.__name__, loaded, batch)).images
    return painted, as_levels(np.asarray(told)).astype(int)


def _alone(loaded: Sequence[Loaded]) -> Any:
    networks = [one.network for one in loaded]
    if len(networks) > 1 and loaded[0].said.network == "T2IAdapter":
        return MultiAdapter(networks)
    return networks[0] if len(networks) == 1 or "Union" in loaded[0].said.network else networks


def _as_people_call_it(kind: str, loaded: Sequence[Loaded], batch: Sequence[Sequence[Picture]]) -> dict[str, Any]:
    shown: Any = [[Image.fromarray(own[index]) for own in batch] for index in range(len(loaded))]
    weights: Any = [one.said.weight for one in loaded]
    if "Union" in kind:
        return {
            "control_image": shown,
            "control_mode": [one.said.mode for one in loaded],
            "controlnet_conditioning_scale": weights,
        }
    if len(loaded) == 1:
        shown, weights = shown[0], weights[0]
    elif kind == "StableDiffusionControlNetPipeline":  # takes for each prompt the pictures of all networks
        shown = [list(own) for own in zip(*shown, strict=True)]
    elif kind in (
        "StableDiffusionXLControlNetPipeline",
        "StableDiffusionXLAdapterPipeline",
    ):  # take several for several prompts as tensors only
        shown = [tensors(batch, index) for index in range(len(loaded))]
    return {"image": shown, ("adapter" if "Adapter" in kind else "controlnet") + "_conditioning_scale": weights}


@pytest.mark.parametrize("names", [("one",), ("one", "two"), ("t2i",), ("t2i", "t2i")])
def test_pictures_of_a_controlled_pipeline_are_its_own(model: Path, nets: Path, names: tuple[str, ...]) -> None:
    network = "T2IAdapter" if names[0] == "t2i" else "ControlNetModel"
    painted, own = beside(model, [(nets / name, said(network, weight=0.6)) for name in names], pictures(len(names)))
    assert np.abs(painted - own).max() <= 1


@pytest.mark.parametrize(
    "names", [("one",), ("one", "two"), ("union",), ("union", "union"), ("t2i_one",), ("t2i_one", "t2i_two")]
)
def test_pictures_of_a_controlled_xl_pipeline_are_its_own(xl: Path, names: tuple[str, ...]) -> None:
    network = {"union": "ControlNetUnionModel", "t2i_one": "T2IAdapter"}.get(names[0], "ControlNetModel")
    planned = [(xl / name, said(network, weight=0.6, mode=index + 2)) for index, name in enumerate(names)]
    painted, own = beside(xl / "model", planned, pictures(len(names)))
    assert np.abs(painted - own).max() <= 1


def table(folder: Path, *rows: str, columns: str = "control") -> Path:
    """A prompt list with pictures beside it: two, and one that is none."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(("a.png", "b.png")):
        matte = np.zeros((48, 48), np.uint8)
        cv2.circle(matte, (18 + 8 * index, 24), 12 - 3 * index, 255, -1)
        Image.fromarray(matte).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    listed = folder / "prompts.csv"
    listed.write_text("\n".join([f"prompt,{columns}", *rows]) + "\n")
    return listed


def generated(model: Path, out: Path, listed: Path, *more: str | Path, gates: str = OPEN_GATES) -> Ended:
    return factory_here(
        *("generate", "--model", model, "--prompts", listed, "--n", "2", "--batch", "2", "--steps", "2"),
        *("--set", gates, "--max-attempts", "1", "--allow-short", "--out", out, "--executor", "local", *more),
    )


@pytest.mark.slow
@pytest.mark.parametrize("door", ["diffumatting", "plain"])
def test_each_prompt_is_painted_after_its_own_picture(
    model: Path, nets: Path, xl: Path, tmp_path: Path, door: str
) -> None:
    own, network = (model, nets / "one") if door == "diffumatting" else (xl / "model", xl / "one")
    gates = OPEN_GATES if door == "diffumatting" else OPEN
    listed = table(tmp_path / "list", "a red feather,a.png", "a red feather,b.png")
    out, again, bare = (tmp_path / name for name in ("out", "again", "bare"))
    control = f"{network}=contour"
    ended = generated(own, out, listed, "--control", control, gates=gates)
    assert ended.code == 0, ended.err
    assert factory_here("verify", out).code == 0
    first = factory.open(out)[0]
    before = hashes(out)
    assert generated(own, out, listed, "--control", control, gates=gates).code == 0
    assert hashes(out) == before, "resumed"
    assert generated(own, bare, listed, gates=gates).code == 0
    assert not np.array_equal(first.rgb, factory.open(bare)[0].rgb)
    assert first.meta["model"] != factory.open(bare)[0].meta["model"]
    listed = table(tmp_path / "list", "a red feather,b.png", "a red feather,a.png")
    assert generated(own, again, listed, "--control", control, gates=gates).code == 0
    assert not np.array_equal(first.rgb, factory.open(again)[0].rgb), "after another picture another"


def test_a_control_picture_missing_for_one_prompt_fails_that_item_alone(
    model: Path, nets: Path, tmp_path: Path
) -> None:
    listed = table(tmp_path / "list", "a red feather,none.png", "a blue leaf,b.png")
    out = tmp_path / "out"
    ended = generated(model, out, listed, "--control", f"{nets / 'one'}=canny")
    assert "1 of 2 prompts name no file that is there under `control`" in ended.err + ended.out
    assert [sample.meta["prompt"] for sample in factory.open(out)] == ["green screen, a blue leaf"]
    (failed,) = [row for row in read_table(Layout(out).manifest).to_pylist() if row["reason"] == "no_picture"]
    assert "none.png" in failed["detail"]


def test_a_network_or_a_picture_that_changed_is_not_used(model: Path, nets: Path, tmp_path: Path) -> None:
    network, out = Path(shutil.copytree(nets / "one", tmp_path / "net")), tmp_path / "out"
    listed = table(tmp_path / "list", "a red feather,a.png", "a blue leaf,b.png")
    assert generated(model, out, listed, "--control", network).code == 0
    shutil.copy(nets / "two" / "diffusion_pytorch_model.safetensors", network)
    refused = generated(model, out, listed, "--control", network, "--n", "3")
    assert refused.code == 2
    assert f"net changed since {out} was begun: restore it" in refused.sentence
    shutil.copy(nets / "one" / "diffusion_pytorch_model.safetensors", network)
    shutil.copy(listed.with_name("b.png"), listed.with_name("a.png"))
    refused = generated(model, out, listed, "--control", network, "--n", "3")
    assert refused.code == 2
    assert f"picture a.png of 'a red feather' changed since {out} was begun: restore it" in refused.sentence


@pytest.mark.slow
def test_controls_styles_and_loras_go_together(model: Path, unet: Any, nets: Path, tmp_path: Path) -> None:
    adapter, lora = ip_adapter(unet, tmp_path / "ip"), tmp_path / "lora.safetensors"
    layer = "lora_unet_conv_out"
    widths = unet.conv_out.weight.shape
    down, up = np.ones((1, *widths[1:]), np.float32), np.full((4, 1, 1, 1), 0.01, np.float32)
    save_file({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}, lora)
    rows = ("a red feather,a.png,b.png", "a blue leaf,b.png,a.png")
    listed = table(tmp_path / "list", *rows, columns="control,style")
    flags = (("--control", nets / "t2i"), ("--control", nets / "one"), ("--style", adapter), ("--lora", lora))
    models = set[str]()
    for count in range(len(flags) + 1):
        out = tmp_path / f"out{count}"
        ended = generated(model, out, listed, *[word for flag in flags[:count] for word in flag])
        assert ended.code == 0, ended.err
        models.add(factory.open(out)[0].meta["model"])
    assert len(models) == len(flags) + 1, "what painted a sample is told from its fingerprint"


def test_a_plain_model_paints_in_the_style_of_each_prompts_picture(xl: Path, tmp_path: Path) -> None:
    unet = load_pipeline(xl / "model", torch.float32).unet
    adapter = ip_adapter(unet, tmp_path / "ip")
    listed = table(tmp_path / "list", "a red feather,a.png", "a red feather,broken.png", columns="style")
    out, bare = tmp_path / "out", tmp_path / "bare"
    ended = generated(xl / "model", out, listed, "--style", adapter, gates=OPEN)
    assert len(factory.open(out)) == 1, ended.err
    assert generated(xl / "model", bare, listed, gates=OPEN).code == 0
    assert not np.array_equal(factory.open(out)[0].rgb, factory.open(bare)[0].rgb)


def test_t2i_adapters_that_cannot_be_summed_are_refused(xl: Path, tmp_path: Path) -> None:
    base = load_pipeline(xl / "model", torch.float32)
    t2i_adapter(base.unet, tmp_path / "other", factor=2)
    both = [(xl / "t2i_one", said("T2IAdapter")), (tmp_path / "other", said("T2IAdapter"))]
    with pytest.raises(UsageError, match="by the same factor"):
        sibling(base, load_networks(both, torch.float32))


@torch.inference_mode()
def test_a_union_network_tells_each_sample_what_it_would_tell_it_alone(model: Path, nets: Path) -> None:
    """As diffusers calls it for one picture, with guidance: its attention runs along the batch."""
    (loaded,) = load_networks([(nets / "union", said("ControlNetUnionModel", mode=3))], torch.float32)
    shown, text = tensors(pictures(1), 0), torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(1))
    latents, t = NOISE.repeat(2, 1, 1, 1), torch.tensor(500)
    told = residuals([loaded], [shown])(latents, t, (text,), 0.0, 0.25)
    levels = [*told["down_block_additional_residuals"], told["mid_block_additional_residual"]]
    for sample in range(2):
        rows = [sample, sample + 2]
        down, mid = loaded.network(
            latents[rows],
            t,
            encoder_hidden_states=text[rows],
            controlnet_cond=[shown[[sample] * 2]],
            control_type=torch.eye(6)[[3, 3]],
            control_type_idx=[3],
            conditioning_scale=[1.0],
            return_dict=False,
        )
        for ours, own in zip(levels, [*down, mid], strict=True):
            assert torch.allclose(ours[rows], own, atol=CLOSE)


@pytest.mark.parametrize("painted", [(d, n) for d in ("diffumatting", "plain") for n in ("several", "union")])
def test_a_controlled_picture_depends_on_no_other(
    model: Path, nets: Path, xl: Path, tmp_path: Path, painted: tuple[str, str]
) -> None:
    door, network = painted
    table(tmp_path)
    controls = [Control(model=nets / "one"), Control(model=nets / "two", kind="scribble")]
    base_class = "StableDiffusionPipeline"
    if network == "union":
        if door == "plain":
            model, nets, base_class = xl / "model", xl, "StableDiffusionXLPipeline"
        controls = [Control(model=nets / "union", mode="canny"), Control(model=nets / "union", mode="depth")]
    plan = planned(model, controls)
    pictures_of_it, loaded = RowPictures(tmp_path), load_networks(planned_controls(plan), torch.float32)
    source: Any
    if door == "diffumatting":
        pipeline = DiffuMattingPipeline.from_folder(model)
        condition: Any = controlled(loaded, pictures_of_it, square(SIDE), pipeline.device)
        source = DiffuMattingSource(pipeline, SETTINGS, 2, conditions=[condition])
    else:
        base = load_pipeline(model, torch.float32)
        painter = PlainPipeline(sibling(base, loaded), family_of(base_class))
        condition = called_with(loaded, base_class, pictures_of_it, painter.picture_size(PLAIN))
        source = PlainSource(painter, PLAIN, 2, conditions=[condition])
    digests = {name: sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.png", "b.png")}
    first, second = (
        Request(
            key=str(slot),
            slot=slot,
            attempt=0,
            seed=slot,
            item={"prompt": "a red feather", "control": name, "control_sha256": digests[name]},
        )
        for slot, name in enumerate(digests)
    )
    together, alone = source([first, second]), source([second])
    assert np.array_equal(together[1].rgb, alone[0].rgb)
    assert not np.array_equal(together[0].rgb, together[1].rgb)


def config_with(folder: Path, **changes: Any) -> None:
    place = folder / "config.json"
    place.write_text(json.dumps(json.loads(place.read_bytes()) | changes))


def weight_gone(folder: Path) -> None:
    place = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(place)
    weights.pop(next(iter(weights)))
    save_file(weights, place, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "said_of_it"),
    [
        (lambda net: config_with(net, cross_attention_dim=768), "is for another base: its cross_attention_dim"),
        (lambda net: config_with(net, block_out_channels=[320, 640]), "is for another base: its block_out_ch"),
        (lambda net: config_with(net, _class_name="UNet2DModel"), "holds UNet2DModel: give a ControlNetModel"),
        (
            lambda net: config_with(net, conditioning_embedding_out_channels=[8, 16, 32]),
            "is for another base: it shrinks its picture 4 times",
        ),
        (lambda net: config_with(net, global_pool_conditions=True), "global_pool_conditions"),
        (lambda net: (net / "diffusion_pytorch_model.safetensors").rename(net / "a.bin"), "could run code"),
        (lambda net: (net / "config.json").unlink(), "is missing"),
        (weight_gone, "lacks 1 weights"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(
    model: Path, nets: Path, tmp_path: Path, change: Any, said_of_it: str
) -> None:
    network = Path(shutil.copytree(nets / "one", tmp_path / "net"))
    change(network)
    listed = table(tmp_path / "list", "a red feather,a.png", "a blue leaf,b.png")
    refused = generated(model, tmp_path / "out", listed, "--control", network)
    assert refused.code == 2
    assert said_of_it in refused.sentence


@pytest.mark.parametrize(
    ("settings", "said_of_it"),
    [
        ({"kind": "depth"}, "no kind"),
        ({"weight": -1}, "its weight is -1"),
        ({"weight": float("nan")}, "its weight"),
        ({"begin": 0.5, "end": 0.5}, "shares of the steps"),
        ({"mode": "hed"}, "no mode"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], said_of_it: str) -> None:
    with pytest.raises(UsageError, match=said_of_it):
        Control(model=Path("net"), **settings)


def test_what_a_network_has_no_use_for_is_refused(model: Path, nets: Path) -> None:
    for control, said_of_it in (
        (Control(model=nets / "t2i", end=0.5), "counts in all steps"),
        (Control(model=nets / "one", mode="canny"), "no union network"),
        (Control(model=nets / "union"), "say what its picture is"),
        (Control(model=nets / "union", mode="tile"), "say what its picture is"),
    ):
        with pytest.raises(UsageError, match=said_of_it):
            planned(model, [control])
    for controls, said_of_it in (
        ([Control(model=nets / "union", kind="pose")], "no pipeline with a ControlNetUnionModel"),
        ([Control(model=nets / "one"), Control(model=nets / "t2i")], "one class only"),
    ):
        with pytest.raises(UsageError, match=said_of_it):
            planned(model, controls, plain=True)
    assert planned(model, [Control(model=nets / "union", kind="pose")]).settings["controls"][0]["mode"] == 0


def test_an_ip_adapter_is_no_control_network(model: Path, unet: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is an IP-Adapter: give its folder to --style"):
        planned(model, [Control(model=ip_adapter(unet, tmp_path / "ip"))])


def test_an_ip_adapter_of_another_base_or_for_faces_is_refused(
    model: Path, xl: Path, unet: Any, tmp_path: Path
) -> None:
    other = ip_adapter(load_pipeline(xl / "model", torch.float32).unet, tmp_path / "other")
    with pytest.raises(UsageError, match="for another base"):
        planned(model, styles=[Style(model=other)])
    own = ip_adapter(unet, tmp_path / "own")
    save_file({**load_file(own / "ip-adapter.safetensors"), "unet.x": np.zeros(1)}, own / "ip-adapter.safetensors")
    with pytest.raises(UsageError, match=r"unet\.x"):
        planned(model, styles=[Style(model=own)])
    beside_it = [Control(model=t2i_adapter(unet, tmp_path / "t2i", factor=2))]
    shutil.copy(ip_adapter(unet, tmp_path / "whole") / "ip-adapter.safetensors", own)
    with pytest.raises(UsageError, match="beside a T2IAdapter"):
        planned(model, beside_it, [Style(model=own)], plain=True)
    assert planned(model, beside_it, [Style(model=own)]).settings["styles"] == [{"column": "style", "weight": 1.0}]
    shutil.rmtree(own / "image_encoder")
    with pytest.raises(UsageError, match="no image_encoder/"):
        planned(model, styles=[Style(model=own)])


def test_a_t2i_adapter_whose_features_have_other_places_is_refused(model: Path, xl: Path, tmp_path: Path) -> None:
    for base, network, change, said_of_it in (
        (xl / "model", xl / "t2i_one", {"adapter_type": "full_adapter"}, "adapter_type is full_adapter;"),
        (xl / "model", xl / "t2i_one", {"downscale_factor": 2}, "downscale_factor is 2, not 4"),
        (xl / "model", xl / "t2i_one", {"channels": [8, 16, 16]}, "its channels are"),
        (model, xl / "t2i_one", {}, "adapter_type is full_adapter_xl;"),
    ):
        with pytest.raises(UsageError, match=said_of_it):
            changed = Path(shutil.copytree(network, tmp_path / "net", dirs_exist_ok=True))
            config_with(changed, **change)
            planned(base, [Control(model=changed)])


def test_a_size_that_a_t2i_adapter_cannot_cut_evenly_is_refused(xl: Path, tmp_path: Path) -> None:
    listed = table(tmp_path / "list", "a red feather,a.png")
    config_with(shutil.copytree(xl / "model", tmp_path / "model") / "vae", block_out_channels=[8, 8, 16, 16])
    network = t2i_adapter(load_pipeline(xl / "model", torch.float32).unet, tmp_path / "net", factor=16)
    refused = generated(tmp_path / "model", tmp_path / "out", listed, "--control", network, "--set", "sampler.size=40")
    assert refused.code == 2
    assert "sampler.size 40: take a multiple of 16" in refused.sentence


def test_a_network_that_is_a_file_is_to_be_its_folder(model: Path, nets: Path) -> None:
    with pytest.raises(UsageError, match="is a file: give the folder"):
        planned(model, [Control(model=nets / "one" / "diffusion_pytorch_model.safetensors")])


def test_of_a_style_picture_no_colour_beneath_transparency_is_seen(model: Path, unet: Any, tmp_path: Path) -> None:
    matte = np.zeros((40, 40, 1), np.uint8)
    matte[8:32, 8:32] = 255
    seen = []
    plan = planned(model, styles=[Style(model=ip_adapter(unet, tmp_path / "ip"))])
    style = hinted(wear(plan, model_folder.load(model).unet), RowPictures(tmp_path))
    for beneath in (0, 255):
        colours = np.where(matte > 0, np.uint8(200), np.uint8(beneath)).repeat(3, axis=2)
        Image.fromarray(np.dstack([colours, matte])).save(tmp_path / "cutout.png")
        digest = sha256((tmp_path / "cutout.png").read_bytes()).hexdigest()
        seen += style.read({"style": "cutout.png", "style_sha256": digest})
    assert np.array_equal(seen[0], seen[1])
    assert (seen[0][0, 0] == 128).all()


@pytest.mark.parametrize("flag", ["--control", "--style"])
def test_a_list_without_pictures_is_refused(model: Path, nets: Path, tmp_path: Path, flag: str) -> None:
    listed = tmp_path / "prompts.txt"
    listed.write_text("a red feather\n")
    assert "no column" in generated(model, tmp_path / "out", listed, flag, nets / "one").sentence
    refused = factory_here("generate", "--model", model, flag, nets / "one", "--out", tmp_path / "out")
    assert "--prompts" in refused.sentence
