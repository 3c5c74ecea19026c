"""Pictures that come with alpha become samples, and what is no real transparency is turned down."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from program import Ended, factory_here, hashes
from tiny_pipelines import build

import factory
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.routing import Routing
from factory.diffusion.transparent import TransparentSource, levels_of
from factory.equation import constant_plate
from factory.errors import DataError
from factory.quality.checkerboard import checkerboard
from factory.quality.gates import CHECKERED
from factory.sample import Origin, Request, Sample

PAINTER = """
import numpy as np

def paint(prompts, seeds):
    pictures = []
    for prompt, seed in zip(prompts, seeds):
        random = np.random.default_rng(seed)
        y, x = np.mgrid[:64, :64]
        middle, radius = random.uniform(24, 40, 2), random.uniform(8, 16)
        alpha = np.clip(radius - np.hypot(x - middle[0], y - middle[1]), 0, 1)
        colour = np.full((64, 64, 3), (0.8, 0.2, 0.1)) * (alpha > 0)[..., None]
        pictures.append(np.dstack([colour, alpha]).astype(np.float32))
    return pictures
"""


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a module of the user's, and says how it is named."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(code: str) -> str:
        (tmp_path / "own_painter.py").write_text(code)
        sys.modules.pop("own_painter", None)
        return "own_painter:paint"

    yield written
    sys.modules.pop("own_painter", None)


def generated(out: Path, *more: str | Path) -> Ended:
    prompts = out.with_name("prompts.txt")
    prompts.write_text("a red ball\na green ball\n")
    return factory_here(
        *("generate", "--prompts", prompts, "--n", "2", "--batch", "2", "--out", out, "--executor", "local", *more)
    )


def request(slot: int = 0, **more: Any) -> Request:
    item = {"prompt": "a ball", "screens": ["blue", "green"]}
    return Request(key=f"{slot:010d}", slot=slot, attempt=0, seed=slot, item=item, **more)


def disc(size: int = 64) -> NDArray[np.float32]:
    """Red, with a soft edge."""
    y, x = np.mgrid[:size, :size]
    alpha = np.clip(size / 4 - np.hypot(x - size / 2, y - size / 2), 0, 1)
    return np.asarray(np.dstack([np.full((size, size, 3), (0.8, 0.2, 0.1)), alpha]), np.float32)


def source(*pictures: Any) -> TransparentSource:
    routing = Routing(keys=("green", "blue"), moves_on=("near_key",))
    about = {"source": "test", "licence": "", "model": "abc"}
    return TransparentSource(
        lambda *_: list(pictures), len(pictures), key="green", template="{prompt}", routing=routing, about=about
    )


def test_code_of_ones_own_paints_a_set(painter: Callable[[str], str], tmp_path: Path) -> None:
    out, own = tmp_path / "out", painter(PAINTER)
    ended = generated(out, "--painter", own)
    assert ended.code == 0, ended.err
    assert factory_here("verify", out).code == 0
    first, second = factory.open(out)
    assert first.meta["key_rgb"] == [0, 255, 0]
    assert second.meta["key_rgb"] == [0, 0, 255]  # a green ball
    assert first.meta["source"] == own
    assert first.alpha.max() == 255
    before = hashes(out)
    assert generated(out, "--painter", own).code == 0
    assert hashes(out) == before


def test_other_code_under_the_same_name_is_refused_on_resume(painter: Callable[[str], str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generated(out, "--painter", painter(PAINTER)).code == 0
    refused = generated(out, "--painter", painter(PAINTER.replace("0.8", "0.7")))
    assert refused.code == 2
    assert "own_painter:paint changed since" in refused.sentence


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("own_painter", "module:function"),
        ("no_such_module:paint", "there is no module no_such_module"),
        ("own_painter:nothing", "has no function nothing"),
    ],
)
def test_code_that_is_not_there_is_named(painter: Callable[[str], str], tmp_path: Path, asked: str, said: str) -> None:
    painter(PAINTER)
    refused = generated(tmp_path / "out", "--painter", asked)
    assert refused.code == 2
    assert said in refused.sentence


@pytest.mark.parametrize(
    ("more", "said"), [(("--trust",), "--trust"), (("--model", "m"), "--painter is all that paints")]
)
def test_what_does_not_go_with_it_is_refused(
    painter: Callable[[str], str], tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    refused = generated(tmp_path / "out", "--painter", painter(PAINTER), *more)
    assert refused.code == 2
    assert said in refused.sentence


def test_too_few_pictures_end_the_run(painter: Callable[[str], str], tmp_path: Path) -> None:
    ended = generated(tmp_path / "out", "--painter", painter("def paint(prompts, seeds):\n    return []\n"))
    assert ended.code == 2
    assert "gave 0 pictures for 2 prompts" in ended.sentence


def test_a_pipeline_that_tells_alpha_is_found_and_painted_with(tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    build("QwenImage21Pipeline").save_pretrained(model)
    assert kind_of(model).name == "rgba"
    gates = "gates={coverage_min: 0, coverage_max: 1, border_max: 1, key_distance_min: null, green_residue_max: null}"
    ended = generated(
        out, "--model", model, "--steps", "2", "--set", "sampler.size=64", "--set", gates, "--allow-short"
    )
    assert ended.code in (0, 1), ended.err
    for sample in factory.open(out):
        assert sample.meta["prompt"].startswith("This is an RGBA image with transparency. a ")
        assert sample.meta["source"] == "QwenImage21Pipeline"


def test_a_picture_keeps_its_alpha_and_its_colours_go_on_beneath() -> None:
    picture = disc()
    picture[picture[..., 3] == 0, :3] = 0
    (sample,) = source(picture)([request()])
    assert isinstance(sample, Sample)
    assert sample.alpha is not None
    assert sample.foreground is not None
    assert np.abs(sample.alpha / 255 - picture[..., 3]).max() < 0.01
    assert np.abs(sample.foreground[32, 32] - np.array([204, 51, 26])).max() <= 1
    assert np.abs(sample.foreground[2, 2].astype(int) - np.array([204, 51, 26])).max() <= 4
    assert tuple(sample.rgb[0, 0]) == (0, 0, 255)


def test_the_next_screen_after_an_object_of_its_colour() -> None:
    (sample,) = source(disc())([request(reasons=("near_key",))])
    assert isinstance(sample, Sample)
    assert sample.origin.key_rgb == (0, 255, 0)


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (np.zeros((8, 8, 3), np.uint8), "no_alpha"),
        (np.zeros((8, 8), np.uint8), "no_alpha"),
        (np.zeros((8, 8, 4), np.uint8), "empty"),
        (np.full((8, 8, 4), 254, np.uint8), "opaque"),
        (np.full((8, 8, 4), np.nan, np.float32), "nan"),
        (np.full((8, 8, 4), 200.0, np.float32), "levels"),
        (np.full((8, 8, 4), 300, np.int64), "levels"),
    ],
)
def test_what_is_no_transparent_picture_costs_only_itself(picture: NDArray[Any], kind: str) -> None:
    good, bad = source(disc(8), picture)([request(0), request(1)])
    assert isinstance(good, Sample)
    assert isinstance(bad, DataError)
    assert bad.kind == kind


def test_next_to_nothing_is_nothing() -> None:
    levels = np.zeros((1, 4, 4), np.uint8)
    levels[0, :, 3] = (2, 3, 252, 253)
    assert levels_of(levels)[0, :, 3].tolist() == [0, 3, 252, 255]


def with_background(background: NDArray[np.uint8], side: int) -> Sample:
    """An opaque picture of a red disc before it, on green."""
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(x - side / 2, y - side / 2) < side / 5
    colours = np.where(inside[..., None], np.array([200, 40, 30], np.uint8), background)
    return Sample(
        request=request(),
        origin=Origin(kind="generated"),
        rgb=colours,
        alpha=np.full((side, side), 255, np.uint8),
        foreground=colours,
        plate=constant_plate((0, 255, 0)),
    )


@pytest.mark.parametrize("step", [8, 13, 16])
@pytest.mark.parametrize("shades", [(255, 204), (102, 153)])
def test_a_painted_checkerboard_is_seen(step: int, shades: tuple[int, int]) -> None:
    side = 256
    y, x = np.mgrid[:side, :side]
    light = np.where((x // step + y // step) % 2 == 0, *shades).astype(np.uint8)
    light = np.clip(light + np.random.default_rng(0).normal(0, 1, light.shape), 0, 255).astype(np.uint8)
    assert checkerboard(with_background(np.dstack([light] * 3), side)) > CHECKERED


def test_what_is_grey_or_has_a_pattern_is_none() -> None:
    side = 256
    y, x = np.mgrid[:side, :side]
    plain = np.full((side, side, 3), 200, np.uint8)
    stripes = np.dstack([np.where(x // 8 % 2 == 0, 220, 180).astype(np.uint8)] * 3)
    slope = np.dstack([(x // 2 + y // 4).astype(np.uint8)] * 3)
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)
    for background in (plain, stripes, slope, noise):
        assert checkerboard(with_background(background, side)) < CHECKERED / 3
