"""A training resumes to the same bytes, is refused other settings, and leaves a whole model folder behind."""

import dataclasses
import hashlib
import json
import math
import multiprocessing
import shutil
import signal
from collections import Counter
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import COLOURS, GREEN, SIZE, make_set, small_settings, train_in_child
from test_model_folder import library_messages  # noqa: F401 - a fixture

from factory.diffusion import autoencoder_training, model_files, model_folder, networks, training_data, training_report
from factory.diffusion.attention_probe import TokenAttention
from factory.diffusion.ema import MovingAverage, parameters
from factory.diffusion.generation_training import GenerationTask, watched
from factory.diffusion.settings import SamplerSettings, default_settings
from factory.diffusion.tokenizer import build_tokenizer
from factory.diffusion.train_settings import Phase, TrainSettings
from factory.diffusion.trainer import Run, learning_rate, train
from factory.diffusion.training_data import TrainingSet
from factory.diffusion.training_report import read_log
from factory.diffusion.vocabulary import read_vocabulary
from factory.errors import MachineError, UsageError
from factory.recipes import TrainRecipe
from factory.training import execute_training

torch.set_num_threads(1)  # workers multiply, not threads
ONE_STEP = (Phase(name="generation", steps=1, batch=4, lr=1e-3),)


def quiet(progress: object) -> None:
    """Nobody listens."""


def weights(out: Path) -> dict[str, str]:
    """SHA-256 of each file of weights."""
    files = sorted((out / "model").rglob("*.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def stand(out: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and content."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training. Read it only."""
    out = tmp_path_factory.mktemp("training") / "finished"
    train(small_settings(data), out, quiet)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    """Child processes that find torch already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["factory.diffusion.trainer", "small_training"])
    return context


def test_a_training_killed_between_saves_ends_in_the_same_bytes(
    data: Path, finished: Path, tmp_path: Path, children: ForkServerContext
) -> None:
    """Killed in the first step, at a phase's last step, right after it, and with its weights already written."""
    moments = (("autoencoder", 1), ("autoencoder", 6), ("generation", 3), ("joint", 1), ("finished", 0))
    for die_at in (*moments, None):
        child = children.Process(target=train_in_child, args=(small_settings(data), tmp_path / "out", die_at))
        child.start()
        child.join()
        assert child.exitcode == (-signal.SIGKILL if die_at else 0)
    assert weights(tmp_path / "out") == weights(finished)
    assert read_log(tmp_path / "out" / "log.jsonl") == read_log(finished / "log.jsonl")


def test_a_training_killed_at_any_time_ends_in_the_same_bytes(
    data: Path, finished: Path, tmp_path: Path, children: ForkServerContext
) -> None:
    """Also while it unpacks, encodes, draws, saves or writes the model."""
    kills = 0
    for delay in (0.1, 0.4, 0.6, 0.8, 1.0, 300.0):  # seconds; an uninterrupted child takes about one
        child = children.Process(target=train_in_child, args=(small_settings(data), tmp_path / "out"))
        child.start()
        child.join(delay)
        child.kill()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
        if child.exitcode == 0:
            break
    assert kills > 0
    assert child.exitcode == 0
    assert weights(tmp_path / "out") == weights(finished)


def test_a_finished_folder_is_left_as_it_is(data: Path, copy: Path) -> None:
    before = stand(copy)
    assert train(small_settings(data), copy, quiet) == copy / "model"
    assert stand(copy) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 12}, "seed"),
        ({"ema": 0.99, "flip": False}, "flip, ema"),
        ({"phases": (Phase(name="generation", steps=6),)}, "phases"),
        ({"networks": dataclasses.replace(small_settings(Path()).networks, vae_channels=(8, 8))}, "networks.vae_cha"),
    ],
)
def test_other_settings_are_refused_by_name(data: Path, copy: Path, changes: dict[str, Any], named: str) -> None:
    before = stand(copy)
    with pytest.raises(UsageError, match=rf"started with other settings \({named}.*use another --out"):
        train(small_settings(data, **changes), copy, quiet)
    assert stand(copy) == before


