"""What careful labels are compared with: cut-outs pasted by plain OpenCV, and a plain chroma key."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sources import made, recipe

import factory
from factory.equation import constant_plate
from factory.errors import DataError, UsageError
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.refine.chroma_key import ChromaKeySettings, chroma_keyed, ramp
from factory.refine.mask_as_matte import MaskAsMatteSettings, mask_as_matte
from factory.run.execute import execute
from factory.sample import Origin, Request, Sample
from factory.shipped_files import find_shipped
from factory.sources.files.pasted import SIZES, pasted
from factory.trust import TRUST

GREEN = (0, 255, 0)


def cut_out(folder: Path) -> Path:
    """A soft red disc; under alpha 0 its colour is black, as programs leave it."""
    folder.mkdir()
    alpha = np.zeros((80, 60), np.uint8)
    cv2.circle(alpha, (30, 40), 20, 255, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
    colours = np.where(alpha[..., None] > 0, np.uint8([30, 40, 220]), np.uint8(0))
    cv2.imwrite(str(folder / "disc.png"), np.dstack([colours, alpha]))
    return folder


def test_a_pasted_set_is_a_set_like_any_other(tmp_path: Path) -> None:
    source = {"type": "pasted", "path": str(cut_out(tmp_path / "cutouts")), "repeat": 4, "licence": "CC0-1.0"}
    out = tmp_path / "out"
    made(recipe(tmp_path / "pasted.yaml", source, size=48), out)
    samples = list(factory.open(out))
    assert len(samples) == 4
    for sample in samples:
        share = sample.alpha[..., None].astype(np.int64)
        again = (share * sample.foreground + (255 - share) * np.array(GREEN)) // 255
        assert np.array_equal(sample.rgb, again)
        assert (sample.meta["source"], sample.meta["licence"]) == ("cutouts", "CC0-1.0")
    assert len({sample.alpha.tobytes() for sample in samples}) == 4


def test_what_lies_under_alpha_0_bleeds_into_a_pasted_edge(tmp_path: Path) -> None:
    picture = cv2.imread(str(cut_out(tmp_path / "cutouts") / "disc.png"), cv2.IMREAD_UNCHANGED)
    foreground, alpha = pasted(picture[..., 2::-1], picture[..., 3], 24, seed=1)
    edge = (alpha > 0) & (alpha < 128)
    assert foreground[edge][:, 0].min() < 150 < foreground[alpha == alpha.max()][:, 0].min()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 64), st.integers(0, 2**63 - 1))
def test_a_pasted_picture_lies_in_its_square_whatever_its_shape(height: int, width: int, size: int, seed: int) -> None:
    foreground, alpha = pasted(
        np.full((height, width, 3), 7, np.uint8), np.full((height, width), 255, np.uint8), size, seed
    )
    assert foreground.shape == (size, size, 3)
    covered = np.ptp(np.argwhere(alpha), axis=0) + 1
    assert SIZES[0] * size - 1 <= covered.max() <= SIZES[1] * size + 1


def on_screen(colour: tuple[int, int, int]) -> Sample:
    """A disc of a colour before green."""
    alpha = np.zeros((64, 64), np.uint8)
    cv2.circle(alpha, (32, 32), 16, 255, -1)
    rgb = np.where(alpha[..., None] > 0, np.uint8(colour), np.uint8(GREEN))
    request = Request(key="0000000000", slot=0, attempt=0, seed=0, item={})
    origin = Origin(kind="composited", key_rgb=GREEN)
    return Sample(request=request, origin=origin, rgb=rgb, alpha=alpha, plate=constant_plate(GREEN))


def test_a_chroma_key_tells_what_differs_from_the_screen() -> None:
    sample = on_screen((200, 30, 60))
    keyed = chroma_keyed(sample, ChromaKeySettings())
    inner, outer = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    cv2.circle(inner, (32, 32), 13, 1, -1)
    cv2.circle(outer, (32, 32), 19, 1, -1)
    assert keyed.alpha is not None
    assert keyed.alpha[inner == 1].min() == 255
    assert keyed.alpha[outer == 0].max() == 0


def test_a_chroma_key_takes_the_screens_colour_out_of_all_of_the_object() -> None:
    keyed = chroma_keyed(on_screen((100, 220, 60)), ChromaKeySettings(similarity=0.02))
    assert keyed.foreground is not None
    assert keyed.foreground[32, 32].tolist() == [100, 80, 60], "its own green too: that is what the plain way does"


@pytest.mark.parametrize("blend", [0.0, 0.2])
def test_the_ramp_of_a_chroma_key_is_ffmpegs(blend: float) -> None:
    distance = np.linspace(0, 1, 101, dtype=np.float32)
    alpha = ramp(distance, ChromaKeySettings(similarity=0.3, blend=blend))
    wanted = np.clip((distance - 0.3) / blend, 0, 1) if blend else (distance > np.float32(0.3)).astype(float)
    assert np.abs(alpha - wanted).max() < 1e-5


def test_the_same_pictures_are_keyed_anew_by_a_recipe(tmp_path: Path) -> None:
    source = {"type": "pasted", "path": str(cut_out(tmp_path / "cutouts")), "repeat": 2}
    out = tmp_path / "out"
    made(recipe(tmp_path / "pasted.yaml", source, size=48), out)
    fields = {"job": "refine", "data": str(out), "out": str(tmp_path / "keyed"), "chroma_key": {}, "executor": "local"}
    execute(parse(fields | {"gates": {"residual_max": None}}), lambda _: None)
    before, after = factory.open(out), factory.open(tmp_path / "keyed")
    assert after.keys == before.keys
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old.rgb, new.rgb)
        assert not np.array_equal(old.alpha, new.alpha)


def test_a_benchmarks_picture_comes_in_only_where_it_is_asked_for(tmp_path: Path, shared_data: Path) -> None:
    for kind in ("image", "alpha"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        (tmp_path / "set" / kind / "GT19.png").symlink_to(shared_data / "alphamatting_odd" / kind / "GT19.png")
    source = {"type": "public", "dataset": "alphamatting", "path": str(tmp_path / "set")}
    with pytest.raises(UsageError, match="left out as benchmark images: 1"):
        made(recipe(tmp_path / "no.yaml", source), tmp_path / "no")
    made(recipe(tmp_path / "yes.yaml", source | {"include_test": True}), tmp_path / "yes")
    assert [sample.meta["source"] for sample in factory.open(tmp_path / "yes")] == ["alphamatting-test"]


@pytest.mark.parametrize(("coarse", "threshold"), [("head", None), ("head", 0.5), ("attention", 0.5)])
def test_a_coarse_mask_may_be_the_matte(tmp_path: Path, coarse: str, threshold: float | None) -> None:
    fields = {"job": "generate", "n": 2, "out": str(tmp_path / "out"), "executor": "local"}
    fields |= {"sampler": {"steps": 2, "coarse": coarse}}
    gates = dict.fromkeys(["residual_max", "agreement_min", "spread_max", "gsg_max", "coverage_max", "border_max"])
    gates |= dict.fromkeys(["key_distance_min", "green_residue_max"])
    execute(parse(fields | {"mask_as_matte": {"threshold": threshold}, "gates": gates}), lambda _: None)
    samples = list(factory.open(tmp_path / "out"))
    assert samples
    for sample in samples:
        assert np.array_equal(sample.foreground, sample.rgb)
        assert sample.meta["source"].endswith("masks from attention") == (coarse == "attention")
        assert sample.meta["soft_alpha"] == (threshold is None)
        assert set(np.unique(sample.alpha)) <= {0, 255} or threshold is None


@pytest.mark.slow
def test_the_experiment_on_masks_gets_them_from_the_embedded_models_attention(tmp_path: Path) -> None:
    shipped = find_shipped("pipelines", "experiment-masks")
    assert shipped is not None
    fields = read_yaml(shipped)["sets"]["masks"]["recipe"] | {"n": 2, "max_attempts": 3, "executor": "local"}
    fields |= {"sampler": fields["sampler"] | {"steps": 6}}
    execute(parse(fields | {"out": str(tmp_path / "out")}), lambda _: None)
    samples = list(factory.open(tmp_path / "out"))
    assert len(samples) == 2
    for sample in samples:
        assert sample.meta["source"].endswith("masks from attention")
        assert set(np.unique(sample.alpha)) == {0, 255}


def test_a_mask_is_trusted_no_further_than_the_matte_that_contradicts_it() -> None:
    sample = on_screen((200, 30, 60))
    assert sample.alpha is not None
    sure, coarse = np.full((64, 64), 255, np.uint8), sample.alpha.copy()
    coarse[:, :32] = 0
    told = mask_as_matte(replace(sample, coarse=coarse, layers={TRUST: sure}), MaskAsMatteSettings())
    missed = sample.alpha != coarse
    assert missed.any()
    assert np.array_equal(told.layers[TRUST], np.where(missed, np.uint8(0), np.uint8(255)))


def test_a_chroma_key_without_a_ramp_makes_a_binary_matte_and_says_so() -> None:
    keyed = chroma_keyed(on_screen((200, 30, 60)), ChromaKeySettings(blend=0))
    assert not keyed.origin.soft_alpha
    with pytest.raises(DataError, match="no pixel"):
        chroma_keyed(on_screen(GREEN), ChromaKeySettings())


@pytest.mark.parametrize(
    "wrong", [{"chroma_key": {"blend": -1}}, {"chroma_key": {"similarity": 1}}, {"mask_as_matte": {"threshold": 0}}]
)
def test_settings_of_the_plain_ways_are_shares(tmp_path: Path, wrong: dict[str, dict[str, float]]) -> None:
    with pytest.raises(UsageError, match="choose"):
        parse({"job": "generate", "n": 2, "out": str(tmp_path / "out"), **wrong})


def test_a_picture_without_a_mask_has_none_to_be_its_matte() -> None:
    with pytest.raises(DataError, match="has no coarse mask"):
        mask_as_matte(on_screen((200, 30, 60)), MaskAsMatteSettings())
