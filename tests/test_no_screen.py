"""Training pictures that show no screen: objects before photographs, and ordinary pictures with captions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import COLOURS, GREEN, NETWORKS, SIZE, make_set, quiet, small_settings

from factory.diffusion.train import networks
from factory.diffusion.train.data import templated, tokenize, unpack
from factory.diffusion.train.no_screen import Photographs, Prompt
from factory.diffusion.train.settings import Phase, TrainingFolder, TrainSettings
from factory.diffusion.train.trainer import train
from factory.errors import UsageError

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of pure grey levels, of other sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    for level, shape in ((10, (40, 90)), (120, (16, 16)), (200, (8, 12))):
        cv2.imwrite(str(folder / f"{level}.png"), np.full((*shape, 3), level, np.uint8))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordinary pictures with captions, as other trainers want them."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, caption in (("a", "a green dress\n"), ("b", "  a red   disc ")):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 30, 3), ord(name), np.uint8))
        (folder / f"{name}.txt").write_text(caption)
    return folder


def learning(folders: tuple[TrainingFolder, ...], **changes: Any) -> TrainSettings:
    """Three short phases on these folders, by L_noise and L_latent alone."""
    plain = {"green_background": False, "detail": False}
    return replace(small_settings(Path()), data=folders, **(plain | changes))


def test_objects_stand_before_photographs_and_their_captions_name_no_screen(
    data: Path, photographs: Path, tmp_path: Path
) -> None:
    green = unpack([TrainingFolder(folder=str(data))], SIZE, "green", tmp_path / "green")
    before = unpack(
        [TrainingFolder(folder=str(data), backgrounds=str(photographs))], SIZE, "green", tmp_path / "before"
    )
    assert np.array_equal(green.alpha, before.alpha)
    whole, nothing = green.alpha == 255, green.alpha == 0
    assert np.array_equal(green.rgb[whole], before.rgb[whole])
    assert (green.rgb[nothing] == GREEN).all()
    assert set(np.unique(before.rgb[nothing])) == {10, 120, 200}
    assert not before.soft_alpha.any()
    assert templated(before.captions, "prefix", "green") == list(green.captions)
    again = unpack([TrainingFolder(folder=str(data), backgrounds=str(photographs))], SIZE, "green", tmp_path / "before")
    assert all(isinstance(caption, Prompt) for caption in again.captions), "a cache knows it, too"


@given(key=st.text(min_size=1, max_size=8))
def test_what_stands_behind_an_object_depends_on_its_key_alone(photographs: Path, key: str) -> None:
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    foreground = np.zeros((SIZE, SIZE, 3), np.uint8)
    first, second = (Photographs(photographs, SIZE).behind(foreground, alpha, key) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.std() == 0
    assert Photographs(photographs, SIZE).behind(foreground, alpha + 255, key).max() == 0


def test_some_objects_stand_before_pure_colours(photographs: Path) -> None:
    alpha, foreground = np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE, 3), np.uint8)
    some = [Photographs(photographs, SIZE, 0.5).behind(foreground, alpha, str(key)) for key in range(400)]
    colours = [tuple(one[0, 0].tolist()) for one in some]
    grey = sum(len(set(colour)) == 1 and colour[0] in {10, 120, 200} for colour in colours)
    assert 150 < grey < 250
    assert (0, 255, 0) in colours
    assert all((one == one[0, 0]).all() for one in some)


def test_ordinary_pictures_are_learnt_by_their_captions(data: Path, pictures: Path, tmp_path: Path) -> None:
    folders = [TrainingFolder(folder=str(data)), TrainingFolder(folder=str(pictures), screen=False, repeat=5)]
    mixed = unpack(folders, SIZE, "green", tmp_path / "cache")
    assert mixed.captions[-2:] == ("a green dress", "a red disc")
    assert (mixed.rgb[-2] == ord("a")).all()
    assert not mixed.alpha[-2:].any()
    assert list(mixed.order[-10:]) == [48] * 5 + [49] * 5
    components = networks.build(NETWORKS, SIZE, ["green dress red disc a"], seed=1)
    tokens = tokenize(components.tokenizer, mixed.captions, "prefix", "green")
    assert tokens.key[:-3].min() == 1, "on the screen its word is the second token"
    assert tokens.key[-3:].tolist() == [0, 0, 0], "a green dress is no screen, and an empty caption has none"


def test_a_base_learns_on_photographs_and_then_the_screen(data: Path, photographs: Path, tmp_path: Path) -> None:
    captions = [f"a {colour} disc" for colour in COLOURS]
    own = (TrainingFolder(folder=str(data), backgrounds=str(photographs)),)
    phases = (Phase(name="autoencoder", steps=2, batch=2), Phase(name="generation", steps=2, batch=2))
    before = learning(own, phases=phases, picture_prompts=tuple(captions))
    model = train(before, tmp_path / "a", quiet)
    after = small_settings(data, base=str(model), phases=(Phase(name="joint", steps=2, batch=2),))
    assert (train(after, tmp_path / "b", quiet) / "model_index.json").is_file()


def test_dreambooth_is_ordinary_pictures_beside_the_set(data: Path, pictures: Path, tmp_path: Path) -> None:
    folders = (TrainingFolder(folder=str(data)), TrainingFolder(folder=str(pictures), screen=False, repeat=24))
    model = train(learning(folders), tmp_path / "a", quiet)
    card = (model / "README.md").read_text()
    assert pictures.name in card


def test_pictures_that_change_under_a_training_are_named(data: Path, pictures: Path, tmp_path: Path) -> None:
    folders = [TrainingFolder(folder=str(pictures), screen=False)]
    unpack(folders, SIZE, "green", tmp_path / "cache")
    (pictures / "b.txt").write_text("a blue disc")
    with pytest.raises(UsageError, match="is not the set that this training began with"):
        unpack(folders, SIZE, "green", tmp_path / "cache")
    (pictures / "b.txt").write_text("  a red   disc ")


def test_what_cannot_be_learnt_is_named_in_a_sentence(data: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no set shows a screen, and such teach L_noise alone"):
        learning((TrainingFolder(folder=str(pictures), screen=False),), green_background=True)
    with pytest.raises(UsageError, match="holds pictures and is no set: say `screen: false`"):
        unpack([TrainingFolder(folder=str(pictures))], SIZE, "green", tmp_path / "a")
    with pytest.raises(UsageError, match="there is no picture in"):
        unpack([TrainingFolder(folder=str(data), backgrounds=str(tmp_path))], SIZE, "green", tmp_path / "b")
    with pytest.raises(UsageError, match="it is a share, from 0 to 1"):
        TrainingFolder(folder=str(data), backgrounds=str(tmp_path), plain=30)
    (tmp_path / "c").mkdir()
    cv2.imwrite(str(tmp_path / "c" / "x.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UsageError, match=r"x.png has no caption: write one into x.txt beside it"):
        unpack([TrainingFolder(folder=str(tmp_path / "c"), screen=False)], SIZE, "green", tmp_path / "d")
