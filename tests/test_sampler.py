"""Sampling: what a picture depends on, and what it must not depend on."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
    TCDScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor, nn

from factory.diffusion import model_folder
from factory.diffusion.generators.diffumatting import DIFFUMATTING
from factory.diffusion.model_files import Prediction
from factory.diffusion.sample.few_steps import with_few_steps
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.pointwise import PointwiseLinear, use_pointwise_convolutions
from factory.diffusion.sample.samplers import (
    Denoiser,
    draw_noise,
    noise_from,
    sample_latents,
    seeded,
    training_marginal,
)
from factory.diffusion.sample.settings import Sampler, SamplerSettings, Start, default_settings
from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.sample.text import Told
from factory.diffusion.sizes import square
from factory.diffusion.train.networks import build, build_scheduler
from factory.diffusion.train.settings import NetworkSettings
from factory.errors import DataError, UsageError
from factory.sample import GENERATED, Request, Sample

CAPTIONS = ("a red feather", "a blue leaf", "a glass bubble", "shadow")
TINY = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, unet_channels=(8, 16), unet_layers=1, unet_heads=2, text_width=16,
    text_layers=2, text_heads=2, text_length=16, norm_groups=4, head_hidden=8,
)  # fmt: skip
FAST = SamplerSettings(steps=3, guidance=2.0, negative_prompt="shadow")
PROMPTS = [f"green screen, {caption}" for caption in CAPTIONS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    model_folder.save(build(TINY, 32, CAPTIONS, seed=0), path)
    (path / "README.md").write_text("---\nlicense: mit\n---\n")
    return path


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> DiffuMattingPipeline:
    return DiffuMattingPipeline.from_folder(folder)


def request(slot: int, prompt: str = "a red feather") -> Request:
    item = {"prompt": prompt, "class": "feather", "caption": ""}
    return Request(key=f"{slot:010d}", slot=slot, attempt=0, seed=1000 + slot, item=item)


def knows_the_answer(latents: Tensor, t: Tensor, text: Tensor) -> Tensor:
    """The exact denoiser of a world whose only picture is the text's constant: ε = (z − √ᾱ·z₀)/√(1−ᾱ)."""
    alpha_bar: Tensor = build_scheduler().alphas_cumprod.double()[t.long()]
    return (latents - alpha_bar.sqrt() * text[:, :, :, None]) / (1 - alpha_bar).sqrt()


def knows_the_velocity(latents: Tensor, t: Tensor, text: Tensor) -> Tensor:
    """The same in terms of v = √ᾱ·ε − √(1−ᾱ)·z₀."""
    alpha_bar: Tensor = build_scheduler().alphas_cumprod.double()[t.long()]
    epsilon = knows_the_answer(latents, t, text)
    return alpha_bar.sqrt() * epsilon - (1 - alpha_bar).sqrt() * text[:, :, :, None]


def led_by(
    denoiser: Denoiser,
    noise: Tensor,
    settings: SamplerSettings,
    *,
    prompt: float,
    negative: float = 0,
    prediction: Prediction = "epsilon",
) -> Tensor:
    """Sample with texts of a single number each, the value that a picture should have."""
    return sample_latents(
        denoiser,
        build_scheduler(prediction),
        noise,
        prompt_embeds=torch.full((len(noise), 1, 1), prompt, dtype=torch.float64),
        negative_embeds=torch.full((1, 1, 1), negative, dtype=torch.float64),
        key_latent=torch.zeros(1, 4, 1, 1),
        settings=settings,
        generators=seeded(range(len(noise))),
    )


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "euler"])
@pytest.mark.parametrize("start", ["marginal", "noise"])
@pytest.mark.parametrize("steps", [7, 25])
def test_an_exact_denoiser_is_led_to_its_picture(sampler: Sampler, start: Start, steps: int) -> None:
    settings = SamplerSettings(sampler=sampler, start=start, steps=steps, guidance=1.0)
    noise = draw_noise([1, 2], (4, 8, 8)).double()
    latents = led_by(knows_the_answer, noise, settings, prompt=1.5)
    assert latents.shape == (2, 4, 8, 8)
    # DDIM's last step goes to ᾱ_0 = 0.99915 and not to 1: 3 % of its noise is left by design.
    assert (latents - 1.5).abs().mean() < 0.05
    of_velocity = led_by(knows_the_velocity, noise, settings, prompt=1.5, prediction="v_prediction")
    assert torch.allclose(of_velocity, latents, atol=1e-5)


