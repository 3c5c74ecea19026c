"""What a training step computes: the autoencoder's losses, the terms of Eq. 10, draws, averages."""

import copy
import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import GREEN, SIZE, course_of, make_set, quiet, small_settings

from factory.diffusion import model_folder
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.tokenizer import build_tokenizer
from factory.diffusion.train import autoencoder as autoencoder_training
from factory.diffusion.train import data as training_data
from factory.diffusion.train import report as training_report
from factory.diffusion.train.course import Course
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.settings import Phase
from factory.diffusion.train.trainer import train
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.training import draws
from factory.training.draws import draw_batch
from factory.training.ema import MovingAverage, weights_of
from factory.training.log import read_log
from factory.training.schedule import learning_rate

torch.set_num_threads(1)  # workers multiply, not threads


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def autoencoder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first phase alone, long enough to learn the screen."""
    out = tmp_path_factory.mktemp("training") / "autoencoder"
    phases = (Phase(name="autoencoder", steps=150, batch=8, lr=5e-3, warmup=10, decay="cosine"),)
    train(small_settings(data, phases=phases, save_every=1000, picture_every=1000), out, quiet)
    return out


def test_the_autoencoder_learns(autoencoder: Path) -> None:
    told = read_log(autoencoder / "log.jsonl")
    pixels = [record["losses"]["pixels"] for record in told if record["name"] == "autoencoder"]
    assert np.mean(pixels[-20:]) < 0.25 * np.mean(pixels[:5])


def test_the_key_colour_comes_back_exactly(autoencoder: Path) -> None:
    vae = model_folder.load(autoencoder / "model").vae
    screen = torch.tensor(GREEN).div(127.5).sub(1).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE)
    with torch.no_grad():
        encoded = vae.encode(screen).latent_dist.mean
        there_and_back = training_report.to_pictures(vae.decode(encoded).sample)[0]
        from_zero = training_report.to_pictures(vae.decode(torch.zeros(1, 4, SIZE // 2, SIZE // 2)).sample)[0]
    assert (there_and_back == GREEN).all()
    assert (from_zero[4:-4, 4:-4] == GREEN).all()
    assert autoencoder_training.key_latent(vae, GREEN, SIZE).abs().max() < 5e-3  # 0, but for storage in 16 bits


def test_centring_shifts_the_latents_and_not_one_picture(data: Path, tmp_path: Path) -> None:
    run = course_of(small_settings(data), tmp_path)
    vae = run.components.vae
    x = training_data.pictures(run.data, np.arange(3), np.zeros(3, bool))
    with torch.no_grad():
        z, picture = vae.encode(x).latent_dist.mean, vae.decode(vae.encode(x).latent_dist.mean).sample
        z_key = autoencoder_training.key_latent(vae, GREEN, SIZE)
        autoencoder_training.centre_on_key(vae, GREEN, SIZE)
        again = vae.encode(x).latent_dist.mean
        assert torch.allclose(again, z - z_key.view(1, 4, 1, 1), atol=1e-5)
        assert torch.allclose(vae.decode(again).sample, picture, atol=1e-5)
    assert autoencoder_training.key_latent(vae, GREEN, SIZE).abs().max() < 1e-6


# One step of the generation


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Course:
    """Fresh networks on the data, before the first step."""
    return course_of(small_settings(data), tmp_path / "run")


def task(run: Course, with_head: bool = True, **changes: Any) -> GenerationTask:
    """What computes a step's losses, under settings changed like this."""
    tokens = training_data.tokenize(
        run.components.tokenizer, run.data.captions, run.settings.template, run.settings.key
    )
    changed = dataclasses.replace(run.settings, **changes)
    return GenerationTask(run.components, run.data, run.latents(), tokens, changed, 0, run.device, with_head)


def terms(one: GenerationTask, step: int = 0) -> dict[str, float]:
    """The weighted losses of one step, without gradients."""
    with torch.no_grad(), one.watching():
        return {name: value.item() for name, value in one.losses(one.batch(step, 8)).items()}


def test_the_heads_loss_reaches_the_head_alone(run: Course) -> None:
    for module in run.modules.values():
        module.requires_grad_(True)
    joint = task(run, green_background=False, head_timestep=999)  # every mask is read from the U-Net's ẑ0
    torch.autograd.backward(joint.losses(joint.batch(0, 4))["latent"])
    touched = {name for name, module in run.modules.items() if any(p.grad is not None for p in module.parameters())}
    assert touched == {"head"}


