"""Model folders as they lie about: sharded, in half precision, with parts too many or too few, with foreign names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from program import factory_here
from safetensors.torch import load_file, save_file
from tiny_model import save_tiny_model
from tiny_pipelines import build

from factory.diffusion import model_folder
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.plain.arguments import call_of
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.text_length import text_length
from factory.errors import UsageError
from factory.models.folder import check_weights

Change = Callable[[Path], Any]
HEADED, PLAIN = "with a matting head", "plain"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    build("StableDiffusionXLPipeline").save_pretrained(place / "plain")
    return {HEADED: save_tiny_model(place / "headed"), PLAIN: place / "plain"}


@pytest.fixture(params=[HEADED, PLAIN])
def model(request: pytest.FixtureRequest, saved: dict[str, Path], tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(saved[request.param], tmp_path / "model"))


def looked_at_and_loaded(model: Path) -> Any:
    """As planning and a worker do it. Raises UsageError."""
    if kind_of(model).name == "diffumatting":
        return model_folder.load(model)
    return load_pipeline(model, torch.float32)


def painted(model: Path) -> np.ndarray[Any, Any]:
    loaded = looked_at_and_loaded(model)
    if kind_of(model).name == "diffumatting":
        return DiffuMattingPipeline(loaded)(["a red feather"], [1], SamplerSettings(steps=2))[0]
    return PlainPipeline(loaded).paint(["a red feather"], [1], PlainSettings(steps=2, size=32), ["green"])


def in_shards(part: Path) -> Path:
    """Cut a part's weights in two, as big models are saved; the file that lists them."""
    (whole,) = part.glob("*.safetensors")
    weights = load_file(whole)
    halves = [list(weights)[::2], list(weights)[1::2]]
    listed = {}
    for number, names in enumerate(halves, 1):
        shard = whole.with_name(f"{whole.stem}-{number:05d}-of-00002.safetensors")
        save_file({name: weights[name] for name in names}, shard, metadata={"format": "pt"})
        listed |= dict.fromkeys(names, shard.name)
    whole.unlink()
    index = whole.with_name(f"{whole.name}.index.json")
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": listed}))
    return index


def test_weights_in_several_files_paint_the_same(model: Path) -> None:
    expected = painted(model)
    for part in ("unet", "text_encoder"):
        in_shards(model / part)
    assert np.array_equal(painted(model), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda index: next(index.parent.glob("*-00002-of*")).unlink(), "00002-of-00002.safetensors is missing"),
        (lambda index: index.write_text('{"weight_map": {"a": "../../a.safetensors"}}'), "no file beside it"),
        (lambda index: index.write_text('{"weight_map": {"a": "a.bin"}}'), "no file beside it"),
        (lambda index: index.write_text("[]"), "does not list"),
    ],
)
def test_shards_that_are_not_all_there_are_refused_at_planning(model: Path, change: Change, said: str) -> None:
    index = in_shards(model / "unet")
    change(index)
    with pytest.raises(UsageError, match=said):
        kind_of(model)


def test_a_shard_that_lacks_a_listed_weight_is_refused(model: Path) -> None:
    index = in_shards(model / "unet")
    content = json.loads(index.read_text())
    content["weight_map"]["strange"] = next(iter(content["weight_map"].values()))
    index.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="lacks strange"):
        check_weights(model / "unet")


def test_half_weights_alone_paint(model: Path) -> None:
    expected = painted(model).astype(float)
    for part in ("unet", "vae", "text_encoder"):
        (whole,) = (model / part).glob("*.safetensors")
        half = {name: value.half() for name, value in load_file(whole).items()}
        save_file(half, whole.with_name(f"{whole.stem}.fp16.safetensors"), metadata={"format": "pt"})
        whole.unlink()
    assert np.abs(painted(model) - expected).mean() < 0.02 * max(1.0, expected.max())


def test_half_weights_beside_whole_ones_are_passed_over(model: Path) -> None:
    expected = painted(model)
    (whole,) = (model / "unet").glob("*.safetensors")
    zeros = {name: torch.zeros_like(value).half() for name, value in load_file(whole).items()}
    save_file(zeros, whole.with_name(f"{whole.stem}.fp16.safetensors"), metadata={"format": "pt"})
    assert np.array_equal(painted(model), expected)


def renamed(part: Path, change: Callable[[str], str]) -> None:
    (whole,) = part.glob("*.safetensors")
    save_file({change(name): value for name, value in load_file(whole).items()}, whole, metadata={"format": "pt"})


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_under_foreign_names_are_not_drawn_anew(model: Path, part: str) -> None:
    renamed(model / part, lambda name: f"somewhere.{name}")
    with pytest.raises(UsageError, match=f"{part} lacks [0-9]+ weights"):
        looked_at_and_loaded(model)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("unet/config.json", [], "does not say values by name"),
        ("vae/config.json", 5, "does not say values by name"),
        ("scheduler/scheduler_config.json", ["DDIMScheduler"], "does not say values by name"),
        ("tokenizer/tokenizer_config.json", None, "does not say values by name"),
        ("model_index.json", [], "does not say values by name"),
    ],
)
def test_a_configuration_of_another_kind_is_refused_at_planning(
    model: Path, file: str, content: Any, said: str
) -> None:
    (model / file).write_text(json.dumps(content))
    with pytest.raises(UsageError, match=said):
        kind_of(model)