def test_guidance_goes_beyond_the_prompt_away_from_the_negative_one() -> None:
    settings = SamplerSettings(steps=10, guidance=3.0)
    noise = draw_noise([5], (4, 8, 8)).double()
    latents = led_by(knows_the_answer, noise, settings, prompt=0.5, negative=0.2)
    assert float(latents.mean()) == pytest.approx(0.2 + 3.0 * (0.5 - 0.2), abs=0.02)


def test_without_guidance_the_negative_prompt_is_not_evaluated() -> None:
    batches: list[int] = []

    def count(latents: Tensor, t: Tensor, text: Tensor) -> Tensor:
        batches.append(len(latents))
        return torch.zeros_like(latents)

    for guidance in (1.0, 2.0):
        settings = SamplerSettings(steps=2, guidance=guidance)
        led_by(count, draw_noise([1], (4, 8, 8)), settings, prompt=0)
    assert batches == [1, 1, 2, 2]
    batches.clear()
    led_by(count, draw_noise([1], (4, 8, 8)), SamplerSettings(steps=5, guidance_until=0.6), prompt=0)
    assert batches == [2, 2, 2, 1, 1]


def test_the_training_marginal_keeps_the_screen_in_the_mean_of_the_noise() -> None:
    alpha_bar = build_scheduler().alphas_cumprod[999]
    assert float(alpha_bar.sqrt()) == pytest.approx(0.0683, abs=1e-4)  # Stable Diffusion never reaches pure noise
    noise = draw_noise(range(4), (4, 64, 64))
    started = training_marginal(alpha_bar, torch.full((1, 4, 1, 1), 2.0), noise)
    assert float((started - alpha_bar.neg().add(1).sqrt() * noise).mean()) == pytest.approx(2 * 0.0683, abs=1e-3)
    assert float(started.std()) == pytest.approx(math.sqrt(1 - 0.0683**2), abs=0.02)


def test_noise_depends_on_the_seed_alone() -> None:
    together, alone = draw_noise([7, 8, 2**63 - 1], (4, 8, 8)), draw_noise([2**63 - 1], (4, 8, 8))
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("sampler", ["lcm", "dmd2", "tcd", "ddim"])
def test_noise_of_each_step_is_the_samples_own(pipeline: DiffuMattingPipeline, sampler: Sampler) -> None:
    eta = 0.3 if sampler in ("tcd", "ddim") else 0.0
    settings = SamplerSettings(sampler=sampler, steps=4, guidance=1.0, eta=eta)
    rgb, _ = pipeline(PROMPTS, [11, 22, 33, 44], settings)
    other, _ = pipeline([PROMPTS[2]] * 4, [5, 33, 7, 33], settings)
    assert np.array_equal(other[1], rgb[2])
    assert np.array_equal(other[3], rgb[2])
    assert len({picture.tobytes() for picture in (*rgb, *other)}) == 6


def test_a_network_that_is_told_of_guidance_is_refused(folder: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    config = model / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"time_cond_proj_dim": 32}))
    with pytest.raises(UsageError, match="told how much guidance there is"):
        DIFFUMATTING.sampling({}, model)


def test_a_sampler_of_few_steps_is_called_as_it_was_published_unless_told() -> None:
    assert with_few_steps({"sampler": "lcm", "steps": 6}) == {"sampler": "lcm", "steps": 6, "guidance": 1.0, "eta": 0.0}
    assert with_few_steps({"sampler": "tcd"}) == {"sampler": "tcd", "steps": 4, "guidance": 1.0, "eta": 0.3}
    assert with_few_steps({"sampler": "lcm"}, "lcm") == {"sampler": "lcm"}
    assert with_few_steps({"sampler": "ddim"}) == {"sampler": "ddim", "eta": 0.0}


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "lcm", "euler"])
def test_a_model_of_few_steps_may_be_given_another_sampler(folder: Path, tmp_path: Path, sampler: Sampler) -> None:
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    (model / "sampler.json").write_text(json.dumps({"sampler": "tcd"}))
    assert DIFFUMATTING.sampling({}, model).settings.eta == 0.3
    assert DIFFUMATTING.sampling({"sampler": sampler}, model).settings.eta == 0