def test_a_changed_phase_is_named_down_to_its_field(data: Path, copy: Path) -> None:
    wanted = small_settings(data)
    slower = dataclasses.replace(wanted.phases[1], lr=1e-4)
    with pytest.raises(UsageError, match=r"\(phases\.1\.lr\)"):
        train(dataclasses.replace(wanted, phases=(wanted.phases[0], slower, wanted.phases[2])), copy, quiet)


def test_settings_of_an_earlier_version_lack_fields_that_had_their_defaults(data: Path, copy: Path) -> None:
    file = copy / "settings.json"
    pinned = json.loads(file.read_text())
    for name in ("sampler", "colours", "licence", "detail_space"):
        del pinned[name]
    del pinned["phases"][0]["head_lr"]
    file.write_text(json.dumps(pinned))
    train(small_settings(data), copy, quiet)


def test_what_decides_no_weight_may_change(data: Path, copy: Path) -> None:
    before = weights(copy)
    sampler = SamplerSettings(guidance=1.5, steps=9, negative_prompt="", sampler="ddim")
    train(small_settings(data, sampler=sampler, log_every=7, picture_prompts=("a blue disc",)), copy, quiet)
    assert default_settings(copy / "model") == sampler
    assert weights(copy) == before


def test_a_folder_with_weights_alone_gets_the_rest_later(data: Path, finished: Path, copy: Path) -> None:
    (copy / "finished.json").write_text('{"seconds": 4.5}')  # as a version without cards left it
    companions = ("README.md", "vocabulary.json", "sampler.json")
    for name in companions:
        (copy / "model" / name).unlink()
    before = stand(copy / "model")
    train(small_settings(data), copy, quiet)
    after = stand(copy / "model")
    assert {path: content for path, content in after.items() if path in before} == before
    assert {Path(path).name for path in after.keys() - before.keys()} == set(companions)
    assert read_vocabulary(copy / "model") == read_vocabulary(finished / "model")


def test_a_card_that_someone_has_edited_stays(data: Path, copy: Path) -> None:
    card = copy / "model" / "README.md"
    card.write_text("---\nlicense: mit\n---\nmine\n")
    (copy / "model" / "vocabulary.json").unlink()
    train(small_settings(data), copy, quiet)
    assert card.read_text().endswith("mine\n")
    assert read_vocabulary(copy / "model") is not None


def test_a_card_cannot_be_written_without_the_data(data: Path, copy: Path, tmp_path: Path) -> None:
    pinned = json.loads((copy / "settings.json").read_text())
    pinned["data"][0]["folder"] = str(tmp_path / "gone")
    (copy / "settings.json").write_text(json.dumps(pinned))
    (copy / "model" / "README.md").unlink()
    with pytest.raises(UsageError, match=r"gone has no manifest .* put the data set back"):
        train(small_settings(tmp_path / "gone"), copy, quiet)


def test_the_vocabulary_is_what_the_captions_say(finished: Path) -> None:
    known = read_vocabulary(finished / "model")
    assert known is not None
    assert set(known.words) == {"a", "disc", "square", "nothing", *COLOURS}
    assert known.classes == ("disc", "square")
    assert known.colours == ("red", "blue", "white")  # in the recipe's order


def test_the_card_says_where_the_model_comes_from(data: Path, finished: Path, copy: Path) -> None:
    card = (finished / "model" / "README.md").read_text()
    assert model_files.licence(finished / "model") == "unknown"
    record = json.loads((finished / "finished.json").read_text())
    manifest = hashlib.sha256((data / "manifest.parquet").read_bytes()).hexdigest()
    for fact in (
        "| data | train | 48 | 1 |", manifest, "| drawn | CC0-1.0 | the tests | 48 |", "Objects (2): disc, square.",
        "16 training pictures have a binary mask", record["device"], f"torch {torch.__version__}", "seed 11",
        '"green screen, a red disc"', "| joint | 4 | 4 | 0.001, head 0.01 | noise ",
    ):  # fmt: skip
        assert fact in card
    recipe = card.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(recipe)["train"]["networks"]["unet_channels"] == [8, 16]
    assert str(data.parent) not in card
    (copy / "model" / "README.md").unlink()
    train(small_settings(data, licence="mit"), copy, quiet)
    assert model_files.licence(copy / "model") == "mit"


