"""Any pipeline of diffusers paints mattes: it is asked for a screen, and what it paints is keyed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UNet2DConditionModel,
)
from program import Ended, factory_here, hashes
from tiny_pipelines import build

import factory
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.generators.plain import PLAIN
from factory.diffusion.plain.families import TAGS
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.settings import OWN, PlainSettings, PlainStart, asked
from factory.diffusion.plain.source import PlainSource
from factory.engine.plan import read_plan
from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import as_levels
from factory.sample import Request, Sample
from factory.shards.layout import Layout
from pipelines import OPEN, SEEDS, own_call

Change = Callable[[Path], Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion, as diffusers saves it."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    build("StableDiffusionPipeline").save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture(scope="module")
def pipeline(saved: Path) -> PlainPipeline:
    return PlainPipeline(load_pipeline(saved, torch.float32))


def request(slot: int, prompt: str = "a red feather") -> Request:
    return Request(
        key=f"{slot:010d}", slot=slot, attempt=0, seed=17 + slot, item={"prompt": prompt, "class": "feather"}
    )


def source(pipeline: PlainPipeline, batch: int = 2, **settings: Any) -> PlainSource:
    return PlainSource(pipeline, PlainSettings(steps=2, size=64, **settings), batch, licence="mit", model="abc")


def generated(model: Path, out: Path, *more: str | Path, prompts: str = "a red feather\na green frog\n") -> Ended:
    listed = out.with_name("prompts.txt")
    listed.write_text(prompts)
    return factory_here(
        *("generate", "--model", model, "--prompts", listed, "--n", "2", "--batch", "2", "--steps", "2"),
        *("--set", "sampler.size=64", "--set", OPEN, "--max-attempts", "3", "--out", out, "--executor", "local", *more),
    )


def test_pictures_of_a_plain_model_become_mattes(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = generated(saved, out)
    assert ended.code == 0, ended.err
    assert factory_here("verify", out).code == 0
    for sample in factory.open(out):
        assert sample.meta["kind"] == "generated"
        assert sample.meta["source"] == "StableDiffusionPipeline"
        assert sample.meta["licence"] == "openrail"
        assert sample.meta["sampler"]["steps"] == 2
        assert sample.meta["scores"]["label_error"] >= 0
        assert 0 < sample.alpha.mean() < 255
    before = hashes(out)
    assert generated(saved, out).code == 0
    assert hashes(out) == before


def test_each_prompt_is_asked_for_on_a_screen_that_it_differs_from(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generated(saved, out).code == 0
    prompts = [sample.meta["prompt"] for sample in factory.open(out)]
    assert "green screen" in prompts[0]
    assert "blue screen" in prompts[1]
    assert all(prompt.startswith(("a red feather", "a green frog")) for prompt in prompts)


def test_pictures_are_those_of_the_pipelines_own_call(saved: Path, pipeline: PlainPipeline) -> None:
    prompts = ["green screen, a red feather", "green screen, a blue leaf"]
    for start in get_args(PlainStart):
        settings = PlainSettings(steps=2, size=64, start=start)
        painted = as_levels(pipeline.paint(prompts, SEEDS, settings, ["green", "green"])).astype(int)
        assert np.abs(painted - own_call(saved, pipeline, settings, prompts)).max() <= 1


@pytest.mark.parametrize(
    ("sampler", "scheduler", "own", "call"),
    [
        ("lcm", LCMScheduler, {}, {"num_inference_steps": 4}),
        ("tcd", TCDScheduler, {}, {"num_inference_steps": 4, "eta": 0.3}),
        ("euler", EulerDiscreteScheduler, {"timestep_spacing": "trailing"}, {"num_inference_steps": 4}),
        ("dmd2", LCMScheduler, {}, {"timesteps": [999, 749, 499, 249]}),
    ],
)
def test_a_sampler_of_few_steps_paints_what_diffusers_does_with_its_scheduler(
    saved: Path, sampler: str, scheduler: Any, own: dict[str, Any], call: dict[str, Any]
) -> None:
    prompts = ["a red feather", "a blue leaf", "a glass"]
    settings = PLAIN.sampling({"sampler": sampler, "start": "noise", "size": 32}, saved).settings
    painter = PlainPipeline(load_pipeline(saved, torch.float32))
    ours = painter.paint(prompts, [3, 4, 5], settings, ["green"] * 3)
    stock = load_pipeline(saved, torch.float32)
    stock.set_progress_bar_config(disable=True)
    stock.scheduler = scheduler.from_config(stock.scheduler.config, **own)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in (3, 4, 5)]
    theirs = stock(prompts, guidance_scale=1.0, height=32, width=32, generator=generators, output_type="np", **call)
    assert np.abs(ours - theirs.images).max() < 1e-4
    among_others = painter.paint(["a", *prompts[1:2], "b"], [8, 4, 9], settings, ["green"] * 3)
    assert np.array_equal(among_others[1], ours[1])


def test_a_network_that_is_told_of_guidance_keeps_its_own(tmp_path: Path) -> None:
    build("LatentConsistencyModelPipeline").save_pretrained(tmp_path)
    sampler = PLAIN.sampling({"sampler": "lcm"}, tmp_path).settings
    assert (sampler.steps, sampler.guidance) == (4, OWN)
    with pytest.raises(UsageError, match="steps by lcm only"):
        PLAIN.sampling({"sampler": "dmd2"}, tmp_path)


def test_a_network_that_is_told_of_guidance_is_given_no_negative_prompt(saved: Path) -> None:
    """Nor styles for one: diffusers evaluates the prompt alone then."""
    loaded = load_pipeline(saved, torch.float32)
    loaded.unet = UNet2DConditionModel.from_config(dict(loaded.unet.config) | {"time_cond_proj_dim": 8})
    painter, settings = PlainPipeline(loaded), PlainSettings(guidance=7.5, steps=1, size=32)
    assert not painter.guided(settings)
    (sample,) = PlainSource(painter, settings, 1)([request(0)])
    assert isinstance(sample, Sample)
    assert sample.origin.negative_prompt == ""
    assert not loaded.do_classifier_free_guidance


def test_what_a_sampler_of_few_steps_is_called_with_stands_in_the_plan(saved: Path, tmp_path: Path) -> None:
    generated(saved, tmp_path / "out", "--sampler", "tcd")
    sampler = read_plan(Layout(tmp_path / "out").plan).settings["sampler"]
    assert (sampler["sampler"], sampler["steps"], sampler["guidance"], sampler["eta"]) == ("tcd", 2, 1.0, 0.3)


@pytest.mark.parametrize("kind", [PNDMScheduler, EulerDiscreteScheduler, DDIMScheduler])
def test_a_picture_does_not_depend_on_what_was_painted_before(saved: Path, kind: Any) -> None:
    loaded = load_pipeline(saved, torch.float32)
    loaded.scheduler = kind.from_config(loaded.scheduler.config)
    painter, settings = PlainPipeline(loaded), PlainSettings(size=32, start="screen", guidance=1.0)
    first, again = (painter.paint(["a feather"], [3], settings, ["green"]) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_short_batch_gives_the_pixels_of_a_full_one(pipeline: PlainPipeline) -> None:
    own = source(pipeline)
    (first, _), (alone,) = own([request(0), request(1)]), own([request(0)])
    assert isinstance(first, Sample)
    assert isinstance(alone, Sample)
    assert np.array_equal(first.rgb, alone.rgb)


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "nan"), (0.0, "black")])
def test_a_picture_that_is_none_is_a_fault_of_its_own(
    pipeline: PlainPipeline, monkeypatch: pytest.MonkeyPatch, value: float, kind: str
) -> None:
    pictures = np.full((2, 64, 64, 3), 0.5, np.float32)
    pictures[1] = value
    monkeypatch.setattr(pipeline, "paint", lambda *_, **__: pictures)
    good, bad = source(pipeline)([request(0), request(1)])
    assert isinstance(good, Sample)
    assert isinstance(bad, DataError)
    assert bad.kind == kind


def test_a_negative_prompt_is_given_only_where_guidance_has_a_use_for_it(pipeline: PlainPipeline) -> None:
    with_it = pipeline.call_with(["a"], PlainSettings(guidance=3.0, negative_prompt="shadow"))
    without = pipeline.call_with(["a"], PlainSettings(guidance=1.0, negative_prompt="shadow"))
    assert with_it["negative_prompt"] == ["shadow"]
    assert "negative_prompt" not in without


def test_what_the_settings_leave_open_stays_the_pipelines_own(pipeline: PlainPipeline) -> None:
    assert pipeline.call_with(["a"], PlainSettings(negative_prompt="")) == {"prompt": ["a"], "output_type": "np"}
    facts = pipeline.facts(PlainSettings())
    assert facts == {"sampler": "DDIMScheduler", "steps": 50, "guidance": 7.5}


def test_the_template_holds_prompt_and_screen() -> None:
    assert asked(" a {red} cat ", "blue", "{key} screen, {prompt}") == "blue screen, a {red} cat"
    assert asked("a cat", "green", TAGS).startswith("a cat, isolated")
    with pytest.raises(UsageError, match="goes"):
        PlainSettings(template="on {key}")


def test_what_models_says_of_a_folder(saved: Path, tmp_path: Path) -> None:
    told = factory_here("models", saved)
    assert told.code == 0
    assert "StableDiffusionPipeline" in told.out
    assert "openrail" in told.out
    assert "diffumatting" in factory_here("models", Path(factory.__file__).parent / "embedded" / "model").out
    assert "no model_index.json" in factory_here("models", tmp_path).sentence


def test_a_lora_is_laid_over_a_plain_model_too(saved: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "a.safetensors"
    down, up = np.ones((1, 8, 3, 3), np.float32), np.ones((4, 1, 1, 1), np.float32)
    save_file({"lora_unet_conv_out.lora_down.weight": down, "lora_unet_conv_out.lora_up.weight": up}, file)
    plain, styled = tmp_path / "plain", tmp_path / "styled"
    assert generated(saved, plain).code == 0
    assert generated(saved, styled, "--lora", file).code == 0
    assert not np.array_equal(factory.open(plain)[0].alpha, factory.open(styled)[0].alpha)


def index_with(**changes: Any) -> Change:
    def change(model: Path) -> None:
        index = model / "model_index.json"
        index.write_text(json.dumps(json.loads(index.read_bytes()) | changes))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (index_with(_class_name="NoSuchPipeline", _diffusers_version="9.1.0"), "saved by diffusers 9.1.0"),
        (index_with(_class_name=["pipeline", "Mine"]), "code of its own"),
        (index_with(_class_name="StableDiffusionInpaintPipeline"), "needs more than a prompt"),
        (index_with(_class_name="AnimateDiffPipeline"), "something else than still pictures"),
        (index_with(_class_name="StableDiffusionControlNetPipeline"), "needs more than a prompt"),
        (index_with(unet=["os", "system"]), "code from elsewhere is never run"),
        (index_with(**{"../unet": ["diffusers", "UNet2DConditionModel"]}), "no folder of a model"),
        (lambda model: shutil.rmtree(model / "vae"), "has no vae/"),
        (lambda model: next((model / "unet").glob("*.safetensors")).write_bytes(b"cut"), "cut short"),
        (lambda model: next((model / "unet").glob("*.safetensors")).rename(model / "unet" / "a.bin"), "could run code"),
        (lambda model: (model / "model_index.json").write_text("{"), "not JSON"),
        (lambda model: (model / "unet" / "config.json").write_text("{}"), "cannot be loaded"),
    ],
)
def test_a_folder_that_is_not_whole_or_not_safe_is_refused(model: Path, change: Change, said: str) -> None:
    change(model)
    with pytest.raises(UsageError, match=said):
        kind_of(model)
        load_pipeline(model, torch.float32)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "sampler.template=grey, {prompt}"), "goes"),
        (("--set", "greenpost.outside=0.1"), "greenpost refines coarse masks"),
        (("--key", "red"), "--key red is unknown"),
        (("--set", "sampler.guide=1"), "sampler has no field guide"),
        (("--set", "sampler.eta=1"), "eta 1.0 is of no use"),
        (("--sampler", "dmd2"), "steps 2 is out of range for dmd2: take 4"),
        (("--set", "sampler.sampler=[lcm]"), "is unknown (did you mean lcm?)"),
        (("--set", "sampler.size=35"), "sampler.size 35 does not fit this model: take a multiple of 8"),
    ],
)
def test_settings_of_no_use_are_refused_before_anything_is_written(
    saved: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    refused = generated(saved, tmp_path / "out", *more)
    assert refused.code == 2
    assert said in refused.sentence
    assert not (tmp_path / "out").exists()


def test_a_model_that_changed_after_planning_is_not_used(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generated(model, out).code == 0
    config = model / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.02"))
    refused = generated(model, out, "--n", "4")
    assert refused.code == 2
    assert f"{model.name} changed since {out} was begun: restore it" in refused.sentence


def test_half_weights_alone_are_found(model: Path) -> None:
    for path in model.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    assert kind_of(model).name == "plain"
    assert load_pipeline(model, torch.float32)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that paints no screens."""
    folder = tmp_path_factory.mktemp("grey") / "model"
    made = build("StableDiffusionPipeline")
    torch.nn.init.constant_(made.vae.decoder.conv_out.bias, 0.3)
    made.save_pretrained(folder)
    return folder


def test_a_model_that_paints_no_screen_says_so(grey: Path, tmp_path: Path) -> None:
    ended = generated(grey, tmp_path / "out")
    assert ended.code == 1
    assert "6 of 6 attempts show no screen: ask in other words" in ended.out


def test_a_long_run_ends_where_no_screen_comes(grey: Path, tmp_path: Path) -> None:
    ended = generated(grey, tmp_path / "out", "--n", "100", "--batch", "16", "--steps", "1")
    assert ended.code == 2
    assert "none of the first 48 pictures shows a screen" in ended.sentence
