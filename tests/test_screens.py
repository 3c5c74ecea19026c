"""`--key auto`: which screen a prompt is painted on, by its words and by what gates saw of earlier attempts."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from program import factory_here
from report_page import read_page
from tiny_model import OPEN_GATES, save_tiny_model
from torch import Tensor

from factory.diffusion.colour_words import NAMES, THINGS
from factory.diffusion.routing import Routing, screens_for
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import KEYS, SamplerSettings, default_settings, known_keys
from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.sizes import square
from factory.diffusion.vocabulary import Vocabulary, write_vocabulary
from factory.engine.plan import read_plan
from factory.engine.worker import ShardWorker
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.jobs import generate
from factory.jobs.generate import GenerateRecipe
from factory.jobs.prepare import prepare
from factory.quality.gates import OF_THE_KEY
from factory.run.execute import execute
from factory.sample import Request, Sample
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.shards.manifest import read_manifest
from factory.shards.reader import read_samples

ALL: tuple[KeyName, ...] = ("green", "blue", "magenta")
TWO: tuple[KeyName, ...] = ("green", "magenta")
GATES = yaml.safe_load(OPEN_GATES.removeprefix("gates=")) | {"green_residue_max": 0.2}
OWN: dict[str, Any] = {"sampler": {"key": "auto", "steps": 1}, "gates": GATES, "executor": "local", "shard_size": 4}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that says it knows green and magenta screens. It paints purple blots on green whatever it is asked for."""
    return knowing(save_tiny_model(tmp_path_factory.mktemp("tiny") / "model"), {"key": "green", KEYS: [*TWO]})


def knowing(folder: Path, sampler: dict[str, Any]) -> Path:
    (folder / "sampler.json").write_text(json.dumps(sampler))
    return folder


@pytest.fixture
def painting(model: Path, tmp_path: Path) -> Callable[..., GenerateRecipe]:
    """A recipe of the prompts given."""

    def recipe(*prompts: str, **fields: Any) -> GenerateRecipe:
        (tmp_path / "p.txt").write_text("\n".join(prompts))
        given = {"model": str(model), "prompts": str(tmp_path / "p.txt"), "n": 8, "out": tmp_path / "set"}
        return GenerateRecipe.model_validate(given | OWN | fields)

    return recipe


# --- by words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "screen"),
    [
        ("a red feather", "green"),
        ("a wine glass", "green"),
        ("a Green hat", "blue"),
        ("a lime-green hat", "blue"),
        ("a photo of a frog", "blue"),
        ("two frogs, sitting", "blue"),
        ("autumn leaves", "blue"),
        ("leaf", "blue"),
        ("a bunch of cherries and limes", "blue"),
        ("a potted cactus", "blue"),
        ("palm trees", "blue"),
        ("an evergreen", "blue"),
        ("tennis balls", "blue"),
        ("a greenhouse", "green"),
        ("a map of Greenland", "green"),
        ("a leaflet", "green"),
        ("a treehouse", "green"),
        ("a bluegrass banjo", "green"),
        ("a pair of jeans", "green"),
        ("a blue frog", "magenta"),  # a colour that is named is surer than one by nature
        ("a turquoise ring", "magenta"),
        ("a frog in jeans", "magenta"),
        ("a purple frog", "green"),
        ("a green, a blue and a pink balloon", "green"),  # undecided
        ("a blues guitarist with a green guitar", "blue"),
        ("", "green"),
    ],
)
def test_a_prompt_goes_to_a_screen_that_its_words_do_not_speak_against(prompt: str, screen: KeyName) -> None:
    assert screens_for(prompt, ALL)[0] == screen


@pytest.mark.parametrize("key", ALL)
def test_every_listed_word_leads_away_from_its_screen(key: KeyName) -> None:
    for word in NAMES[key] | THINGS[key]:
        against = {other for other in ALL if word in NAMES[other] | THINGS[other]}
        assert screens_for(f"a big {word}, standing", ALL)[0] == next(other for other in ALL if other not in against)


WORDS = st.sampled_from(sorted({"a", "hat", "the", *(word for key in ALL for word in NAMES[key] | THINGS[key])}))


@given(st.lists(WORDS, max_size=6), st.sets(st.sampled_from(ALL), min_size=1))
def test_the_order_holds_every_known_screen_once_and_is_that_of_all_without_the_others(
    words: list[str], keys: set[KeyName]
) -> None:
    prompt = " ".join(words)
    assert screens_for(prompt, list(keys)) == [key for key in screens_for(prompt, ALL) if key in keys]
    assert set(screens_for(prompt, list(keys))) == keys
    assert screens_for(prompt.upper(), ALL) == screens_for(prompt, ALL)


# --- what a model knows -------------------------------------------------------------------------------------------


def test_a_model_says_which_screens_it_knows(tmp_path: Path) -> None:
    assert known_keys(tmp_path) == ()
    assert known_keys(knowing(tmp_path, {"steps": 9})) == ()
    assert known_keys(knowing(tmp_path, {"key": "blue"})) == ("blue",)
    several = knowing(tmp_path, {"key": "blue", KEYS: ["magenta", "blue", "green"], "steps": 9})
    assert known_keys(several) == ALL
    assert default_settings(several) == SamplerSettings(key="blue", steps=9)