@pytest.mark.filterwarnings("error")
def test_plain_diffusers_loads_the_trained_folder_without_a_warning(
    finished: Path,
    library_messages: list[str],  # noqa: F811 - the fixture
) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(finished / "model", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("green screen, a red disc", num_inference_steps=2, output_type="np").images
    assert library_messages == []
    assert picture.shape == (1, SIZE, SIZE, 3)


def test_curves_and_pictures_are_there_to_look_at(finished: Path) -> None:
    pictures = sorted(path.name for path in (finished / "pictures").iterdir())
    assert pictures == [
        "0-autoencoder-0000005.png", "0-autoencoder-0000006.png", "1-generation-0000005.png",
        "1-generation-0000006.png", "2-joint-0000004.png",
    ]  # fmt: skip
    assert (finished / "curves.png").stat().st_size > 1000
    assert [record["step"] for record in read_log(finished / "log.jsonl")] == [*range(1, 7), *range(1, 7), *range(1, 5)]


def test_training_from_the_command_line_writes_its_recipe_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = TrainRecipe(out=tmp_path / "out", train=small_settings(data, phases=ONE_STEP))
    model = execute_training(recipe)
    assert "training is finished" in capsys.readouterr().err
    written = (tmp_path / "out" / "recipe.yaml").read_bytes()
    changed = recipe.model_copy(update={"train": small_settings(data, phases=ONE_STEP, seed=4)})
    with pytest.raises(UsageError, match=r"\(seed\)"):
        execute_training(changed)
    assert (tmp_path / "out" / "recipe.yaml").read_bytes() == written
    assert model_folder.load(model)


def test_pictures_of_another_size_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is 16×16, but the recipe trains at 32×32"):
        train(small_settings(data, size=32), tmp_path / "out", quiet)


def test_a_loss_that_explodes_ends_the_training_with_a_word(data: Path, tmp_path: Path) -> None:
    phases = (Phase(name="autoencoder", steps=20, batch=2, lr=1e12, warmup=0),)
    with pytest.raises(MachineError, match=r"phase autoencoder, step .* is not finite .* lower its lr"):
        train(small_settings(data, phases=phases, clip_norm=1e30), tmp_path / "out", quiet)


# The autoencoder


@pytest.fixture(scope="module")
def autoencoder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first phase alone, long enough to learn the screen."""
    out = tmp_path_factory.mktemp("training") / "autoencoder"
    phases = (Phase(name="autoencoder", steps=150, batch=8, lr=5e-3, warmup=10, decay="cosine"),)
    train(small_settings(data, phases=phases, save_every=1000, picture_every=1000), out, quiet)
    return out


def test_the_autoencoder_learns(autoencoder: Path) -> None:
    pixels = [record["losses"]["pixels"] for record in read_log(autoencoder / "log.jsonl")]
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
    run = Run(small_settings(data), tmp_path, quiet)
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
def run(data: Path, tmp_path: Path) -> Run:
    """Fresh networks on the data, before the first step."""
    return Run(small_settings(data), tmp_path / "run", quiet)


def task(run: Run, with_head: bool = True, **changes: Any) -> GenerationTask:
    """What computes a step's losses, under settings changed like this."""
    tokens = training_data.tokenize(run.components.tokenizer, run.data.captions, run.settings.template)
    changed = dataclasses.replace(run.settings, **changes)
    return GenerationTask(run.components, run.data, run.latents(), tokens, changed, 0, run.device, with_head)


def terms(one: GenerationTask, step: int = 0) -> dict[str, float]:
    """The weighted losses of one step, without gradients."""
    with torch.no_grad(), watched(one.components, one.settings.green_background) as attention:
        return {name: value.item() for name, value in one.losses(one.batch(step, 8), attention).items()}


def test_the_heads_loss_reaches_the_head_alone(run: Run) -> None:
    for module in run.modules.values():
        module.requires_grad_(True)
    joint = task(run, green_background=False, head_timestep=999)  # every mask is read from the U-Net's ẑ0
    torch.autograd.backward(joint.losses(joint.batch(0, 4), TokenAttention())["latent"])
    touched = {name for name, module in run.modules.items() if any(p.grad is not None for p in module.parameters())}
    assert touched == {"head"}


@pytest.mark.parametrize(("switch", "term"), [("green_background", "green"), ("detail", "detail")])
def test_an_ablation_takes_away_exactly_its_term(run: Run, switch: str, term: str) -> None:
    whole, without = terms(task(run, bf16="off")), terms(task(run, bf16="off", **{switch: False}))
    assert list(whole) == ["noise", "green", "detail", "latent"]
    assert without.keys() == whole.keys() - {term}
    assert all(without[name] == pytest.approx(whole[name], rel=1e-5) for name in without)


def test_the_first_stage_has_no_head(run: Run) -> None:
    joint, generation = terms(task(run)), terms(task(run, with_head=False))
    assert generation.keys() == joint.keys() - {"latent"}
    assert all(generation[name] == joint[name] for name in generation)


@pytest.mark.parametrize(("field", "term"), [("green_weight", "green"), ("detail_weight", "detail")])
def test_a_weight_scales_its_term(run: Run, field: str, term: str) -> None:
    once, thrice = terms(task(run)), terms(task(run, **{field: 3.0}))
    assert thrice[term] == pytest.approx(3 * once[term], rel=1e-5)


def test_a_step_depends_on_seed_phase_and_step_alone(run: Run) -> None:
    one = task(run)
    first, other, again = one.batch(7, 4), one.batch(8, 4), one.batch(7, 4)
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert not torch.equal(first.epsilon, other.epsilon)


def test_dropped_captions_are_empty_and_carry_no_green(run: Run) -> None:
    dropped = task(run, caption_dropout=1.0)
    batch = dropped.batch(0, 8)
    empty = run.components.tokenizer("", padding="max_length", max_length=12, return_tensors="pt").input_ids
    assert not batch.has_caption.any()
    assert torch.equal(batch.token_ids, empty.expand(8, -1))
    assert terms(dropped)["green"] == 0
    assert task(run, caption_dropout=0.0).batch(0, 8).has_caption.all()


def test_cached_latents_are_the_encoders_means_of_both_twins(run: Run) -> None:
    latents = run.latents()
    chosen = np.array([0, 1, 5])
    for twin in (0, 1):
        x = training_data.pictures(run.data, chosen, np.full(3, bool(twin)))
        with torch.no_grad():
            z = run.components.vae.encode(x).latent_dist.mean.numpy()
        np.testing.assert_allclose(latents[chosen, twin], z, rtol=2e-3, atol=2e-3)
    assert not np.array_equal(latents[0, 0], latents[0, 1])


@pytest.mark.parametrize("template", ["prefix", "suffix"])
def test_the_green_that_counts_is_the_templates(template: str) -> None:
    captions = ["a woman in a green dress", "a disc"]
    tokenizer = build_tokenizer(training_data.templated(captions, template), 16)
    tokens = training_data.tokenize(tokenizer, captions, template)
    words = [tokenizer.convert_ids_to_tokens(row) for row in tokens.ids.tolist()]
    expected = [1, 1, 0] if template == "prefix" else [9, 5, 0]
    assert tokens.green.tolist() == expected
    assert [row[j] for row, j in zip(words[:2], expected[:2], strict=True)] == ["green</w>"] * 2


def test_a_caption_that_pushes_the_green_out_is_named() -> None:
    captions = ["a " * 20 + "disc"]
    tokenizer = build_tokenizer(training_data.templated(captions, "suffix"), 12)
    with pytest.raises(UsageError, match=r'no token "green" is left .* use the prefix'):
        training_data.tokenize(tokenizer, captions, "suffix")
    assert training_data.tokenize(tokenizer, captions, "prefix").green.tolist() == [1, 0]


@given(repeats=st.lists(st.integers(1, 4), min_size=1, max_size=12), batch=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_an_epoch_shows_each_sample_as_often_as_asked(repeats: list[int], batch: int, seed: int) -> None:
    order = np.repeat(np.arange(len(repeats)), repeats)
    nothing = np.zeros((0, 0, 0, 3), np.uint8)
    drawn_from = TrainingSet(nothing, nothing[..., 0], (), np.zeros(0, bool), order)
    steps = range(len(order))  # in all `batch` epochs, which steps may straddle
    shown = Counter(int(i) for step in steps for i in training_data.draw_batch(drawn_from, seed, 1, step, batch))
    assert shown == {index: batch * times for index, times in enumerate(repeats)}


@given(step=st.integers(0, 99))
def test_the_learning_rate_warms_up_and_falls(step: int) -> None:
    phase = Phase(name="generation", steps=100, lr=2.0, warmup=10, decay="cosine")
    fall = 0.5 * (1 + math.cos(math.pi * step / 100))
    assert learning_rate(2.0, phase, step) == pytest.approx(2.0 * min(1, (step + 1) / 10) * fall)
    constant = dataclasses.replace(phase, decay="constant", warmup=0)
    assert learning_rate(2.0, constant, step) == 2.0


# Averages


def test_averaged_weights_are_swapped_in_and_out_bit_for_bit() -> None:
    module = torch.nn.Linear(5, 3)
    average = MovingAverage(0.5)
    average.update({"m": module})
    before_step = {name: value.clone() for name, value in parameters(module).items()}
    with torch.no_grad():
        module.weight += 1 / 3
    own = {name: value.clone() for name, value in parameters(module).items()}

    def fail_inside() -> None:
        with average.swapped_in({"m": module}):
            assert all(torch.equal(value, before_step[name]) for name, value in parameters(module).items())
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_inside()
    assert all(torch.equal(value, own[name]) for name, value in parameters(module).items())


def test_the_average_forgets_its_start_at_first_faster_than_its_decay() -> None:
    module, average, expected = torch.nn.Linear(1, 1, bias=False), MovingAverage(0.3), 0.0
    for n, value in enumerate((4.0, 1.0, -2.0, 7.0, 3.0)):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update({"m": module})
        decay = min(0.3, (1 + n) / (10 + n))
        expected = value if n == 0 else decay * expected + (1 - decay) * value
        assert average.averages["m"]["weight"].item() == pytest.approx(expected, rel=1e-6)


# On a base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Stable Diffusion 1.5's on the hub: no matting head; a safety checker; pickles and fp16 beside."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    folder = tmp_path_factory.mktemp("models") / "sd15-like"
    captions = [f"green screen, a {colour} {shape}" for colour in COLOURS for shape in ("disc", "square", "nothing")]
    c = networks.build(small_settings(Path()).networks, SIZE, captions, seed=1)
    eye = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    eye |= {"image_size": 8, "patch_size": 4}
    pipeline = StableDiffusionPipeline(
        vae=c.vae,
        text_encoder=c.text_encoder,
        tokenizer=c.tokenizer,
        unet=c.unet,
        scheduler=PNDMScheduler.from_config(c.scheduler.config, skip_prk_steps=True),
        safety_checker=StableDiffusionSafetyChecker(CLIPConfig(vision_config=eye, projection_dim=8)),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}),
    )
    pipeline.save_pretrained(folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "text_encoder" / "model.fp16.safetensors").write_bytes(b"half of it")
    (folder / "v1-5-pruned.ckpt").write_bytes(b"a pickle")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n# A base\n")
    return folder


