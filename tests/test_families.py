"""A DiffuMatting model may be of Stable Diffusion 1, 2 or XL: a plain folder of that family, with a matting head."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import cv2
import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
)
from program import Ended, factory_here
from safetensors.numpy import save_file
from test_model_folder import library_messages  # noqa: F401 - a fixture
from tiny_controls import controlnet, ip_adapter
from tiny_model import OPEN_GATES, paint_green
from tiny_pipelines.parts import clip_text, clip_tokenizer
from tiny_pipelines.stable_diffusion import BLOCKS, SCHEDULE, unet
from torch import Tensor

import factory
from factory.diffusion import model_files, model_folder
from factory.diffusion.conditions import Hints
from factory.diffusion.control.networks import Loaded
from factory.diffusion.control.planning import PlannedControl
from factory.diffusion.control.residuals import residuals
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import Sampler, SamplerSettings
from factory.errors import UsageError

PROMPTS = ["green screen, a red feather", "green screen, a blue leaf"]
SETTINGS = SamplerSettings(sampler="ddim", steps=4, guidance=4.0, negative_prompt="shadow", start="noise")


def autoencoder() -> AutoencoderKL:
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    return AutoencoderKL(**BLOCKS, **blocks, latent_channels=4, sample_size=32, scaling_factor=0.5)


def stable_diffusion_2() -> Any:
    """2.x's traits: OpenCLIP's reader of an odd number of layers, linear projections, heads by level, velocities."""
    torch.manual_seed(2)
    network = unet(32, use_linear_projection=True)
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=clip_text(layers=3),
        tokenizer=clip_tokenizer(),
        unet=network,
        scheduler=EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    torch.manual_seed(3)
    tokenizer_2 = clip_tokenizer()
    tokenizer_2.pad_token = "!"  # as XL's fills up
    return StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(48, projection=24),
        tokenizer=clip_tokenizer(),
        tokenizer_2=tokenizer_2,
        unet=unet(
            32 + 48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 24,
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, steps_offset=1),
        add_watermarker=False,
    )


@pytest.fixture(scope="module", params=["2", "XL"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder, as diffusers saves it."""
    return saved(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DiffuMatting folder of XL."""
    return with_head(saved("XL", tmp_path_factory))


@pytest.fixture(scope="module")
def painter_of_screens(xl: Path) -> Path:
    """The same, painting blots on green."""
    components = model_folder.load(xl)
    paint_green(components)
    model_folder.save(components, xl.with_name("green"))
    return xl.with_name("green")


def saved(family: str, folders: pytest.TempPathFactory) -> Path:
    folder = folders.mktemp(family) / "base"
    (stable_diffusion_xl if family == "XL" else stable_diffusion_2)().save_pretrained(folder)
    return folder


def with_head(base: Path) -> Path:
    """The base with a fresh head beside it."""
    folder = base.with_name("model")
    if not folder.is_dir():
        model_folder.save_on_base(model_folder.load_base(base, 8, seed=0), ["matting_head"], base, folder)
    return folder


def latents_of(
    painter: DiffuMattingPipeline,
    settings: SamplerSettings,
    monkeypatch: pytest.MonkeyPatch,
    hints: Hints | None = None,
) -> Tensor:
    """Of PROMPTS, with the seeds 0 and 1."""
    seen = list[Tensor]()
    decode = painter._decode

    def record(latents: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(latents)
        return decode(latents)

    monkeypatch.setattr(painter, "_decode", record)
    painter.paint(PROMPTS, range(2), settings, hints=hints)
    return seen[0]


def own_call(folder: Path, sampler: Sampler = "ddim", controlnet: Any = None, **call: Any) -> Any:
    """What plain diffusers makes of the folder with the same noise."""
    kind, more = DiffusionPipeline, {}
    if controlnet is not None:
        kind, more = StableDiffusionXLControlNetPipeline, {"controlnet": controlnet}
    stock = kind.from_pretrained(folder, local_files_only=True, **more)
    own = stock.scheduler.config
    kind = DDIMScheduler if sampler == "ddim" else DPMSolverMultistepScheduler
    more = {"clip_sample": False, "set_alpha_to_one": False} if sampler == "ddim" else {"use_karras_sigmas": True}
    stock.scheduler = kind(**SCHEDULE, **more, steps_offset=1, prediction_type=own.prediction_type)
    stock.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in range(2)]
    return stock(PROMPTS, num_inference_steps=4, guidance_scale=4.0, generator=generators, **call).images


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
def test_each_family_is_sampled_as_by_stock_diffusers(
    base: Path, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_head(base)
    settings = SamplerSettings(sampler=sampler, steps=4, guidance=4.0, negative_prompt="shadow", start="noise")
    ours = latents_of(DiffuMattingPipeline.from_folder(folder), settings, monkeypatch)
    expected = own_call(folder, sampler, negative_prompt=["shadow"] * 2, output_type="latent")
    assert expected.std() > 0.3
    assert torch.allclose(ours, expected, atol=1e-4)


def test_each_familys_pictures_are_those_of_stock_diffusers(base: Path) -> None:
    folder = with_head(base)
    rgb, _ = DiffuMattingPipeline.from_folder(folder)(PROMPTS, range(2), SETTINGS)
    assert np.abs(rgb / 255 - own_call(folder, negative_prompt=["shadow"] * 2, output_type="np")).max() <= 0.51 / 255


@pytest.mark.parametrize("zeros", [True, False])
def test_no_negative_prompt_is_zeros_where_xl_was_trained_so(
    xl: Path, tmp_path: Path, zeros: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(xl, tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_bytes())
    (folder / "model_index.json").write_text(json.dumps(index | {"force_zeros_for_empty_prompt": zeros}))
    settings = SamplerSettings(sampler="ddim", steps=4, guidance=4.0, negative_prompt="", start="noise")
    ours = latents_of(DiffuMattingPipeline.from_folder(folder), settings, monkeypatch)
    assert torch.allclose(ours, own_call(folder, output_type="latent"), atol=1e-4)


def test_xl_is_told_sizes_and_crops(xl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = DiffuMattingPipeline.from_folder(xl)
    told = SamplerSettings(
        sampler="ddim", steps=4, guidance=4.0, negative_prompt="shadow", start="noise", original_size=512, crop=(0, 64)
    )
    ours = latents_of(painter, told, monkeypatch)
    same = {"negative_original_size": (512, 512), "negative_target_size": (32, 32)}
    call = same | {"negative_crops_coords_top_left": (0, 64), "negative_prompt": ["shadow"] * 2}
    expected = own_call(xl, original_size=(512, 512), crops_coords_top_left=(0, 64), output_type="latent", **call)
    assert torch.allclose(ours, expected, atol=1e-4)
    assert not torch.allclose(ours, latents_of(painter, SETTINGS, monkeypatch), atol=1e-2)


def test_pixels_do_not_depend_on_place_or_neighbours(xl: Path) -> None:
    painter = DiffuMattingPipeline.from_folder(xl)
    rgb, coarse = painter(PROMPTS, [5, 6], SETTINGS)
    other, mask = painter(PROMPTS[::-1], [6, 5], SETTINGS)
    assert np.array_equal(rgb, other[::-1])
    assert np.array_equal(coarse, mask[::-1])


def test_half_precision_does_not_reach_an_autoencoder_that_overflows_in_it(xl: Path) -> None:
    painter = DiffuMattingPipeline.from_folder(xl, dtype=torch.float16)
    assert painter.components.vae.dtype == torch.float32
    assert painter.components.unet.dtype == torch.float16
    exact, _ = DiffuMattingPipeline.from_folder(xl)(PROMPTS, [5, 6], SETTINGS)
    half, _ = painter(PROMPTS, [5, 6], SETTINGS)
    assert np.abs(exact.astype(int) - half).mean() < 2


def test_plain_diffusers_loads_the_folder_without_a_warning(
    base: Path,
    tmp_path: Path,
    library_messages: list[str],  # noqa: F811 - the fixture
) -> None:
    components = model_folder.load(with_head(base))
    model_folder.save(components, tmp_path / "again")
    library_messages.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stock = DiffusionPipeline.from_pretrained(tmp_path / "again", local_files_only=True)
    assert library_messages == []
    assert isinstance(stock, StableDiffusionXLPipeline if components.is_xl else StableDiffusionPipeline)
    again = model_folder.load(tmp_path / "again")
    for part in model_files.parts(xl=components.is_xl):
        name = "head" if part == "matting_head" else part
        before, after = getattr(components, name).state_dict(), getattr(again, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert DiffuMattingPipeline(again).texts(PROMPTS)[0].shape == (2, 77, 80 if components.is_xl else 32)


def test_what_lies_in_the_second_readers_folders_decides_a_pixel(xl: Path, tmp_path: Path) -> None:
    for part in ("text_encoder_2", "tokenizer_2"):
        folder = Path(shutil.copytree(xl, tmp_path / part))
        file = next((folder / part).glob("*config.json"))
        file.write_text(file.read_text() + " ")
        assert model_files.fingerprint(folder) != model_files.fingerprint(xl)
        shutil.rmtree(folder / part)
        with pytest.raises(UsageError, match=f"has no {part}/: copy the model again"):
            kind_of(folder)


def test_a_second_tokenizer_that_splits_the_screens_word_is_refused(xl: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(xl, tmp_path / "model"))
    file = folder / "tokenizer_2" / "tokenizer.json"
    content = json.loads(file.read_text())
    model = content["model"]
    model["vocab"] = {word.replace("green</w>", "grean</w>"): number for word, number in model["vocab"].items()}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) != "green</w>"]
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"tokenizer_2 splits 'green' into \d tokens"):
        kind_of(folder).sampling({}, folder)


def generated(model: Path, out: Path, *more: str | Path) -> Ended:
    prompts = out.with_name("prompts.txt")
    prompts.write_text("a red feather\n")
    return factory_here(
        *("generate", "--model", model, "--prompts", prompts, "--n", "1", "--steps", "2", "--batch", "1"),
        *("--set", OPEN_GATES, "--allow-short", "--max-attempts", "1", "--out", out, "--executor", "local", *more),
    )


def test_xl_paints_with_adapters_and_words_for_its_second_reader(painter_of_screens: Path, tmp_path: Path) -> None:
    adapter, word = tmp_path / "a.safetensors", tmp_path / "w.safetensors"
    down, up = np.ones((1, 48), np.float32), np.ones((48, 1), np.float32)
    layer = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    save_file({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}, adapter)
    save_file({"clip_l": np.ones((1, 32), np.float32), "clip_g": np.ones((1, 48), np.float32)}, word)
    samplers = {}
    laid = ("--lora", adapter, "--set", "sampler.original_size=64")
    for name, more in {"plain": (), "laid": laid}.items():
        out = tmp_path / name
        ended = generated(painter_of_screens, out, "--word", word, *more)
        assert ended.code == 0, ended.err
        assert factory_here("verify", out).code == 0
        samplers[name] = json.loads((out / "plan.json").read_bytes())["settings"]["sampler"]
    assert samplers["laid"]["original_size"] == 64
    assert "original_size" not in samplers["plain"]
    models = {factory.open(tmp_path / name)[0].meta["model"] for name in samplers}
    assert len(models) == 2


def test_no_warning_of_diffusers_breaks_the_live_line(
    painter_of_screens: Path,
    tmp_path: Path,
    library_messages: list[str],  # noqa: F811
) -> None:
    adapter = ip_adapter(model_folder.load(painter_of_screens).unet, tmp_path / "ip")
    cv2.imwrite(str(tmp_path / "style.png"), np.zeros((8, 8, 3), np.uint8))
    listed = tmp_path / "prompts.csv"
    listed.write_text("prompt,style\na red feather,style.png\n")
    diffusers.utils.logging.set_verbosity_warning()
    ended = generated(painter_of_screens, tmp_path / "out", "--style", adapter, "--prompts", listed)
    assert ended.code == 0, ended.err
    assert not library_messages


def test_only_xl_is_told_sizes(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    folder = with_head(saved("2", tmp_path_factory))
    refused = generated(folder, tmp_path / "out", "--set", "sampler.crop=[0, 8]")
    assert refused.code == 2
    assert "only Stable Diffusion XL is told" in refused.sentence


def test_what_models_says_of_a_family(xl: Path) -> None:
    told = factory_here("models", xl).out
    assert "32 pixels" in told
    assert "80 numbers a token" in told
    assert "epsilon" in told


def test_control_networks_are_told_what_xl_is_told(xl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painter = DiffuMattingPipeline.from_folder(xl)
    network = ControlNetModel.from_pretrained(controlnet(painter.components.unet, tmp_path / "net"))
    shown = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    said = PlannedControl(
        network="ControlNetModel", kind="as-is", column="control", weight=0.7, begin=0.0, end=1.0, mode=-1
    )
    ours = latents_of(painter, SETTINGS, monkeypatch, hints=residuals([Loaded(network, said)], [shown]))
    call = {"image": shown, "controlnet_conditioning_scale": 0.7, "negative_prompt": ["shadow"] * 2}
    assert torch.allclose(ours, own_call(xl, controlnet=network, output_type="latent", **call), atol=1e-4)
    assert not torch.allclose(ours, latents_of(painter, SETTINGS, monkeypatch), atol=1e-2)