@pytest.mark.parametrize(
    ("sampler", "steps", "take"), [("lcm", 51, "1 to 50"), ("tcd", 51, "1 to 50"), ("dmd2", 8, "4")]
)
def test_steps_that_a_sampler_cannot_do_are_refused(sampler: Sampler, steps: int, take: str) -> None:
    with pytest.raises(UsageError, match=f"steps {steps} is out of range for {sampler}: take {take}"):
        SamplerSettings(sampler=sampler, steps=steps)


@pytest.mark.parametrize("start", ["marginal", "noise"])
def test_pixels_do_not_depend_on_place_or_neighbours(pipeline: DiffuMattingPipeline, start: Start) -> None:
    settings = dataclasses.replace(FAST, start=start)
    seeds = [11, 22, 33, 44]
    rgb, coarse = pipeline(PROMPTS, seeds, settings)
    for order in ([3, 1, 0, 2], [2, 2, 2, 2], [1, 0, 0, 3]):
        other_rgb, other_coarse = pipeline([PROMPTS[i] for i in order], [seeds[i] for i in order], settings)
        assert np.array_equal(other_rgb, rgb[order])
        assert np.array_equal(other_coarse, coarse[order])
    assert len({picture.tobytes() for picture in rgb}) == 4


def test_what_was_sampled_before_changes_nothing(folder: Path, pipeline: DiffuMattingPipeline) -> None:
    pipeline(PROMPTS[::-1], [5, 6, 7, 8], FAST)
    fresh = DiffuMattingPipeline.from_folder(folder)
    assert np.array_equal(fresh(PROMPTS, [1, 2, 3, 4], FAST)[0], pipeline(PROMPTS, [1, 2, 3, 4], FAST)[0])


def test_pictures_are_those_of_stock_diffusers(folder: Path, pipeline: DiffuMattingPipeline) -> None:
    """With the paper's settings and the same noise, ours is StableDiffusionPipeline, only faster."""
    settings = SamplerSettings(sampler="ddim", steps=5, guidance=4.0, negative_prompt="shadow", start="noise")
    stock = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    expected = stock(
        PROMPTS,
        num_inference_steps=5,
        guidance_scale=4.0,
        negative_prompt=["shadow"] * 4,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(4)],
        output_type="np",
    ).images
    rgb, _ = pipeline(PROMPTS, range(4), settings)
    assert np.abs(rgb / 255 - expected).max() <= 0.51 / 255


SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
BASES: dict[str, SchedulerMixin] = {
    "stable diffusion 1.5's": PNDMScheduler(**SCHEDULE, skip_prk_steps=True),
    "ddpm": DDPMScheduler(**SCHEDULE),  # which clips
    "euler": EulerDiscreteScheduler(**SCHEDULE, use_karras_sigmas=True),
    "unipc": UniPCMultistepScheduler(**SCHEDULE, use_exponential_sigmas=True),
    "dpm": DPMSolverMultistepScheduler(
        **SCHEDULE, algorithm_type="sde-dpmsolver++", solver_order=3, solver_type="heun", euler_at_final=True
    ),
}


STOCK: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {}),
    "dpm++2m": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "lcm": (LCMScheduler, {}),
    "tcd": (TCDScheduler, {}),
    "euler": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "dmd2": (LCMScheduler, {}),
}
DMD2 = [999, 749, 499, 249]


@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("base", BASES)
def test_a_base_with_any_scheduler_is_sampled_as_by_stock_diffusers(
    folder: Path, tmp_path: Path, base: str, sampler: Sampler, prediction: Prediction
) -> None:
    """Stock: StableDiffusionPipeline with Stable Diffusion's own DDIM, or the scheduler in question made of that."""
    model_scheduler = type(BASES[base]).from_config(BASES[base].config, prediction_type=prediction)
    model_scheduler.save_pretrained(tmp_path)  # which writes its class's defaults as if the model had chosen them
    stored = type(model_scheduler).from_pretrained(tmp_path)
    kind, own_fields = STOCK[sampler]
    of_stock = kind.from_config(build_scheduler(prediction).config, **own_fields)
    for own in (model_scheduler, stored):
        assert_painted_alike(folder, own, sampler, of_stock)


