"""A joint model is a folder to train on, and what was learnt on it is one that plain diffusers loads."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from program import factory_here
from small_flow import CPU, learn
from small_training import PHASES, make_set, small_settings
from tiny_pipelines import build

import factory
from factory.diffusion.flow_latents import encode
from factory.diffusion.generators.headed import HEADED
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.joint_attention import LAYOUTS
from factory.diffusion.joint_models import VELOCITIES
from factory.diffusion.joint_text import READERS, read_text
from factory.diffusion.matting_head import MattingHead
from factory.diffusion.plain.families import JOINT
from factory.diffusion.plain.headed import HeadedPipeline, decoded_from
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.train import data as training_data
from factory.diffusion.train.flow_base import open_base, save_on_base
from factory.diffusion.train.flow_task import FlowTask
from factory.diffusion.train.flow_texts import key_word, read_prompts
from factory.diffusion.train.low_rank import fold
from factory.diffusion.train.settings import LowRankSettings, NetworkSettings, check_joint, is_joint
from factory.errors import UsageError
from pipelines import OPEN

torch.set_num_threads(1)
LENGTH = 300  # tokens, of bytes: Qwen-Image's texts begin with a template
HEAD = NetworkSettings(head_hidden=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("flow") / "data", slots=12)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", READERS)
def test_what_was_learnt_on_a_base_is_a_model_that_plain_diffusers_loads(
    name: str, folder: Path, tmp_path: Path
) -> None:
    base, out = tmp_path / "base", tmp_path / "model"
    build(name).save_pretrained(base)
    before = contents(base)
    settings = small_settings(folder, base=str(base), train_text_encoder=False)
    data = training_data.unpack(settings.data, settings.size, settings.key, tmp_path / "cache")
    pipeline, parts = open_base(base, HEAD, settings.seed)
    prompts = [*training_data.templated(data.captions, settings.template, settings.key), ""]
    words = [key_word(prompt, settings.template, settings.key) for prompt in prompts]
    texts = read_prompts(pipeline, prompts, words, LENGTH, tmp_path / "texts", made_by="this")
    latents = training_data.encode_all(parts.vae, data, 2, CPU, tmp_path / "latents", encode=encode)
    task = FlowTask(parts, data, latents, texts, settings, 1, CPU, with_head=True)
    parts.head.requires_grad_(True)
    learn(task, 3)
    fold(parts.transformer)
    save_on_base(parts, base, out, key="green", template="prefix")
    after = contents(out)
    written = {name for name in after if after[name] != before.get(name)}
    assert {name.partition("/")[0] for name in written} == {"transformer", "matting_head", "sampler.json"}
    assert {name for name in before if name.endswith(".json")} <= after.keys()
    plain: Any = load_pipeline(out, torch.float32)
    own = build(name).transformer.state_dict()
    for key, weight in plain.transformer.state_dict().items():
        torch.testing.assert_close(weight, parts.transformer.state_dict()[key])
    assert any(not torch.equal(weight, own[key]) for key, weight in plain.transformer.state_dict().items())
    _, again = open_base(out, replace(HEAD, head_hidden=5), 99)
    for key, weight in parts.head.state_dict().items():
        assert torch.equal(weight, again.head.state_dict()[key])


def test_what_means_nothing_on_such_a_base_is_refused(tmp_path: Path) -> None:
    build("ZImagePipeline").save_pretrained(tmp_path)
    assert is_joint(tmp_path)
    base: dict[str, Any] = {"base": str(tmp_path), "train_text_encoder": False, "phases": PHASES[1:]}
    lora = base | {"lora": LowRankSettings(rank=2)}
    check_joint(small_settings(Path(), **lora))
    for wrong, said in (
        (base, "say `lora"),
        (lora | {"min_snr_gamma": 5.0}, "min_snr_gamma is for noise schedules"),
        (lora | {"phases": PHASES}, "has its autoencoder already"),
        (lora | {"size": 24}, "take a multiple of 16"),
    ):
        with pytest.raises(UsageError, match=said):
            check_joint(small_settings(Path(), **wrong))


def test_other_pipelines_are_refused(tmp_path: Path) -> None:
    build("StableDiffusionPipeline").save_pretrained(tmp_path)
    assert not is_joint(tmp_path)
    with pytest.raises(UsageError, match="is for StableDiffusionPipeline: of these models take one for"):
        open_base(tmp_path, HEAD, 0)


@pytest.mark.parametrize("name", ["Flux2KleinPipeline", "ZImagePipeline"])
def test_each_prompt_is_read_once(name: str, tmp_path: Path) -> None:
    pipeline: Any = build(name)
    prompts = ["green screen, a disc", "green screen, a long green square", "green screen, a disc", ""]
    words = [key_word(prompt, "prefix", "green") for prompt in prompts]
    file = tmp_path / "texts"
    texts = read_prompts(pipeline, prompts, words, 128, file, made_by="this")
    assert texts.of_row.tolist() == [0, 1, 0, 2]
    for rows in ([0, 3], [1, 2, 1]):
        ours = texts(torch.tensor(rows))
        theirs = read_text(pipeline, [prompts[row] for row in rows], [words[row] for row in rows], 128)
        assert torch.equal(ours.real, theirs.real)
        assert torch.equal(ours.words, theirs.words)
        torch.testing.assert_close(ours.embeddings, theirs.embeddings, atol=0.02, rtol=0.01)  # of bfloat16
    written = file.stat().st_mtime_ns
    pipeline.text_encoder = None  # nobody reads again
    read_prompts(pipeline, prompts, words, 128, file, made_by="this")
    assert file.stat().st_mtime_ns == written
    with pytest.raises((AttributeError, TypeError)):
        read_prompts(pipeline, prompts, words, 128, file, made_by="other weights")
    assert not (tmp_path / "texts.json").exists()


def test_the_key_colours_word_is_the_templates() -> None:
    for key, dress in (("green", "a woman in a green dress"), ("blue", "a blue bird")):
        for template, start in (("prefix", 0), ("suffix", len(dress) + len(" on a "))):
            prompt = training_data.templated([dress], template, key)[0]  # type: ignore[arg-type]
            assert key_word(prompt, template, key) == slice(start, start + len(key))  # type: ignore[arg-type]
    assert key_word("", "suffix", "green") == slice(0, 0)


@pytest.mark.parametrize("name", READERS)
def test_such_a_model_paints_with_masks_of_its_head(name: str, tmp_path: Path) -> None:
    base, model = tmp_path / "base", tmp_path / "model"
    build(name).save_pretrained(base)
    _, parts = open_base(base, HEAD, 0)
    save_on_base(parts, base, model, key="green", template="prefix")
    kind = kind_of(model)
    assert kind is HEADED
    assert kind_of(base) is not HEADED
    sampler = kind.sampling({"size": 64, "steps": 2}, model).settings
    assert kind.written("a red disc", sampler, model) == "green screen, a red disc"
    assert "green screens" in dict(kind.facts(model))["screens"]
    with pytest.raises(UsageError, match="knows green screens only"):
        kind.sampling({"key": "blue"}, model)
    plain = PlainPipeline(load_pipeline(model, torch.float32))
    pictures = plain.paint(["green screen, a red disc"] * 2, [1, 2], sampler, ["green"] * 2)
    headed = HeadedPipeline(plain, parts.head)
    with_masks = headed.paint(["green screen, a red disc"] * 2, [1, 2], sampler, ["green"] * 2)
    assert with_masks.shape == (2, 64, 64, 4)
    assert np.array_equal(with_masks[..., :3], pictures[..., :3])
    with torch.no_grad(), decoded_from(plain.pipeline.vae) as seen:
        plain.paint(["green screen, a red disc"] * 2, [1, 2], sampler, ["green"] * 2)
        expected = parts.head(torch.cat(seen))[:, 0]
    np.testing.assert_allclose(with_masks[..., 3], expected, atol=1e-5)
    again = headed.paint(["green screen, a red disc"] * 2, [2, 1], sampler, ["green"] * 2)
    np.testing.assert_allclose(again[0], with_masks[1], atol=1e-5)  # each mask is its picture's
    fingerprint = kind.fingerprint(model)
    (model / "matting_head" / "config.json").write_text("{}")
    assert kind.fingerprint(model) != fingerprint


@torch.no_grad()
def sees_blots(head: MattingHead) -> None:
    """Change it, in place: the tiny pipelines paint these where the first feature is high."""
    for layer, weight, bias in ((head.conv_in, 1.0, 0.0), (head.conv_out, 4.0, -6.0)):
        layer.weight.zero_()
        layer.bias.fill_(bias)
        layer.weight[0, 0, 1, 1] = weight


def test_factory_generate_paints_with_it(tmp_path: Path) -> None:
    base, model, prompts, out = (tmp_path / name for name in ("base", "model", "prompts.txt", "out"))
    build("Flux2KleinPipeline").save_pretrained(base)
    _, parts = open_base(base, HEAD, 0)
    sees_blots(parts.head)
    save_on_base(parts, base, model, key="green", template="prefix")
    prompts.write_text("a red feather\n")
    ended = factory_here(
        *("generate", "--model", model, "--prompts", prompts, "--n", "2", "--batch", "2", "--steps", "2"),
        *("--set", "sampler.size=64", "--set", OPEN, "--max-attempts", "1", "--out", out, "--executor", "local"),
    )
    assert ended.code == 0, ended.out + ended.err
    assert factory_here("verify", out).code == 0
    for sample in factory.open(out):
        assert sample.meta["prompt"] == "green screen, a red feather"
        assert 0 < sample.alpha.mean() < 255


def test_the_families_are_the_same_everywhere() -> None:
    assert READERS.keys() == JOINT
    assert LAYOUTS.keys() == VELOCITIES.keys()
