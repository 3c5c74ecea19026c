"""Pictures of several sizes and shapes in one set: slots take them in turn, and batches stay of one shape."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import Ended, factory_here, hashes
from tiny_controls import controlnet
from tiny_model import OPEN_GATES, save_tiny_model
from tiny_pipelines import build

import factory
from factory.diffusion.generators.diffumatting import DIFFUMATTING
from factory.diffusion.generators.kind import GeneratorKind
from factory.diffusion.generators.layers import LAYERS
from factory.diffusion.generators.plain import PLAIN
from factory.diffusion.generators.rgba import RGBA
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.placing import placed
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sample.text import sizes_told
from factory.diffusion.sizes import Size, in_turn, square
from factory.engine.plan import read_plan
from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import as_levels
from factory.jobs.generate import line
from factory.sample import Origin, Request, Sample
from factory.settings import said
from factory.shards.layout import Layout
from pipelines import OPEN, SEEDS

WIDE, TALL = "64x32", "48x64"
PROMPTS = ["green screen, a red feather", "green screen, a blue leaf"]
DOORS = ("diffumatting", "plain")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny one for each door, and a control network for both."""
    folder = tmp_path_factory.mktemp("sizes")
    save_tiny_model(folder / "diffumatting")
    build("StableDiffusionPipeline").save_pretrained(folder / "plain")
    for door in DOORS:
        controlnet(load_pipeline(folder / door, torch.float32).unet, folder / f"{door}-control")
    return {path.name: path for path in folder.iterdir()}


def generated(models: dict[str, Path], door: str, out: Path, *more: str | Path, batch: int = 2) -> Ended:
    listed = out.with_name("prompts.csv")
    if not listed.exists():
        disc = np.hypot(*(np.mgrid[:40, :40] - 20.0)) < 10
        Image.fromarray(np.where(disc[..., None], (200, 20, 20), (0, 255, 0)).astype(np.uint8)).save(
            listed.with_name("a.png")
        )
        listed.write_text("prompt,picture,control\na red feather,a.png,a.png\na blue leaf,a.png,a.png\n")
    return factory_here(
        *("generate", "--model", models[door], "--prompts", listed, "--n", "4", "--batch", str(batch), "--steps", "2"),
        *("--size", WIDE, "--size", TALL, "--size", "32x32", "--max-attempts", "1", "--allow-short", "--out", out),
        *("--set", OPEN_GATES if door == "diffumatting" else OPEN, "--executor", "local", *more),
    )


@given(st.lists(st.sampled_from(["8x8", "8x16", "16x8"]), max_size=4), st.lists(st.integers(0, 99), unique=True))
def test_slots_take_sizes_in_turn_whatever_is_asked_with_them(sizes: Sequence[str], slots: Sequence[int]) -> None:
    def source_at(own: tuple[str, ...]) -> Callable[[Sequence[Request]], list[Sample | DataError]]:
        return lambda requests: [
            Sample(request=one, origin=Origin(kind="generated", item=" ".join(own)), rgb=np.zeros((1, 1, 3), np.uint8))
            for one in requests
        ]

    asked = [Request(key=f"{slot:010}", slot=slot, attempt=0, seed=slot) for slot in slots]
    painted = [one for one in in_turn(sizes, source_at)(asked) if isinstance(one, Sample)]
    assert [one.request.slot for one in painted] == list(slots)
    assert [one.origin.item for one in painted] == [sizes[slot % len(sizes)] if sizes else "" for slot in slots]


@pytest.mark.parametrize("door", DOORS)
def test_a_set_has_pictures_of_all_sizes_and_is_whole(models: dict[str, Path], tmp_path: Path, door: str) -> None:
    out = tmp_path / "out"
    ended = generated(models, door, out)
    assert ended.code == 0, ended.err
    assert factory_here("verify", out).code == 0
    assert [sample.rgb.shape[:2] for sample in factory.open(out)] == [(32, 64), (64, 48), (32, 32), (32, 64)]
    assert all(sample.alpha.shape == sample.rgb.shape[:2] for sample in factory.open(out))
    before = hashes(out)
    assert generated(models, door, out).code == 0
    assert hashes(out) == before
    assert "sizes" in generated(models, door, out, "--size", "64x64").sentence


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("more", [("--given", "picture", "--strength", "1"), ("--control", "{control}=canny")])
def test_given_and_control_pictures_are_brought_to_each_size(
    models: dict[str, Path], tmp_path: Path, door: str, more: Sequence[str]
) -> None:
    out = tmp_path / "out"
    ended = generated(models, door, out, *(word.format(control=models[f"{door}-control"]) for word in more))
    assert ended.code == 0, ended.err
    assert [sample.rgb.shape[:2] for sample in factory.open(out)][:2] == [(32, 64), (64, 48)]


@pytest.mark.parametrize("door", DOORS)
def test_a_picture_does_not_depend_on_those_of_other_sizes(models: dict[str, Path], tmp_path: Path, door: str) -> None:
    out = tmp_path / "out"
    assert generated(models, door, out, "--key", "green").code == 0
    (source,) = line(read_plan(Layout(out).plan), out).sources.values()
    asked = [
        Request(key=f"{slot:010}", slot=slot, attempt=0, seed=slot, item={"prompt": "a red feather"})
        for slot in (4, 0, 2, 3, 1)
    ]
    together, alone = list(source(asked)), [next(iter(source([one]))) for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Sample)
        assert isinstance(other, Sample)
        assert one.request == other.request
        assert np.array_equal(one.rgb, other.rgb)