def test_a_base_without_signal_at_its_end_is_sampled_as_by_stock_diffusers(folder: Path) -> None:
    """Zero terminal SNR: only `trailing` timesteps begin at the last one."""
    own = DDIMScheduler.from_config(
        build_scheduler("v_prediction").config, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    assert_painted_alike(folder, own, "ddim", own)


def test_a_ddim_base_that_ends_at_one_goes_on_doing_so(folder: Path) -> None:
    own = DDIMScheduler(**SCHEDULE, set_alpha_to_one=True, clip_sample=False, steps_offset=1)
    assert_painted_alike(folder, own, "ddim", own)


def assert_painted_alike(
    folder: Path, model_scheduler: SchedulerMixin, sampler: Sampler, of_stock: SchedulerMixin
) -> None:
    """The latents of a model with this scheduler are those of stock diffusers with the other."""
    stock = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, scheduler=of_stock)
    stock.set_progress_bar_config(disable=True)
    steps, eta = (4, 0.0) if sampler == "dmd2" else (6, 0.3 if sampler == "tcd" else 0.0)
    expected = stock(
        PROMPTS[:2],
        num_inference_steps=steps,
        timesteps=DMD2 if sampler == "dmd2" else None,
        eta=eta,
        guidance_scale=4.0,
        negative_prompt=["shadow"] * 2,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in range(2)],
        output_type="latent",
    ).images
    generators = seeded(range(2))
    with torch.no_grad():
        ours = sample_latents(
            lambda z, t, text: stock.unet(z, t, text).sample,
            model_scheduler,
            noise_from(generators, (4, 16, 16)),
            prompt_embeds=embedded(stock, PROMPTS[:2]),
            negative_embeds=embedded(stock, ["shadow"]),
            key_latent=torch.zeros(1, 4, 1, 1),
            settings=SamplerSettings(sampler=sampler, steps=steps, guidance=4.0, start="noise", eta=eta),
            generators=generators,
        )
    assert expected.abs().max() > 1.5  # latents that a clip would change
    assert torch.allclose(ours, expected, atol=1e-4)


def embedded(stock: StableDiffusionPipeline, texts: list[str]) -> Tensor:
    ids = stock.tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
    hidden: Tensor = stock.text_encoder(ids).last_hidden_state
    return hidden


def test_every_prompt_is_encoded_once(pipeline: DiffuMattingPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = pipeline.texts._encode

    def record(texts: list[str]) -> Told:
        encoded.extend(set(texts))
        return encode(texts)

    monkeypatch.setattr(pipeline.texts, "_encode", record)
    texts = [f"prompt {i % 3}" for i in range(20)]
    (first,) = pipeline.texts(texts)
    assert torch.equal(first, pipeline.texts(texts)[0])
    assert sorted(encoded) == ["prompt 0", "prompt 1", "prompt 2"]
    assert torch.equal(pipeline.texts(["prompt 1"])[0][0], first[1])


def test_the_key_latent_is_the_scaled_code_of_the_bare_screen(pipeline: DiffuMattingPipeline) -> None:
    vae = pipeline.components.vae
    screen = torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    with torch.inference_mode():
        expected = vae.config.scaling_factor * vae.encode(screen).latent_dist.mode()
    assert torch.allclose(pipeline.key_latent("green", square(32)), expected, atol=1e-6)
    assert not torch.allclose(pipeline.key_latent("magenta", square(32)), expected, atol=1e-6)


def test_a_size_the_networks_cannot_halve_is_refused(pipeline: DiffuMattingPipeline) -> None:
    with pytest.raises(UsageError, match="size 30x30 does not fit this model: take a multiple of 4"):
        pipeline(PROMPTS, range(4), dataclasses.replace(FAST, size=30))
    rgb, coarse = pipeline(PROMPTS[:1], [1], dataclasses.replace(FAST, size=48))
    assert rgb.shape == (1, 48, 48, 3)
    assert coarse.shape == (1, 48, 48)


@pytest.mark.parametrize("shape", [(5, 6), (2, 9, 6), (2, 7, 6), (2, 3, 4, 6), (6,)])
def test_linear_layers_as_convolutions_give_the_same_numbers_and_keys(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 3, bias=False))
    x, keys = torch.randn(shape), list(model.state_dict())
    expected = model(x)
    use_pointwise_convolutions(model)
    assert all(isinstance(layer, PointwiseLinear) for layer in model)
    assert torch.allclose(model(x), expected, atol=1e-6)
    assert list(model.state_dict()) == keys


