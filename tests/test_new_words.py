"""A model learns a word from a file: one token or several, where the prompt has it, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from program import Ended, factory_here
from safetensors.numpy import save_file
from tiny_model import OPEN_GATES, save_tiny_model

import factory
from factory.diffusion.model_folder import load
from factory.diffusion.new_words import add_words, in_full
from factory.errors import UsageError

WIDTH = 16  # of the tiny model's text encoder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def a_file(folder: Path, name: str = "style", key: str = "<style>", shape: tuple[int, ...] = (WIDTH,)) -> Path:
    file = folder / f"{name}.safetensors"
    save_file({key: np.full(shape, 2.0, np.float32)}, file)
    return file


def generated(model: Path, out: Path, *more: str | Path, prompt: str = "a <style> feather") -> Ended:
    prompts = out.with_name("prompts.txt")
    prompts.write_text(f"{prompt}\na blue leaf\n")
    return factory_here(
        *("generate", "--model", model, "--prompts", prompts, "--n", "2", "--steps", "2", "--batch", "2"),
        *("--set", OPEN_GATES, "--allow-short", "--max-attempts", "1", "--out", out, "--executor", "local", *more),
    )


def test_a_word_is_one_token_with_its_vector(model: Path) -> None:
    components = load(model)
    add_words(components.tokenizer, components.text_encoder, {"<s1>": torch.full((WIDTH,), 0.25)})
    tokens = components.tokenizer("green screen, a <s1> feather").input_ids
    (place,) = [i for i, token in enumerate(tokens) if token == components.tokenizer.convert_tokens_to_ids("<s1>")]
    embedded = components.text_encoder.get_input_embeddings()(torch.tensor(tokens))
    assert torch.equal(embedded[place], torch.full((WIDTH,), 0.25))


def test_a_word_of_several_vectors_is_as_many_tokens(model: Path) -> None:
    components = load(model)
    add_words(components.tokenizer, components.text_encoder, {"<s>": torch.arange(3.0)[:, None].expand(3, WIDTH)})
    whole = in_full("a <s> feather", components.tokenizer)
    assert whole == "a <s> <s>_1 <s>_2 feather"
    tokens = components.tokenizer(whole).input_ids
    embedded = components.text_encoder.get_input_embeddings()(torch.tensor(tokens))
    first = tokens.index(components.tokenizer.convert_tokens_to_ids("<s>"))
    assert embedded[first : first + 3, 0].tolist() == [0, 1, 2]
    assert in_full("a feather", components.tokenizer) == "a feather"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"<s>": torch.zeros(3)}, r"the model needs \(16,\)"),
        ({"feather</w>": torch.zeros(WIDTH)}, "already"),
    ],
)
def test_a_word_that_cannot_be_is_refused(model: Path, words: dict[str, torch.Tensor], said: str) -> None:
    components = load(model)
    with pytest.raises(UsageError, match=said):
        add_words(components.tokenizer, components.text_encoder, words)


def test_a_word_changes_what_is_painted_of_prompts_that_have_it(model: Path, tmp_path: Path) -> None:
    plain, taught = tmp_path / "plain", tmp_path / "taught"
    assert generated(model, plain).code == 0
    ended = generated(model, taught, "--word", a_file(tmp_path))
    assert ended.code == 0, ended.err
    assert "new words for prompts: <style>" in ended.err
    before, after = factory.open(plain), factory.open(taught)
    assert not np.array_equal(before[0].rgb, after[0].rgb)
    assert np.array_equal(before[1].rgb, after[1].rgb)
    assert before[1].meta["model"] != after[1].meta["model"]


def test_a_word_may_be_named(model: Path, tmp_path: Path) -> None:
    file = a_file(tmp_path, key="emb_params", shape=(2, WIDTH))
    ended = generated(model, tmp_path / "out", "--word", f"{file}=<mine>", prompt="a <mine> feather")
    assert ended.code == 0, ended.err
    assert "new words for prompts: <mine>" in ended.err


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("narrow", ("--word", "{narrow}"), "reads 16 numbers a token"),
        ("wide", ("--word", "{style}", "--word", "{other}=<style>"), "no word of its own"),
        ("xl", ("--word", "{xl}"), "has no text_encoder_2"),
    ],
)
def test_a_file_of_no_use_is_refused_before_anything_is_written(
    model: Path, tmp_path: Path, name: str, more: tuple[str, ...], said: str
) -> None:
    places = {
        "style": a_file(tmp_path),
        "other": a_file(tmp_path, "other"),
        "narrow": a_file(tmp_path, "narrow", shape=(8,)),
        "xl": a_file(tmp_path, "xl", key="clip_g"),
    }
    refused = generated(model, tmp_path / name, *(part.format(**places) for part in more))
    assert refused.code == 2
    assert said in refused.sentence
    assert not (tmp_path / name).exists()
