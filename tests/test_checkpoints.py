"""A model in one file paints as the folder that it was made from; what is not in the file is found, or asked for."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from original_names import write_checkpoint
from program import Ended, factory_here
from safetensors.torch import load_file, save_file
from test_families import stable_diffusion_2, stable_diffusion_xl
from tiny_pipelines import build

import factory
from factory.diffusion.checkpoints.header import CONFIGURATIONS, read_header
from factory.diffusion.checkpoints.loading import load_checkpoint
from factory.diffusion.lora.laying import without_numbers
from factory.diffusion.plain.folder import read_index
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.settings import PlainSettings
from factory.errors import UsageError
from pipelines import OPEN

FAMILIES = {"sd1": lambda: build("StableDiffusionPipeline"), "sd2": stable_diffusion_2, "xl": stable_diffusion_xl}
PUBLISHED = {  # how many weights the published models have
    "sd1": {"unet": 859_520_964, "text_encoder": 123_060_480},
    "sd2": {"unet": 865_910_724, "text_encoder": 340_387_840},
    "sd2-base": {"unet": 865_910_724, "text_encoder": 340_387_840},
    "xl": {"unet": 2_567_463_684, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
}


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """A family, a tiny model of it as a folder, and the same as a file."""
    return request.param, *_both(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return _both("sd1", tmp_path_factory)


def _both(family: str, folders: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = folders.mktemp(family)
    pipeline = FAMILIES[family]()
    pipeline.save_pretrained(place / "model")
    return place / "model", write_checkpoint(pipeline, place / "model.safetensors")


def test_a_file_paints_as_the_folder(both: tuple[str, Path, Path]) -> None:
    family, folder, file = both
    assert read_header(file).family == family
    settings = PlainSettings(steps=3, size=32, start="screen")
    prompts, keys = ["green screen, a red feather", "a blue leaf"], ["green", "blue"]
    expected, found = (
        PlainPipeline(pipeline).paint(prompts, [1, 2], settings, keys)  # type: ignore[arg-type]
        for pipeline in (
            load_pipeline(folder, torch.float32),
            load_checkpoint(file, folder, folder / "tokenizer", torch.float32),
        )
    )
    assert expected.std() > 0.05
    assert np.abs(expected - found).max() <= 1 / 255


@pytest.mark.parametrize("family", PUBLISHED)
def test_the_configurations_that_ship_are_of_the_published_models(family: str) -> None:
    folder = CONFIGURATIONS / family
    counted = {
        part: sum(weight.numel() for weight in network.parameters())
        for part, network in without_numbers(folder).items()
    }
    assert counted == PUBLISHED[family]
    assert all((folder / part).is_dir() for part in read_index(folder).parts)


def generated(file: Path, out: Path, *more: str | Path, prompt: str = "a red feather") -> Ended:
    listed = out.with_name("prompts.txt")
    listed.write_text(f"{prompt}\n")
    return factory_here(
        *("generate", "--model", file, "--prompts", listed, "--n", "1", "--batch", "1", "--steps", "2", "--set", OPEN),
        *("--set", "sampler.size=64", "--max-attempts", "2", "--out", out, "--executor", "local", *more),
    )


def test_a_file_makes_a_set(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.numpy import save_file as save_arrays

    folder, file = sd1
    adapter = tmp_path / "a.safetensors"
    down, up = np.ones((1, 8, 3, 3), np.float32), np.ones((4, 1, 1, 1), np.float32)
    save_arrays({"lora_unet_conv_out.lora_down.weight": down, "lora_unet_conv_out.lora_up.weight": up}, adapter)
    out = tmp_path / "out"
    ended = generated(file, out, "--config", folder, "--lora", adapter, prompt="a red feather " * 40)
    assert ended.code == 0, ended.err
    assert "longer than the 77 tokens" in ended.err
    assert factory_here("verify", out).code == 0
    assert factory.open(out)[0].meta["source"] == "StableDiffusionPipeline"
    weights = json.loads((out / "plan.json").read_bytes())["weights"]
    assert weights.keys() == {"checkpoint", "checkpoint_config", "checkpoint_vocabulary", "lora_0"}


def test_another_vocabulary_or_configuration_under_the_same_name_is_refused(
    sd1: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, out = Path(shutil.copytree(sd1[0], tmp_path / "model")), tmp_path / "out"
    assert generated(sd1[1], out, "--config", folder).code == 0
    for file in (folder / "tokenizer" / "tokenizer.json", folder / "scheduler" / "scheduler_config.json"):
        before = file.read_text()
        file.write_text(before + "\n")
        assert f"changed since {out} was begun" in generated(sd1[1], out, "--config", folder, "--n", "2").sentence
        file.write_text(before)


def test_what_models_says_of_a_file(both: tuple[str, Path, Path]) -> None:
    family, _, file = both
    told = factory_here("models", file).out
    assert {"sd1": "Stable Diffusion 1", "sd2": "predicts velocity", "xl": "Stable Diffusion XL"}[family] in told
    assert "a screen, or noise" in told


def test_without_a_vocabulary_the_command_that_gets_it_is_said(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    refused = generated(sd1[1], tmp_path / "out")
    assert refused.code == 2
    assert "hf download openai/clip-vit-large-patch14 vocab.json merges.txt --local-dir" in refused.sentence


def test_a_vocabulary_of_two_words_is_refused(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    (tmp_path / "words" / "merges.txt").write_text("#version: 0.2\n")
    refused = generated(sd1[1], tmp_path / "out", "--tokenizer", tmp_path / "words", "--config", sd1[0])
    assert "has 2 tokens" in refused.sentence


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("first_stage_model.", "lacks the autoencoder"),
        ("cond_stage_model.", "lacks the text encoder"),
        ("model.", "is no checkpoint of Stable Diffusion 1, 2 or XL"),
        ("model.diffusion_model.middle_block.1.norm", "lacks weights"),
        ("first_stage_model.decoder.mid.attn_1.q", "lacks weights"),
        ("cond_stage_model.transformer.text_model.final_layer_norm", "lacks 2 weights of text_encoder"),
    ],
)
def test_a_file_that_lacks_weights_is_refused(sd1: tuple[Path, Path], tmp_path: Path, without: str, said: str) -> None:
    file = write_checkpoint(build("StableDiffusionPipeline"), tmp_path / "a.safetensors", without=without)
    with pytest.raises(UsageError, match=said):
        read_header(file)
        load_checkpoint(file, sd1[0], sd1[0] / "tokenizer", torch.float32)


def changed(file: Path, to: Path, metadata: Mapping[str, str], **more: torch.Tensor) -> Path:
    save_file(load_file(file) | more, to, metadata=dict(metadata))
    return to


def test_what_a_file_of_2_predicts_is_taken_from_what_it_says(tmp_path: Path) -> None:
    silent = write_checkpoint(stable_diffusion_2(), tmp_path / "a.safetensors")
    assert "does not say" in read_header(silent).guessed
    for said, family in (("epsilon", "sd2-base"), ("v", "sd2")):
        header = read_header(changed(silent, tmp_path / f"{said}.safetensors", {"modelspec.prediction_type": said}))
        assert (header.family, header.guessed) == (family, "")


@pytest.mark.parametrize("family", ["sd1", "xl"])
def test_a_file_that_says_it_predicts_velocity_is_not_painted_as_noise(family: str, tmp_path: Path) -> None:
    noise = write_checkpoint(FAMILIES[family](), tmp_path / "a.safetensors")
    assert not read_header(noise).velocity
    files = [
        changed(noise, tmp_path / "key.safetensors", {}, v_pred=torch.zeros(1)),
        changed(noise, tmp_path / "said.safetensors", {"modelspec.prediction_type": "v"}),
    ]
    for file in files:
        assert "predicts velocity" in generated(file, tmp_path / "out").sentence
        told = factory_here("models", file)
        assert told.code == 0
        assert "velocity: needs --config" in told.out


def test_what_is_guessed_of_a_file_is_told(tmp_path: Path) -> None:
    silent = write_checkpoint(stable_diffusion_2(), tmp_path / "a.safetensors")
    assert "does not say whether" in factory_here("models", silent).out


def test_an_xl_without_its_second_text_encoder_is_refused(tmp_path: Path) -> None:
    pipeline = stable_diffusion_xl()
    pipeline.save_pretrained(tmp_path / "model")
    file = write_checkpoint(pipeline, tmp_path / "a.safetensors", without="conditioner.embedders.1")
    with pytest.raises(UsageError, match="lacks the second text encoder"):
        read_header(file, other=True)
    with pytest.raises(UsageError, match="cannot be loaded as StableDiffusionXLPipeline"):
        load_checkpoint(file, tmp_path / "model", tmp_path / "model" / "tokenizer", torch.float32)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("model.diffusion_model.input_blocks.0.0.weight", (8,), "is no checkpoint"),
        ("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", (), "lacks the text encoder"),
    ],
)
def test_weights_of_no_sense_are_refused(
    sd1: tuple[Path, Path], tmp_path: Path, name: str, shape: tuple[int, ...], said: str
) -> None:
    file = changed(sd1[1], tmp_path / "a.safetensors", {}, **{name: torch.zeros(shape)})
    with pytest.raises(UsageError, match=said):
        read_header(file)


def test_a_link_into_a_cache_is_read_as_what_it_is_called(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    blob = Path(shutil.copyfile(sd1[1], tmp_path / "0123abcd"))
    (tmp_path / "a.safetensors").symlink_to(blob)
    out = tmp_path / "out"
    assert generated(tmp_path / "a.safetensors", out, "--config", sd1[0]).code == 0
    with pytest.raises(UsageError, match="would be read as a pickle"):
        load_checkpoint(blob, sd1[0], sd1[0] / "tokenizer", torch.float32)


def test_configurations_of_another_kind_are_refused_at_planning(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sd1[0], tmp_path / "model"))
    (folder / "unet" / "config.json").write_text("[]")
    refused = generated(sd1[1], tmp_path / "out", "--config", folder, "--sampler", "lcm")
    assert "does not say values by name" in refused.sentence


def test_files_of_other_models_are_refused(sd1: tuple[Path, Path], tmp_path: Path) -> None:
    first = "model.diffusion_model.input_blocks.0.0.weight"
    inpainting = changed(sd1[1], tmp_path / "9.safetensors", {}, **{first: torch.zeros(8, 9, 3, 3)})
    with pytest.raises(UsageError, match="9 channels"):
        read_header(inpainting)
    pickled = tmp_path / "a.ckpt"
    pickled.write_bytes(b"")
    assert "factory convert" in generated(pickled, tmp_path / "out").sentence
    assert "leave them out" in generated(sd1[0], tmp_path / "out", "--tokenizer", tmp_path).sentence


def test_configurations_are_packed() -> None:
    assert CONFIGURATIONS.is_relative_to(REPOSITORY / "factory")
    assert {folder.name for folder in CONFIGURATIONS.iterdir()} == PUBLISHED.keys()