def test_a_source_gives_one_sample_a_request_with_its_whole_origin(folder: Path) -> None:
    source = DiffuMattingSource(
        DiffuMattingPipeline.from_folder(folder), FAST, batch_size=4, licence="mit", model="abc"
    )
    samples = source([request(1), request(2, "Green screen, a blue leaf")])
    assert all(isinstance(sample, Sample) for sample in samples)
    first, second = (sample for sample in samples if isinstance(sample, Sample))
    assert first.rgb.shape == (32, 32, 3)
    assert first.coarse is not None
    assert first.coarse.shape == (32, 32)
    assert first.rgb.dtype == first.coarse.dtype == np.uint8
    assert first.origin.prompt == "green screen, a red feather"
    assert second.origin.prompt == "green screen, a blue leaf"
    assert first.origin.ai_generated
    assert first.origin.digital_source_type == GENERATED
    assert (first.origin.kind, first.origin.class_name, first.origin.licence) == ("generated", "feather", "mit")
    assert (first.origin.sampler, first.origin.steps, first.origin.guidance) == ("dpm++2m", 3, 2.0)
    assert first.origin.model == "abc"


def test_a_short_batch_gives_the_pixels_of_a_full_one(folder: Path) -> None:
    source = DiffuMattingSource(DiffuMattingPipeline.from_folder(folder), FAST, batch_size=4)
    full = source([request(slot) for slot in range(4)])
    for sample, alone in zip(full, [source([request(slot)])[0] for slot in range(4)], strict=True):
        assert isinstance(sample, Sample)
        assert isinstance(alone, Sample)
        assert np.array_equal(sample.rgb, alone.rgb)


def test_an_item_without_a_prompt_costs_only_itself(folder: Path) -> None:
    good, bad, last = DiffuMattingSource(DiffuMattingPipeline.from_folder(folder), FAST, batch_size=2)(
        [request(1), request(2, "  "), request(3)]
    )
    assert isinstance(bad, DataError)
    assert bad.kind == "prompt"
    assert isinstance(good, Sample)
    assert isinstance(last, Sample)
    assert last.request.slot == 3


def test_a_model_scheduler_defaults_are_read_and_checked(tmp_path: Path) -> None:
    assert default_settings(tmp_path) == SamplerSettings()
    (tmp_path / "sampler.json").write_text(json.dumps({"guidance": 3.0, "negative_prompt": ""}))
    assert default_settings(tmp_path) == SamplerSettings(guidance=3.0, negative_prompt="")
    (tmp_path / "sampler.json").write_text(json.dumps({"cfg": 3.0}))
    with pytest.raises(UsageError, match="must be an object with fields among"):
        default_settings(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("sampler", "heun"), ("start", "end"), ("key", "red"), ("steps", 0), ("guidance", -1.0), ("size", -8)],
        *[("guidance_until", 1.5), ("eta", 2.0), ("eta", 0.3)],
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{field} .* take"):
        SamplerSettings(**{field: value})  # type: ignore[arg-type]


def test_numbers_that_overflow_cost_only_their_own_sample(folder: Path) -> None:
    whole = DiffuMattingSource(DiffuMattingPipeline.from_folder(folder), FAST, batch_size=2)(
        [request(1), request(2, "a blue leaf")]
    )
    source = DiffuMattingSource(DiffuMattingPipeline.from_folder(folder), FAST, batch_size=2)
    ill = "green screen, a blue leaf"
    source.pipeline.texts._known[ill] = (torch.full_like(source.pipeline.texts([ill])[0][0], torch.inf),)
    good, bad = source([request(1), request(2, "a blue leaf")])
    assert isinstance(bad, DataError)
    assert bad.kind == "nan"
    assert isinstance(good, Sample)
    assert isinstance(whole[0], Sample)
    assert isinstance(whole[1], Sample)
    assert np.array_equal(good.rgb, whole[0].rgb)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_network_paints_as_before_at_each_batch_size(folder: Path) -> None:
    on_gpu = DiffuMattingPipeline.from_folder(folder, "cuda")
    for count in (4, 2, 4):
        recorded = on_gpu(PROMPTS[:count], range(count), FAST)
        denoise, decode = on_gpu._compiled
        on_gpu.__dict__["_compiled"] = (denoise._function, decode)  # type: ignore[attr-defined]
        launched = on_gpu(PROMPTS[:count], range(count), FAST)
        on_gpu.__dict__["_compiled"] = (denoise, decode)
        assert all(np.array_equal(a, b) for a, b in zip(recorded, launched, strict=True))