@pytest.mark.parametrize("door", DOORS)
def test_a_rectangle_is_painted_as_by_stock_diffusers(models: dict[str, Path], door: str) -> None:
    stock = StableDiffusionPipeline.from_pretrained(models[door], local_files_only=True)
    stock.scheduler = DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False)
    stock.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]
    call: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 3.0, "height": 32, "width": 64}
    theirs = stock(PROMPTS, generator=generators, output_type="np", **call).images
    own: dict[str, Any] = {"sampler": "ddim", "steps": 2, "guidance": 3.0, "negative_prompt": "", "sizes": (WIDE,)}
    if door == "diffumatting":
        ours = DiffuMattingPipeline.from_folder(models[door])(PROMPTS, SEEDS, SamplerSettings(start="noise", **own))[0]
    else:
        painter = PlainPipeline(load_pipeline(models[door], torch.float32))
        ours = as_levels(painter.paint(PROMPTS, SEEDS, PlainSettings(**own), ["green", "green"]))
    assert np.abs(as_levels(theirs).astype(int) - ours).max() <= 1


@pytest.mark.parametrize("door", DOORS)
def test_a_rectangle_may_start_at_its_screen(models: dict[str, Path], door: str) -> None:
    if door == "diffumatting":
        pipeline = DiffuMattingPipeline.from_folder(models[door])
        assert pipeline.key_latent("green", Size(32, 64)).shape[2:] == (16, 32)
        painted = pipeline(PROMPTS, SEEDS, SamplerSettings(steps=1, sizes=(WIDE,)))[0]
    else:
        painter = PlainPipeline(load_pipeline(models[door], torch.float32))
        settings = PlainSettings(steps=1, start="screen", sizes=(WIDE,))
        painted = as_levels(painter.paint(PROMPTS, SEEDS, settings, ["green", "blue"]))
    assert painted.shape == (2, 32, 64, 3)


@pytest.mark.parametrize("door", DOORS)
def test_large_pictures_are_decoded_one_at_a_time_to_the_same(
    models: dict[str, Path], door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def painted() -> Any:
        if door == "diffumatting":
            return DiffuMattingPipeline.from_folder(models[door])(PROMPTS, SEEDS, SamplerSettings(steps=1))
        painter = PlainPipeline(load_pipeline(models[door], torch.float32))
        pictures = as_levels(painter.paint(PROMPTS, SEEDS, PlainSettings(steps=1), ["green", "green"]))
        assert painter.pipeline.vae.use_slicing == Size(32, 32).is_large
        return [pictures]

    together = painted()
    monkeypatch.setattr("factory.diffusion.sizes.LARGE", 0)
    for one, other in zip(together, painted(), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_xl_is_told_height_and_width() -> None:
    told = sizes_told(SamplerSettings(crop=(8, 16)), Size(832, 1216), torch.device("cpu"))
    assert told.tolist() == [[832, 1216, 8, 16, 832, 1216]]
    shrunk = sizes_told(SamplerSettings(original_size=2432), Size(832, 1216), torch.device("cpu"))
    assert shrunk.tolist() == [[1664, 2432, 0, 0, 832, 1216]]
    assert sizes_told(SamplerSettings(original_size=999), square(768), torch.device("cpu")).tolist()[0][:2] == [
        999,
        999,
    ]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("size", "of_it"),
    [("64", "write width and height in pixels"), ("0x64", "write width"), ("66x64", "take multiples of 4")],
)
def test_what_is_no_size_of_the_model_is_refused_at_planning(
    models: dict[str, Path], tmp_path: Path, door: str, size: str, of_it: str
) -> None:
    refused = generated(models, door, tmp_path / "out", "--size", size)
    assert refused.code == 2
    assert of_it in refused.sentence
    assert not (tmp_path / "out").exists()


def test_what_paints_at_one_size_says_so(models: dict[str, Path]) -> None:
    for kind in (RGBA, LAYERS):
        with pytest.raises(UsageError, match="painted at one size"):
            kind.sampling({"sizes": [WIDE]}, models["plain"])


def test_a_pipeline_that_takes_no_size_is_told_none(tmp_path: Path) -> None:
    index = {"_class_name": "UnCLIPPipeline", "_diffusers_version": "0.42.1"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="at a size of its own"):
        PLAIN.sampling({"sizes": [WIDE]}, tmp_path)


@pytest.mark.parametrize(("door", "kind"), [("diffumatting", DIFFUMATTING), ("plain", PLAIN)])
def test_plans_without_sizes_say_nothing_of_them(models: dict[str, Path], door: str, kind: GeneratorKind) -> None:
    assert "sizes" not in said(kind.sampling({}, models[door]).settings)
    assert said(kind.sampling({"sizes": [WIDE]}, models[door]).settings)["sizes"] == (WIDE,)


def test_blocks_are_compiled_only_where_a_network_repeats_some(models: dict[str, Path]) -> None:
    pipeline = load_pipeline(models["plain"], torch.float32)
    assert placed(pipeline, "cpu", compiled=True) is pipeline
    pipeline.unet = None
    with pytest.raises(UsageError, match="repeats blocks"):
        placed(pipeline, "cpu", compiled=True)