@pytest.mark.parametrize(("switch", "term"), [("green_background", "green"), ("detail", "detail")])
def test_an_ablation_takes_away_exactly_its_term(run: Course, switch: str, term: str) -> None:
    whole, without = terms(task(run, bf16="off")), terms(task(run, bf16="off", **{switch: False}))
    assert list(whole) == ["noise", "green", "detail", "latent"]
    assert without.keys() == whole.keys() - {term}
    assert all(without[name] == pytest.approx(whole[name], rel=1e-5) for name in without)


def test_the_first_stage_has_no_head(run: Course) -> None:
    joint, generation = terms(task(run)), terms(task(run, with_head=False))
    assert generation.keys() == joint.keys() - {"latent"}
    assert all(generation[name] == joint[name] for name in generation)


@pytest.mark.parametrize(("field", "term"), [("green_weight", "green"), ("detail_weight", "detail")])
def test_a_weight_scales_its_term(run: Course, field: str, term: str) -> None:
    change: dict[str, Any] = {field: 3.0}
    once, thrice = terms(task(run)), terms(task(run, **change))
    assert thrice[term] == pytest.approx(3 * once[term], rel=1e-5)


def test_a_step_depends_on_seed_phase_and_step_alone(run: Course) -> None:
    one = task(run)
    first, other, again = one.batch(7, 4), one.batch(8, 4), one.batch(7, 4)
    assert all(value is None or torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert not torch.equal(first.epsilon, other.epsilon)


def test_timesteps_are_drawn_evenly_or_about_the_middle(run: Course) -> None:
    even, middle = (
        task(run, timesteps=kind, min_snr_gamma=0.0).batch(0, 4000).t.double() for kind in ("uniform", "logit_normal")
    )
    for t, within in ((even, 0.5), (middle, 0.728)):  # P(|u| < ln 3), u standard normal
        assert t.min() >= 0
        assert t.max() <= 999
        assert float(((t >= 250) & (t < 750)).double().mean()) == pytest.approx(within, abs=0.03)
        assert float(t.mean()) == pytest.approx(499.5, abs=15)


def test_dropped_captions_are_empty_and_carry_no_green(run: Course) -> None:
    dropped = task(run, caption_dropout=1.0)
    batch = dropped.batch(0, 8)
    empty = run.components.tokenizer("", padding="max_length", max_length=12, return_tensors="pt").input_ids
    assert not batch.has_caption.any()
    assert torch.equal(batch.token_ids, empty.expand(8, -1))
    assert terms(dropped)["green"] == 0
    assert task(run, caption_dropout=0.0).batch(0, 8).has_caption.all()


def test_binary_masks_teach_head_and_edges_only_if_asked(run: Course) -> None:
    kept, dropped = task(run, binary_as_soft=True).batch(0, 24), task(run).batch(0, 24)
    assert kept.soft_alpha.all()
    assert 0 < dropped.soft_alpha.sum() < 24


def test_without_its_weight_the_detail_of_noisy_steps_counts(run: Course) -> None:
    assert terms(task(run, detail_timestep_weight=False))["detail"] > 1.2 * terms(task(run))["detail"]


def test_latents_are_those_of_the_present_encoder(run: Course) -> None:
    """As a second `autoencoder` phase leaves another one behind."""
    first, file = run.latents().copy(), run.out / "cache" / "latents.f16"
    written = file.stat().st_mtime_ns
    assert np.array_equal(run.latents(), first)
    assert file.stat().st_mtime_ns == written  # encoded once
    with torch.no_grad():
        run.components.vae.quant_conv.weight *= 2
        run.components.vae.quant_conv.bias *= 2
    np.testing.assert_allclose(run.latents(), 2 * first, rtol=2e-3, atol=1e-6)


def test_pictures_drawn_while_training_are_those_that_generate_paints(run: Course) -> None:
    captions = ("a red disc", "a blue square")
    pictures, masks = training_report.sample(run.components, captions, run.settings)
    painter = DiffuMattingPipeline(copy.deepcopy(run.components))
    prompts = training_data.templated(captions, "prefix", "green")
    rgb, coarse = painter(prompts, range(2), training_report.drawing_settings(run.settings))
    assert np.abs(np.stack(pictures).astype(int) - rgb).max() <= 1
    assert np.abs(np.stack(masks)[..., 0].astype(int) - coarse).max() <= 1


def test_the_head_does_not_scale_the_unets_step(data: Path, tmp_path: Path) -> None:
    """Each module is clipped by itself: where clipping bites, a joint step moves the U-Net as one without the head."""
    unets = []
    for name in ("generation", "joint"):
        phase = Phase(name=name, steps=4, batch=4, lr=1e-3, head_lr=1e-2, warmup=0)  # type: ignore[arg-type]
        train(small_settings(data, phases=(phase,), clip_norm=1e-3, detail=False), tmp_path / name, quiet)
        unets.append(model_folder.load(tmp_path / name / "model").unet.state_dict())
    assert all(torch.equal(value, unets[1][key]) for key, value in unets[0].items())


def test_cached_latents_are_the_encoders_means_of_both_twins(run: Course) -> None:
    latents = run.latents()
    chosen = np.array([0, 1, 5])
    for twin in (0, 1):
        x = training_data.pictures(run.data, chosen, np.full(3, bool(twin)))
        with torch.no_grad():
            z = run.components.vae.encode(x).latent_dist.mean.numpy()
        np.testing.assert_allclose(latents[chosen, twin], z, rtol=2e-3, atol=2e-3)
    assert not np.array_equal(latents[0, 0], latents[0, 1])


@pytest.mark.parametrize("template", ["prefix", "suffix"])
@pytest.mark.parametrize("key", KEY_COLOURS)
def test_the_key_colour_that_counts_is_the_templates(template: str, key: KeyName) -> None:
    captions = [f"a woman in a {key} dress", "a disc"]
    tokenizer = build_tokenizer(training_data.templated(captions, template, key), 16)
    tokens = training_data.tokenize(tokenizer, captions, template, key)
    words = [tokenizer.convert_ids_to_tokens(row) for row in tokens.ids.tolist()]
    expected = [1, 1, 0] if template == "prefix" else [9, 5, 0]
    assert tokens.key.tolist() == expected
    assert [row[j] for row, j in zip(words[:2], expected[:2], strict=True)] == [f"{key}</w>"] * 2


def test_a_caption_that_pushes_the_green_out_is_named() -> None:
    captions = ["a " * 20 + "disc"]
    tokenizer = build_tokenizer(training_data.templated(captions, "suffix", "green"), 12)
    with pytest.raises(UsageError, match=r'no token "green" is left .* use the prefix'):
        training_data.tokenize(tokenizer, captions, "suffix", "green")
    assert training_data.tokenize(tokenizer, captions, "prefix", "green").key.tolist() == [1, 0]


@given(repeats=st.lists(st.integers(1, 4), min_size=1, max_size=12), batch=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_an_epoch_shows_each_sample_as_often_as_asked(repeats: list[int], batch: int, seed: int) -> None:
    order = np.repeat(np.arange(len(repeats)), repeats)
    steps = range(len(order))  # in all `batch` epochs, which steps may straddle
    shown = Counter(int(i) for step in steps for i in draw_batch(order, seed, 1, step, batch))
    assert shown == {index: batch * times for index, times in enumerate(repeats)}


def test_an_epoch_is_permuted_once_and_as_ever() -> None:
    order = np.repeat(np.arange(700), 3)
    draws._permutation.cache_clear()
    shown = np.concatenate([draw_batch(order, 5, 1, step, 30) for step in range(100)])
    epochs = [np.random.default_rng((5, 1, epoch)).permutation(order) for epoch in range(2)]
    assert np.array_equal(shown, np.concatenate(epochs)[: len(shown)])  # resumed trainings see what they saw
    assert draws._permutation.cache_info().misses == 2


@given(step=st.integers(0, 99))
def test_the_learning_rate_warms_up_and_falls(step: int) -> None:
    fall = 0.5 * (1 + math.cos(math.pi * step / 100))
    rate = learning_rate(2.0, step, steps=100, warmup=10, decay="cosine")
    assert rate == pytest.approx(2.0 * min(1, (step + 1) / 10) * fall)
    assert learning_rate(2.0, step, steps=100, warmup=0, decay="constant") == 2.0


# Averages


def test_averaged_weights_are_swapped_in_and_out_bit_for_bit() -> None:
    module = torch.nn.Linear(5, 3)
    average = MovingAverage(0.5)
    average.update({"m": module})
    before_step = {name: value.clone() for name, value in weights_of(module).items()}
    with torch.no_grad():
        module.weight += 1 / 3
    own = {name: value.clone() for name, value in weights_of(module).items()}

    def fail_inside() -> None:
        with average.swapped_in({"m": module}):
            assert all(torch.equal(value, before_step[name]) for name, value in weights_of(module).items())
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_inside()
    assert all(torch.equal(value, own[name]) for name, value in weights_of(module).items())


def test_the_average_forgets_its_start_at_first_faster_than_its_decay() -> None:
    module, average, expected = torch.nn.Linear(1, 1, bias=False), MovingAverage(0.3), 0.0
    for n, value in enumerate((4.0, 1.0, -2.0, 7.0, 3.0)):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update({"m": module})
        decay = min(0.3, (1 + n) / (10 + n))
        expected = value if n == 0 else decay * expected + (1 - decay) * value
        assert average.averages["m"]["weight"].item() == pytest.approx(expected, rel=1e-6)