def on_base(data: Path, base: Path, *phases: str, **changes: Any) -> TrainSettings:
    """Two steps of each phase on a base model, text encoder frozen."""
    steps = tuple(Phase(name=name, steps=2, batch=2, lr=1e-3, warmup=0) for name in phases)  # type: ignore[arg-type]
    return small_settings(data, base=str(base), phases=steps, train_text_encoder=False, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.filterwarnings("error")
def test_a_plain_base_keeps_every_byte_that_is_not_trained(
    data: Path,
    base: Path,
    tmp_path: Path,
    library_messages: list[str],  # noqa: F811 - the fixture
) -> None:
    from diffusers import StableDiffusionPipeline

    model = train(on_base(data, base, "generation", "joint", gradient_checkpointing=True), tmp_path / "out", quiet)
    for part in ("vae", "tokenizer", "scheduler", "safety_checker", "feature_extractor"):
        assert contents(model / part) == contents(base / part), part
    text_encoder = contents(base / "text_encoder")
    del text_encoder["model.fp16.safetensors"]
    assert contents(model / "text_encoder") == text_encoder
    assert (model / "model_index.json").read_bytes() == (base / "model_index.json").read_bytes()
    assert {path.suffix for path in model.rglob("*") if path.is_file()} <= {".json", ".txt", ".md", ".safetensors"}
    assert sorted(contents(model / "unet")) == ["config.json", "diffusion_pytorch_model.safetensors"]
    before, after = model_folder.load_base(base, 8, 0).unet.state_dict(), model_folder.load(model).unet.state_dict()
    assert before.keys() == after.keys()
    assert any((before[key] - after[key]).abs().max() > 1e-3 for key in before)
    assert read_vocabulary(model) is None
    assert model_files.licence(model) == "creativeml-openrail-m"
    assert "from the base model\n`sd15-like`" in (model / "README.md").read_text()
    library_messages.clear()
    pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True)
    assert library_messages == []
    assert pipeline.safety_checker is not None