@pytest.mark.parametrize("keys", ["green", ["green", "red"], ["blue"], [], None, [["green"]], {"green": 1}, 3])
def test_screens_that_cannot_be_are_refused(tmp_path: Path, keys: object) -> None:
    with pytest.raises(UsageError, match=r"sampler.json: keys must list the screens .* green \(its key\) among them"):
        known_keys(knowing(tmp_path, {KEYS: keys}))


def test_a_screen_that_the_model_does_not_know_is_refused() -> None:
    for key, sentence in (
        ("blue", "--key blue: the model knows green screens only: leave --key out, or name one with --model that was "
                 "trained on blue screens."),
        ("auto", "--key auto: the model knows green screens only, so there is no choice: leave --key out, or name one "
                 "with --model whose sampler.json lists several under `keys`."),
    ):  # fmt: skip
        ended = factory_here("generate", "--key", key, "--dry-run")
        assert (ended.code, ended.sentence) == (2, sentence)
    assert factory_here("generate", "--key", "green", "--dry-run").code == 0
    unknown = factory_here("generate", "--key", "red", "--dry-run").sentence
    assert unknown == "--key red is unknown: take one of green, blue, magenta, auto."


def test_a_model_that_does_not_say_is_asked_for_no_choice(tmp_path: Path) -> None:
    silent = save_tiny_model(tmp_path / "model")
    (tmp_path / "p.txt").write_text("a red feather")
    fields = {"model": str(silent), "prompts": str(tmp_path / "p.txt"), "out": tmp_path / "set"}
    with pytest.raises(UsageError, match="--key auto: the model does not say which screens it knows"):
        prepare(GenerateRecipe(sampler={"key": "auto"}, **fields))
    assert prepare(GenerateRecipe(sampler={"key": "blue"}, **fields)).plan.settings["sampler"]["key"] == "blue"


# --- planning -----------------------------------------------------------------------------------------------------


def test_the_screens_are_planned_frozen_and_said(painting: Callable[..., GenerateRecipe]) -> None:
    prompts = ("a red feather", "green screen, a frog", "Blue Screen , a glass bubble", "a pink hat")
    prepared = prepare(painting(*prompts))
    rows = prepared.tables["prompts"].to_pylist()
    assert [(row["prompt"], row["caption"], row["screens"]) for row in rows] == [
        ("a red feather", "a red feather", ["green", "magenta"]),
        ("a frog", "a frog", ["magenta", "green"]),
        ("a glass bubble", "a glass bubble", ["green", "magenta"]),
        ("a pink hat", "a pink hat", ["green", "magenta"]),
    ]
    said = (
        "--key auto: of 4 prompts begin 3 on green (a red feather, a glass bubble, a pink hat), 1 on magenta (a frog)."
    )
    assert said in prepared.remarks
    assert prepared.plan.settings["routing"] == {"keys": [*TWO], "moves_on": [*OF_THE_KEY]}
    assert {*OF_THE_KEY} == {"near_key", "green_residue"}


def test_a_plan_with_one_screen_is_as_ever(painting: Callable[..., GenerateRecipe]) -> None:
    prepared = prepare(painting("a frog", "green screen, a leaf", sampler={"steps": 1}))
    assert prepared.tables["prompts"].column_names == ["prompt", "class", "caption"]
    assert prepared.tables["prompts"]["prompt"].to_pylist() == ["a frog", "green screen, a leaf"]
    assert "routing" not in prepared.plan.settings
    assert prepare(painting("a frog", "a leaf")).plan.fingerprint != prepared.plan.fingerprint


def test_a_class_has_a_screen_for_each_of_its_colours(
    painting: Callable[..., GenerateRecipe], model: Path, tmp_path: Path
) -> None:
    small = Path(shutil.copytree(model, tmp_path / "small"))
    vocabulary = Vocabulary(
        words=("a", "green", "hat", "red"),
        classes=("hat",),
        colours=("green", "red"),
        palette={"hat": ("green", "red")},
    )
    write_vocabulary(vocabulary, small)
    prepared = prepare(painting("magenta screen, a red hat", "hat", model=str(small)))
    first = {row["prompt"]: row["screens"][0] for row in prepared.tables["prompts"].to_pylist()}
    assert first == {"a green hat": "magenta", "a red hat": "green"}
    assert not any("does not know the word" in remark for remark in prepared.remarks), "the prefix is no word"


# --- painting -----------------------------------------------------------------------------------------------------


def request(slot: int, *screens: KeyName, reasons: tuple[str, ...] = ()) -> Request:
    item = {"prompt": "a red feather", "class": "feather", "caption": "", "screens": list(screens)}
    return Request(key=f"{slot:010d}", slot=slot, attempt=len(reasons), seed=slot, item=item, reasons=reasons)