@pytest.mark.parametrize("name", [None, 5, "NoSuchScheduler", "StableDiffusionPipeline"])
def test_a_scheduler_that_there_is_not_is_refused_at_planning(
    saved: dict[str, Path], tmp_path: Path, name: Any
) -> None:
    model = Path(shutil.copytree(saved[HEADED], tmp_path / "model"))
    file = model / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"_class_name": name}))
    with pytest.raises(UsageError, match="names no scheduler that the installed diffusers has"):
        kind_of(model)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("unet", {"sample_size": None}, "must say sample_size"),
        ("unet", {"sample_size": [8, 8]}, "must say sample_size"),
        ("vae", {"block_out_channels": None}, "must list block_out_channels"),
    ],
)
def test_a_model_that_does_not_say_its_size_is_refused_in_a_sentence(
    saved: dict[str, Path], tmp_path: Path, part: str, value: dict[str, Any], said: str
) -> None:
    model = Path(shutil.copytree(saved[HEADED], tmp_path / "model"))
    file = model / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | value))
    told = factory_here("models", model)
    (tmp_path / "prompts.txt").write_text("a red feather\n")
    asked = ("generate", "--model", model, "--prompts", tmp_path / "prompts.txt", "--out", tmp_path / "out")
    planned = factory_here(*asked, "--dry-run")
    for ended in (told, planned):
        assert ended.code == 2
        assert said in ended.sentence


def test_one_missing_weight_is_named(model: Path) -> None:
    (whole,) = (model / "text_encoder").glob("*.safetensors")
    weights = load_file(whole)
    lost = next(name for name in weights if name.endswith("final_layer_norm.bias"))
    save_file({name: value for name, value in weights.items() if name != lost}, whole, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 weights, .*final_layer_norm\.bias among them"):
        looked_at_and_loaded(model)


def test_text_encoders_of_either_transformers_are_read(model: Path) -> None:
    expected = painted(model)
    bare = lambda name: name.removeprefix("text_model.")  # noqa: E731
    for change in (bare, lambda name: f"text_model.{bare(name)}"):
        renamed(model / "text_encoder", change)
        assert np.array_equal(painted(model), expected)


def test_parts_too_many_do_no_harm(model: Path) -> None:
    expected = painted(model)
    (model / "safety_checker").mkdir()
    (model / "safety_checker" / "model.bin").write_bytes(b"a pickle, perhaps")
    (model / "notes.txt").write_text("mine")
    assert np.array_equal(painted(model), expected)


def test_a_safety_checker_that_was_taken_away_is_not_missed(model: Path) -> None:
    expected, index = painted(model), model / "model_index.json"
    named = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    index.write_text(json.dumps(json.loads(index.read_bytes()) | named | {"feature_extractor": ["transformers", "X"]}))
    assert np.array_equal(painted(model), expected)


def without_words(tokenizer: Path) -> None:
    for name in ("vocab.json", "merges.txt", "tokenizer.json"):
        (tokenizer / name).unlink(missing_ok=True)


def test_a_tokenizer_without_words_is_refused_at_planning(model: Path) -> None:
    without_words(model / "tokenizer")
    with pytest.raises(UsageError, match="knows 0 tokens only, so all words would be the same"):
        kind_of(model)


def test_a_tokenizer_that_splits_the_screens_word_is_refused(saved: dict[str, Path], tmp_path: Path) -> None:
    model = Path(shutil.copytree(saved[HEADED], tmp_path / "model"))
    vocabulary = model / "tokenizer" / "vocab.json"
    (model / "tokenizer" / "tokenizer.json").unlink()
    words = {
        word.replace("green</w>", "grean</w>"): number for word, number in json.loads(vocabulary.read_text()).items()
    }
    vocabulary.write_text(json.dumps(words))
    merges = model / "tokenizer" / "merges.txt"
    kept = [line for line in merges.read_text().splitlines() if line.replace(" ", "") != "green</w>"]
    merges.write_text("\n".join(kept) + "\n")
    with pytest.raises(UsageError, match=r"splits 'green' into \d tokens"):
        kind_of(model).sampling({}, model)


def test_lengths_are_known_of_two_readers_too(saved: dict[str, Path]) -> None:
    length = text_length(saved[PLAIN])
    assert length is not None
    assert length.most == 77
    assert length.of("a red feather") == 5


@pytest.mark.parametrize(
    "name", ["StableDiffusionPipeline", "StableDiffusionControlNetPipeline", "FluxKontextPipeline"]
)
def test_a_call_is_read_as_python_has_it(name: str) -> None:
    import inspect

    import diffusers

    own = dict(list(inspect.signature(getattr(diffusers, name).__call__).parameters.items())[1:])
    named = {key: each for key, each in own.items() if each.kind is not each.VAR_KEYWORD}
    call = call_of(name)
    assert call.names == tuple(named)
    assert call.needed == tuple(key for key, each in named.items() if each.default is inspect.Parameter.empty)
