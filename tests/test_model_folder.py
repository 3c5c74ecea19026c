"""A model folder is a plain Stable Diffusion folder, complete or refused in one sentence."""

import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import CLIPTokenizer

from factory.diffusion import model_files, model_folder
from factory.diffusion.clip_vocabulary import read_tokenizer
from factory.diffusion.matting_head import MattingHead, decode_with_features, decoder_features
from factory.diffusion.model_folder import Components
from factory.diffusion.train.networks import build, build_autoencoder, build_text_encoder, build_unet
from factory.diffusion.train.settings import NetworkSettings
from factory.errors import UsageError

CAPTIONS = ("a red feather", "a blue leaf", "a glass bubble")
TINY = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, unet_channels=(8, 16), unet_layers=1, unet_heads=2, text_width=16,
    text_layers=2, text_heads=2, text_length=16, norm_groups=4, head_hidden=8,
)  # fmt: skip


def tiny_components() -> Components:
    """A fresh model in Stable Diffusion's layout, small enough to sample in milliseconds."""
    return build(TINY, 16, CAPTIONS, seed=0)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model_folder.save(tiny_components(), folder)
    return folder


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


@pytest.fixture
def library_messages() -> Iterator[list[str]]:
    """Every warning that diffusers and transformers log; they do not hand them to the root logger."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    for logger in loggers:
        logger.addHandler(handler)
    yield messages
    for logger in loggers:
        logger.removeHandler(handler)


def test_what_is_to_paint_is_laid_out_for_it_and_holds_the_same_weights(tiny_model: Path) -> None:
    plain, laid_out = model_folder.load(tiny_model), model_folder.load_to_paint(tiny_model, torch.float32, "cpu")
    for name in ("unet", "vae"):
        weights = getattr(plain, name).state_dict()
        for key, weight in getattr(laid_out, name).state_dict().items():
            assert torch.equal(weight, weights[key])
            assert weight.dim() != 4 or weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_weights_of_another_type_are_laid_out_in_the_asked_one(tmp_path: Path, stored: torch.dtype) -> None:
    model_folder.save(tiny_components(), tmp_path, stored)
    weight = model_folder.load_to_paint(tmp_path, torch.float32, "cpu").unet.conv_in.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, tiny_components().unet.conv_in.weight.to(stored).float())


def test_plain_diffusers_loads_and_runs_the_folder_without_a_warning(
    tiny_model: Path, library_messages: list[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = StableDiffusionPipeline.from_pretrained(tiny_model, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("green screen, a red feather", num_inference_steps=2, output_type="np").images
    assert library_messages == []
    assert picture.shape == (1, 16, 16, 3)


def test_saved_weights_come_back_to_the_bit(tiny_model: Path) -> None:
    fresh, loaded = tiny_components(), model_folder.load(tiny_model)
    for name in ("unet", "vae", "text_encoder", "head"):
        expected, found = getattr(fresh, name).state_dict(), getattr(loaded, name).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    prompt = "green screen, a red feather"
    assert loaded.tokenizer(prompt).input_ids == fresh.tokenizer(prompt).input_ids
    assert loaded.tokenizer.model_max_length == 16


def test_saving_again_what_was_loaded_gives_the_same_fingerprint(tiny_model: Path, tmp_path: Path) -> None:
    model_folder.save(model_folder.load(tiny_model), tmp_path / "again")
    assert model_files.fingerprint(tmp_path / "again") == model_files.fingerprint(tiny_model)


def test_the_text_encoder_is_stored_under_the_keys_of_published_models(tiny_model: Path) -> None:
    with safe_open(tiny_model / "text_encoder" / "model.safetensors", framework="pt") as file:
        assert all(key.startswith("text_model.") for key in file.keys())  # noqa: SIM118


def test_weights_are_stored_in_the_type_asked_for(tmp_path: Path) -> None:
    components = tiny_components()
    model_folder.save(components, tmp_path, torch.float16)
    with safe_open(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    assert components.unet.dtype == torch.float32
    assert model_folder.load(tmp_path, torch.bfloat16).text_encoder.dtype == torch.bfloat16


def test_one_changed_byte_of_a_weight_changes_the_fingerprint(tiny_model: Path, copy: Path) -> None:
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (copy / "README.md").write_text("a card decides no pixel")
    assert model_files.fingerprint(copy) != model_files.fingerprint(tiny_model)


def test_the_card_and_the_folders_name_are_no_part_of_the_fingerprint(tiny_model: Path, copy: Path) -> None:
    (copy / "README.md").write_text("---\nlicense: mit\n---\n# A card\n")
    assert model_files.fingerprint(copy) == model_files.fingerprint(tiny_model)
    assert model_files.licence(copy) == "mit"
    assert model_files.licence(tiny_model) == ""


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, copy / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(UsageError, match=r"diffusion_pytorch_model\.bin is pickled.*convert it to safetensors"):
        model_folder.load(copy)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights_are_refused(copy: Path, keep: int) -> None:
    weights = copy / "text_encoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(UsageError, match=r"model\.safetensors is cut short .* copy it again"):
        model_folder.load(copy)


def test_weights_of_another_model_are_refused(copy: Path) -> None:
    config = json.loads((copy / "unet" / "config.json").read_text())
    (copy / "unet" / "config.json").write_text(json.dumps(config | {"block_out_channels": [16, 16]}))
    with pytest.raises(UsageError, match="unet cannot be loaded"):
        model_folder.load(copy)


def test_weights_that_lack_a_tensor_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = copy / "matting_head" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["conv_out.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 weights, conv_out\.bias among them"):
        model_folder.load(copy)


def made_up(folder: Path) -> None:
    """Put beside the words what transformers makes of a folder without any: a tokenizer of two tokens."""
    CLIPTokenizer().save_pretrained(folder / "made_up")
    shutil.copyfile(folder / "made_up" / "tokenizer.json", folder / "tokenizer.json")
    shutil.rmtree(folder / "made_up")


def test_a_made_up_tokenizer_beside_the_words_is_refused(copy: Path) -> None:
    made_up(copy / "tokenizer")
    with pytest.raises(UsageError, match=r"tokenizer knows 2 tokens only"):
        model_folder.load(copy)
    with pytest.raises(UsageError, match=r"tokenizer knows 2 tokens only"):
        model_folder.load_base(copy, 8, 0)


def test_a_tokenizer_of_another_kind_is_refused(copy: Path) -> None:
    words = {f"word{number}": number for number in range(600)}
    Tokenizer(WordLevel(words, unk_token="word0")).save(str(copy / "tokenizer" / "tokenizer.json"))
    with pytest.raises(UsageError, match=r"another kind \(WordLevel\)"):
        read_tokenizer(copy / "tokenizer")


def test_a_folder_without_head_is_refused(copy: Path) -> None:
    shutil.rmtree(copy / "matting_head")
    with pytest.raises(UsageError, match="has no matting_head/: train one"):
        model_folder.load(copy)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a model folder"):
        model_folder.load(tmp_path)


def test_a_broken_configuration_is_named(copy: Path) -> None:
    (copy / "vae" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=re.escape(f"{copy / 'vae' / 'config.json'} is not JSON")):
        model_folder.load(copy)


def test_a_hub_name_is_not_fetched_but_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="hf download someone/some-model --local-dir some-model"):
        model_files.resolve("someone/some-model")
    with pytest.raises(UsageError, match="there is no such folder; give a folder"):
        model_files.resolve("nowhere")
    assert model_files.resolve(str(tmp_path)) == tmp_path


def test_picture_and_mask_share_one_decode() -> None:
    components = tiny_components()
    latents = torch.randn(2, 4, 8, 8)
    with torch.inference_mode():
        picture, features = decode_with_features(components.vae, latents)
        assert torch.equal(picture, components.vae.decode(latents).sample)
        mask = components.head(features)
    assert mask.shape == (2, 1, 16, 16)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1


def test_stable_diffusion_1_5_has_the_same_layout_and_its_own_size() -> None:
    """Same code, same kinds of keys, from the tiny model to the big one (built without memory)."""
    big = NetworkSettings()
    with torch.device("meta"):
        unet, vae = build_unet(big, 64), build_autoencoder(big, 512)
        text_encoder = build_text_encoder(big, 49408, 49406, 49407)
        head = MattingHead()
        features = decoder_features(vae, torch.empty(1, 4, 64, 64))
    assert sum(tensor.numel() for tensor in unet.parameters()) == 859_520_964
    assert sum(tensor.numel() for tensor in vae.parameters()) == 83_653_863
    assert sum(tensor.numel() for tensor in text_encoder.parameters()) == 123_060_480
    assert head(features).shape == (1, 1, 512, 512)
    tiny = tiny_components()
    assert tiny.unet.state_dict().keys() < unet.state_dict().keys()
    assert tiny.text_encoder.state_dict().keys() < text_encoder.state_dict().keys()
    assert tiny.head.state_dict().keys() == head.state_dict().keys()
