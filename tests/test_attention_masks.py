"""Masks from cross-attention are DiffuMask's, and `generate` makes them of the words of each prompt's class."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from program import LOCAL, factory_here
from tiny_model import OPEN_GATES, save_tiny_model

from factory.diffusion.attention_mask import LayerMap, attention_mask, background_scores, first_cut, object_map
from factory.diffusion.object_words import object_tokens
from factory.diffusion.sample.attention import object_attention
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sizes import Size
from factory.errors import DataError
from factory.shards.data_set import DataSet

SIDE = 512
SETTINGS = SamplerSettings(steps=3, guidance=3.0, guidance_until=0.7, coarse="attention")


class Oracle:
    """The stack of attention that the reference was made of, layer by layer: (pixels, tokens), mean over heads."""

    def __init__(self, folder: Path) -> None:
        self.told = json.loads((folder / "diffumask.json").read_text())
        self.arrays = np.load(folder / "diffumask.npz")
        sys.path.insert(0, str(folder))
        try:
            from seeded_weights import rng  # type: ignore[import-not-found]  # numpy alone; it lies beside the data
        finally:
            sys.path.remove(str(folder))
        self.rng = rng

    def layers(self, token: int) -> list[LayerMap]:
        return [self._layer(layer, token) for layer in range(len(self.told["order"]))]

    def _layer(self, layer: int, token: int) -> LayerMap:
        place, side = self.told["order"][layer]
        own = np.mean([self._step(layer, step, side) for step in (0, 1)], axis=0, dtype=np.float32)
        return LayerMap(place, own.mean(axis=0)[:, token].reshape(side, side, 1))

    def _step(self, layer: int, step: int, side: int) -> NDArray[np.float32]:
        a = 0.2 + 0.8 * self.rng(f"attn:{layer}:{step}").random((8, side * side, 77))
        centres = (np.arange(side) + 0.5) / side
        x, y = np.meshgrid(centres, centres)
        for token, (cx, cy, sx, sy, height) in self.told["words"].items():
            blob = height * np.exp(-(((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) / 2).ravel()
            a[:, :, int(token)] += blob * (0.5 + np.arange(8)[:, None] / 8)
        return np.asarray(a / a.sum(axis=-1, keepdims=True), np.float32)

    def mask(self, name: str) -> NDArray[np.bool_]:
        return np.unpackbits(self.arrays[name]).reshape(SIDE, SIDE).astype(bool)


@pytest.fixture(scope="module")
def oracle(shared_data: Path) -> Oracle:
    return Oracle(shared_data / "oracles")


@pytest.mark.slow
def test_maps_and_labels_are_those_of_the_original_code(oracle: Oracle) -> None:
    whole = Size(SIDE, SIDE)
    dog = object_map(oracle.layers(4), whole)
    innermost = [layer for layer in oracle.layers(7) if layer.place == "mid"]  # all that it takes for some classes
    tv = object_map(innermost, whole)
    assert np.abs(dog[1::4, 1::4] - oracle.arrays["cam_dog"]).max() < 1e-5
    assert np.abs(tv[1::4, 1::4] - oracle.arrays["cam_tv"]).max() < 1e-5
    for name, score in background_scores(dog).items():
        labels = oracle.mask(f"{name}/labels_before_crf")
        wrong = ((dog > score) & (dog >= tv)) != labels
        assert not wrong[(np.abs(dog - score) > 1e-5) & (np.abs(dog - tv) > 1e-5)].any()
    assert first_cut(dog) == 0.45


def test_of_several_tokens_the_mean_is_taken_and_the_cut_leaves_both_sides_something() -> None:
    bump = np.zeros((8, 8, 2), np.float32)
    bump[2:5, 2:5, 0], bump[3:6, 3:6, 1] = 0.4, 0.1
    cam = object_map([LayerMap("up", bump), LayerMap("mid", np.ones((4, 4, 2), np.float32))], Size(8, 8))
    assert cam == pytest.approx((bump[..., 0] / 0.4 + bump[..., 1] / 0.1) / 2)
    speck = np.full((32, 32), 0.2, np.float32)
    speck[:10, :10] = 0.4
    assert first_cut(speck) < 0.4
    assert set(np.unique(attention_mask(speck))) == {0, 255}


def test_an_object_s_tokens_stand_where_its_words_come_last() -> None:
    assert object_tokens([0, 7, 8, 5, 7, 8, 9], [7, 8]) == (4, 5)
    for words in ([8, 7], [], list(range(9))):
        with pytest.raises(DataError, match="does not hold its class"):
            object_tokens([*range(9), 1], words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> DiffuMattingPipeline:
    torch.set_num_threads(1)
    return DiffuMattingPipeline.from_folder(folder)


def painted(pipeline: DiffuMattingPipeline, prompts: list[str], names: list[str], seeds: list[int]) -> tuple[Any, Any]:
    objects = [pipeline.objects_in(prompt, name) for prompt, name in zip(prompts, names, strict=True)]
    pictures, masks, finite = pipeline.paint(prompts, seeds, SETTINGS, objects=objects)
    assert finite.all()
    return pictures, masks


def test_a_mask_depends_on_prompt_and_seed_alone_and_the_picture_is_as_without(pipeline: DiffuMattingPipeline) -> None:
    paint = partial(painted, pipeline)
    prompts, names = ["green screen, a red feather", "green screen, a glass bubble"], ["feather", "glass bubble"]
    pictures, masks = paint(prompts, names, [5, 6])
    assert masks.shape == pictures.shape[:3]
    assert set(np.unique(masks)) == {0, 255}
    turned = paint(prompts[::-1], names[::-1], [6, 5])
    assert np.array_equal(turned[1][::-1], masks)
    assert np.array_equal(turned[0][::-1], pictures)
    plain, _, _ = pipeline.paint(prompts, [5, 6], SETTINGS)
    assert np.abs(plain.astype(int) - pictures).max() <= 1  # the watched layers compute in another order
    assert not np.array_equal(paint(prompts[:1] * 2, ["feather", "red"], [5, 5])[1][1], masks[0])


def test_only_what_sees_the_prompts_is_added_up(pipeline: DiffuMattingPipeline) -> None:
    """With guidance the first half of the batch has the negative prompt."""
    unet = pipeline.components.unet
    latents, told = torch.randn(2, 4, 16, 16), pipeline.texts(["a red feather"])[0]
    negative = pipeline.texts.negative("")[0]
    with object_attention(unet, [(2,)]) as alone:
        alone.watching(pipeline._denoise)(latents[1:], torch.tensor(500), told)
    with object_attention(unet, [(2,)]) as guided:
        guided.watching(pipeline._denoise)(latents[[1, 1]], torch.tensor(500), torch.cat([negative, told]))
    for one, other in zip(alone.layers(0, Size(16, 16)), guided.layers(0, Size(16, 16)), strict=True):
        assert one.place == other.place
        assert np.allclose(one.attention, other.attention, atol=1e-6)


def test_generate_takes_masks_from_attention_and_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("prompt,of\na red feather,feather\na glass bubble,glass bubble\n")
    arguments = ["--model", folder, "--prompts", tmp_path / "list.csv", "--out", tmp_path / "set", "--n", "2", *LOCAL]
    arguments += ["--steps", "2", "--batch", "2", "--max-attempts", "2", "--set", OPEN_GATES]
    factory_here("generate", *arguments, "--coarse", "attention", "--objects", "of")
    assert json.loads((tmp_path / "set/plan.json").read_text())["settings"]["sampler"]["coarse"] == "attention"
    rows = DataSet(tmp_path / "set").attempts
    masked = [row for row in rows.to_pylist() if row["source"]]  # of the others GreenPost found no screen
    assert {row["source"] for row in masked} == {"DiffuMatting, masks from attention"}
    assert {row["class"] for row in masked} <= {"feather", "glass bubble"}


@pytest.mark.parametrize("objects", [(), ("--objects", "object")])
def test_a_prompt_that_does_not_hold_its_class_is_refused_when_it_is_planned(
    folder: Path, tmp_path: Path, objects: tuple[str, ...]
) -> None:
    (tmp_path / "list.csv").write_text("prompt,object\na red feather,leaf\n")
    arguments = ("--model", folder, "--prompts", tmp_path / "list.csv", "--out", tmp_path / "set", *LOCAL)
    refused = factory_here("generate", *arguments, "--coarse", "attention", *objects)
    assert "does not hold its class" in refused.sentence
    assert not (tmp_path / "set/plan.json").exists()
    alone = factory_here("generate", *arguments, "--objects", "object")
    assert "give both or neither" in alone.sentence


def test_a_style_that_takes_the_same_layers_is_refused(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "look.png")
    (tmp_path / "list.csv").write_text("class,style\nfeather,look.png\n")
    arguments = ("--prompts", tmp_path / "list.csv", "--out", tmp_path / "set", "--style", tmp_path, *LOCAL)
    refused = factory_here("generate", "--model", folder, *arguments, "--coarse", "attention")
    assert "leave one of them out" in refused.sentence


def test_a_plan_without_them_says_nothing_of_them(folder: Path, tmp_path: Path) -> None:
    arguments = ("--model", folder, "--n", "2", "--steps", "1", "--set", OPEN_GATES, "--out", tmp_path / "set", *LOCAL)
    (tmp_path / "list.txt").write_text("a red feather\n")
    factory_here("generate", *arguments, "--prompts", tmp_path / "list.txt", "--coarse", "head")
    assert "coarse" not in (tmp_path / "set/plan.json").read_text()