def test_an_attempt_takes_the_next_screen_after_reasons_of_the_key_alone() -> None:
    routing = Routing(keys=ALL, moves_on=OF_THE_KEY)
    item = {"screens": ["blue", "magenta", "green"]}
    told = ((), ("gsg", "nan"), ("near_key",), ("gsg", "green_residue"), ("near_key", "cut", "green_residue"))
    assert [routing.key(item, reasons) for reasons in told] == ["blue", "blue", "magenta", "magenta", "green"]
    assert routing.key(item, ("near_key",) * 3) == "blue"


@pytest.fixture(scope="module")
def source(model: Path) -> DiffuMattingSource:
    settings = SamplerSettings(steps=2, guidance=2.0)
    pipeline = DiffuMattingPipeline.from_folder(model)
    return DiffuMattingSource(pipeline, settings, batch_size=4, routing=Routing(keys=ALL, moves_on=OF_THE_KEY))


def test_each_sample_of_a_batch_has_its_own_screen_and_depends_on_no_other(source: DiffuMattingSource) -> None:
    requests = [
        request(1, "green", "blue"),
        request(1, "blue", "green"),
        request(2, "magenta", "green", reasons=("gsg", "near_key")),
        request(2, "magenta", "green"),
    ]
    keys: list[KeyName] = ["green", "blue", "green", "magenta"]
    together = source._sample(requests, [(None, ())] * 4)
    for sample, asked, key in zip(together, requests, keys, strict=True):
        assert isinstance(sample, Sample)
        assert sample.origin.prompt == f"{key} screen, a red feather"
        assert sample.origin.key_rgb == KEY_COLOURS[key]
        (alone,) = source([asked])
        assert isinstance(alone, Sample)
        assert np.array_equal(alone.rgb, sample.rgb)
        on_one = replace(source.settings, key=key)
        rgb, coarse, _ = source.pipeline.paint([sample.origin.prompt] * 4, [asked.seed] * 4, on_one)
        assert np.array_equal(rgb[0], sample.rgb)
        assert np.array_equal(coarse[0], sample.coarse)
    assert len({sample.rgb.tobytes() for sample in together if isinstance(sample, Sample)}) == 4


def test_the_start_is_that_of_each_samples_screen(source: DiffuMattingSource, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def watching(latents: Tensor, t: Tensor, text: Tensor) -> Tensor:
        seen.append(latents)
        return torch.zeros_like(latents)

    monkeypatch.setattr(source.pipeline, "_denoise", watching)
    source.pipeline.paint(["x", "x"], [7, 7], SamplerSettings(steps=1, guidance=1.0), TWO)
    (latents,) = seen
    green, magenta = (source.pipeline.key_latent(key, square(32))[0] for key in TWO)
    apart = source.pipeline.components.scheduler.alphas_cumprod[999].sqrt() * (magenta - green)
    assert torch.allclose(latents[1] - latents[0], apart, atol=1e-5)
    assert apart.abs().max() > 1e-3


@pytest.fixture(scope="module")
def painted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The tiny model's blots are purple on green: asked for a frog on magenta it paints magenta into the object."""
    folder = tmp_path_factory.mktemp("painted")
    (folder / "p.txt").write_text("a green frog\na red feather\na lime")
    fields = {"model": str(model), "prompts": str(folder / "p.txt"), "n": 9, "out": folder / "set", "batch": 3}
    execute(GenerateRecipe.model_validate(fields | OWN))
    return Layout(folder / "set")


def test_where_a_gate_finds_the_screens_colour_the_next_attempt_is_on_the_next_screen(painted: Layout) -> None:
    rows = read_manifest(painted).to_pylist()
    told = [(row["attempt"], row["status"], row["reason"], row["prompt"]) for row in rows if row["slot"] == 0]
    assert told == [
        (0, "rejected", "green_residue", "magenta screen, a green frog"),
        (1, "accepted", "", "green screen, a green frog"),
    ]
    assert all(row["prompt"].startswith("green") for row in rows if row["caption"] == "a red feather")
    stored = list(read_samples(painted.root, "train"))
    assert len(stored) == 9
    assert {tuple(one.meta["key_rgb"]) for one in stored} == {KEY_COLOURS["green"]}
    turned_down = sum(row["status"] == "rejected" for row in rows)
    assert (
        f"Screens screen accepted rejected green 9 – magenta 0 {turned_down} "
        in read_page(painted.report / "index.html").words()
    )


def test_its_shards_are_the_same_bytes_in_any_order_by_any_worker(painted: Layout, tmp_path: Path) -> None:
    plan, other = read_plan(painted.plan), Layout(tmp_path)
    shutil.copytree(painted.inputs, other.inputs)
    line = generate.line(plan, other.root)
    with hold(other.lock, "test"):
        for number in reversed(range(plan.shards)):
            worker = ShardWorker(other.root, "test", plan, line, thumbnail=lambda rejection: b"", finishing_threads=3)
            worker.run(number, lambda progress: None)
            worker.close()
    assert plan.shards == 3
    for number in range(plan.shards):
        assert other.tar(number, "train").read_bytes() == painted.tar(number, "train").read_bytes()
        assert other.part(number).read_bytes() == painted.part(number).read_bytes()