def test_a_plain_base_gets_a_head_drawn_from_the_seed(base: Path) -> None:
    first, again, other = (model_folder.load_base(base, 8, seed).head.conv_in.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_matting_base_keeps_its_head_and_its_words(data: Path, finished: Path, tmp_path: Path) -> None:
    base = finished / "model"
    model = train(on_base(data, base, "generation"), tmp_path / "out", quiet)
    assert contents(model / "matting_head") == contents(base / "matting_head")
    assert contents(model / "unet") != contents(base / "unet")
    assert read_vocabulary(model) == read_vocabulary(base)
    assert default_settings(model) == default_settings(base)


def test_bases_that_cannot_be_trained_are_refused(data: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"train\.base: there is no folder .*nowhere; .* `hf download"):
        train(on_base(data, tmp_path / "nowhere", "generation"), tmp_path / "a", quiet)
    with pytest.raises(UsageError, match=r"train\.phases: a base has its autoencoder already"):
        train(on_base(data, base, "autoencoder"), tmp_path / "b", quiet)
    pickled = Path(shutil.copytree(base, tmp_path / "pickled"))
    (pickled / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"diffusion_pytorch_model\.bin is pickled and could run code"):
        model_folder.load_base(pickled, 8, 0)
    velocity = Path(shutil.copytree(base, tmp_path / "velocity"))
    scheduler = velocity / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "v_prediction"}))
    with pytest.raises(UsageError, match="predicts v_prediction, not epsilon"):
        model_folder.load_base(velocity, 8, 0)
    shutil.rmtree(velocity / "vae")
    with pytest.raises(UsageError, match="has no vae/: copy the model again, whole"):
        model_folder.load_base(velocity, 8, 0)
