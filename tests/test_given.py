"""Sampling that begins with given pictures: image-to-image and inpainting, through both doors."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)
from hypothesis import given as for_all
from hypothesis import strategies as st
from PIL import Image
from program import Ended, factory_here, hashes
from tiny_pipelines import build as build_plain

import factory
from factory.diffusion import model_folder
from factory.diffusion.generators.plain import PLAIN
from factory.diffusion.given.pictures import GivenBatch, in_the_middle
from factory.diffusion.given.settings import Given
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.plain.families import family_of
from factory.diffusion.plain.pipeline import PlainPipeline, load_pipeline
from factory.diffusion.plain.settings import PlainSettings
from factory.diffusion.plain.sibling import check_sibling, sibling_of
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import Sampler, SamplerSettings
from factory.diffusion.sizes import Size, square
from factory.diffusion.train.networks import build, build_scheduler
from factory.diffusion.train.settings import NetworkSettings
from factory.engine.plan import read_plan
from factory.errors import UsageError
from factory.sample import PARTLY_GENERATED
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from pipelines import OPEN

PROMPTS = ["green screen, a red feather", "green screen, a blue leaf"]
TINY = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, unet_channels=(8, 16), unet_layers=1, unet_heads=2, text_width=16,
    text_layers=2, text_heads=2, text_length=16, norm_groups=4, head_hidden=8,
)  # fmt: skip
SEEDS = (3, 4)
STOCK: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {}),
    "dpm++2m": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "euler": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
}


def pictures(size: int, count: int = 2) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def left_half(size: int, count: int = 2) -> np.ndarray[Any, np.dtype[np.bool_]]:
    masks = np.zeros((count, size, size), np.bool_)
    masks[:, :, : size // 2] = True
    return masks


@pytest.fixture(scope="module")
def matting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DiffuMatting model."""
    path = tmp_path_factory.mktemp("given") / "matting"
    model_folder.save(build(TINY, 32, ["a red feather", "a blue leaf", "shadow"], seed=0), path)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion, as diffusers saves it."""
    path = tmp_path_factory.mktemp("given") / "plain"
    build_plain("StableDiffusionPipeline").save_pretrained(path)
    return path


def seeded() -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS]


def as_pil(batch: GivenBatch) -> dict[str, Any]:
    arguments: dict[str, Any] = {"image": [Image.fromarray(one) for one in batch.pictures], "strength": batch.strength}
    if batch.masks is not None:
        arguments["mask_image"] = [Image.fromarray(one.astype(np.uint8) * 255) for one in batch.masks]
    return arguments


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sampler", STOCK)
def test_our_loop_begins_with_a_picture_as_diffusers_does(
    matting: Path, sampler: Sampler, masked: bool, strength: float
) -> None:
    given = GivenBatch(pictures(32), left_half(32) if masked else None, strength)
    settings = SamplerSettings(sampler=sampler, steps=6, guidance=3.0, negative_prompt="shadow", start="noise")
    ours, masks, _ = DiffuMattingPipeline.from_folder(matting).paint(PROMPTS, SEEDS, settings, None, given=given)
    assert masks.shape == (2, 32, 32)
    kind, own = STOCK[sampler]
    stock = StableDiffusionInpaintPipeline if masked else StableDiffusionImg2ImgPipeline
    pipeline = stock.from_pretrained(
        matting, local_files_only=True, scheduler=kind.from_config(build_scheduler().config, **own)
    )
    pipeline.set_progress_bar_config(disable=True)
    told = pipeline(
        PROMPTS,
        num_inference_steps=6,
        guidance_scale=3.0,
        negative_prompt=["shadow"] * 2,
        generator=seeded(),
        output_type="np",
        **as_pil(given),
        **({"height": 32, "width": 32} if masked else {}),
    )
    assert np.abs(ours / 255 - told.images).max() <= 0.52 / 255


def test_what_is_kept_stays_and_depends_on_no_neighbour(matting: Path) -> None:
    pipeline = DiffuMattingPipeline.from_folder(matting)
    settings = SamplerSettings(sampler="lcm", steps=4, guidance=1.0)
    batch = GivenBatch(pictures(32), left_half(32), 0.75)
    painted, _, _ = pipeline.paint(PROMPTS, SEEDS, settings, None, given=batch)
    turned = GivenBatch(batch.pictures[::-1].copy(), left_half(32), 0.75)
    other, _, _ = pipeline.paint(PROMPTS[::-1], SEEDS[::-1], settings, None, given=turned)
    assert np.array_equal(other[::-1], painted)
    again, _, _ = pipeline.paint(PROMPTS, [8, 9], settings, None, given=batch)
    beyond = slice(24, None)  # pixels that no network's kernel carries the mask's side to
    changed = np.abs(again.astype(int) - painted).mean(axis=(0, 1, 3))
    assert changed[:8].mean() > 2 * changed[beyond].mean()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sampler", ["", "dpm++2m", "lcm"])
def test_a_plain_pipeline_paints_as_its_siblings_own_call(plain: Path, masked: bool, sampler: str) -> None:
    given = Given(column="picture", mask="mask" if masked else "")
    batch = GivenBatch(pictures(32), left_half(32) if masked else None, 0.6)
    painter = PlainPipeline(
        sibling_of(load_pipeline(plain, torch.float32), given), family_of("StableDiffusionPipeline")
    )
    settings = PlainSettings(sampler=sampler, steps=4, guidance=1.0, size=32)  # type: ignore[arg-type]
    ours = painter.paint(PROMPTS, SEEDS, settings, ["green"] * 2, given=batch)
    own = painter.pipeline(
        PROMPTS,
        num_inference_steps=4,
        guidance_scale=1.0,
        generator=seeded(),
        output_type="np",
        **as_pil(batch),
        **({"height": 32, "width": 32} if masked else {}),
    ).images
    assert np.abs(ours - own).max() * 255 <= 1
    assert not np.allclose(ours[0], ours[1], atol=0.05)


@pytest.mark.parametrize("masked", [False, True])
def test_no_sibling_marks_its_pictures(monkeypatch: pytest.MonkeyPatch, masked: bool) -> None:
    """As diffusers' do by themselves where the library for it is installed."""
    given = Given(column="picture", mask="mask" if masked else "")
    pipeline = build_plain("StableDiffusionXLPipeline")
    kind = import_module(type(sibling_of(pipeline, given)).__module__)
    monkeypatch.setattr(kind, "is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(kind, "StableDiffusionXLWatermarker", object, raising=False)
    assert sibling_of(pipeline, given).watermark is None


@pytest.mark.parametrize("name", ["IFPipeline", "KandinskyV22CombinedPipeline"])
def test_where_no_size_is_known_it_is_asked_for(name: str, tmp_path: Path) -> None:
    build_plain(name).save_pretrained(tmp_path)
    assert PLAIN.given is not None
    with pytest.raises(UsageError, match="say at what size to paint"):
        PLAIN.given(Given(column="picture"), PlainSettings(), tmp_path)
    PLAIN.given(Given(column="picture"), PlainSettings(size=64), tmp_path)


def test_pipelines_without_a_sibling_are_refused() -> None:
    check_sibling("FluxPipeline", Given(column="picture"))
    for pipeline in ("SanaPipeline", "FluxKontextPipeline"):
        with pytest.raises(UsageError, match=f"no image-to-image with a strength for {pipeline}"):
            check_sibling(pipeline, Given(column="picture"))
    with pytest.raises(UsageError, match="no inpainting with a strength for LatentConsistencyModelPipeline"):
        check_sibling("LatentConsistencyModelPipeline", Given(column="picture", mask="mask"))


@for_all(st.integers(1, 40), st.integers(1, 40), st.builds(Size, st.integers(16, 48), st.integers(16, 48)))
def test_a_picture_lies_whole_in_the_middle_of_what_is_painted(height: int, width: int, size: Size) -> None:
    red = np.full((height, width, 3), (255, 0, 0), np.uint8)
    whole = in_the_middle(red, None, (0, 255, 0), size)
    assert whole.shape == (*size, 3)
    inside = (whole == (255, 0, 0)).all(axis=2)
    assert inside.sum() == inside.any(axis=0).sum() * inside.any(axis=1).sum()
    assert inside.any(axis=1).sum() == size.height or inside.any(axis=0).sum() == size.width
    assert (whole[~inside] == (0, 255, 0)).all()


def test_what_is_transparent_shows_the_screen() -> None:
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 2:6] = 255
    whole = in_the_middle(pictures(8, 1)[0], alpha, (0, 0, 255), square(8))
    assert (whole[alpha == 0] == (0, 0, 255)).all()
    assert np.array_equal(whole[alpha > 0], pictures(8, 1)[0][alpha > 0])


def table(folder: Path) -> Path:
    """Three prompts: two with pictures and masks, one whose picture is missing."""
    y, x = np.mgrid[:40, :40]
    disc = ((x - 20) ** 2 + (y - 20) ** 2 < 100)[..., None]
    Image.fromarray(np.where(disc, (200, 20, 20), (0, 255, 0)).astype(np.uint8)).save(folder / "a.png")
    cutout = np.concatenate([np.full((40, 40, 3), (20, 20, 200)), 255 * disc], axis=2).astype(np.uint8)
    Image.fromarray(cutout).save(folder / "b.png")
    for name in ("a", "b"):
        Image.fromarray(left_half(40, 1)[0].astype(np.uint8) * 255).save(folder / f"{name}_mask.png")
    listed = folder / "prompts.csv"
    rows = ["a red feather,a.png,a_mask.png", "a blue leaf,b.png,b_mask.png", "a red leaf,none.png,a_mask.png"]
    listed.write_text("\n".join(["prompt,picture,mask", *rows]) + "\n")
    return listed


def generated(model: Path, out: Path, *more: str) -> Ended:
    listed = out.with_name("prompts.csv")
    prompts = listed if listed.exists() else table(out.parent)
    return factory_here(
        *("generate", "--model", model, "--prompts", prompts, "--n", "3", "--batch", "2", "--steps", "4"),
        *("--guidance", "1", "--set", "sampler.size=64", "--set", OPEN, "--max-attempts", "1", "--out", out),
        *("--allow-short", "--executor", "local", "--given", "picture", *more),
    )


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("more", [(), ("--mask", "mask", "--strength", "1")])
def test_a_missing_picture_fails_its_item_alone(
    embedded: bool, more: tuple[str, ...], tmp_path: Path, plain: Path
) -> None:
    model, out = EMBEDDED if embedded else plain, tmp_path / "out"
    ended = generated(model, out, *more)
    assert "1 of 3 prompts name no file that is there under `picture`" in ended.err
    assert "1 of 3 items failed" in ended.out + ended.err
    rows = read_manifest(Layout(out), ["slot", "reason"]).to_pylist()
    assert [row["reason"] == "no_picture" for row in sorted(rows, key=lambda row: row["slot"])] == [False, False, True]
    samples = factory.open(out)
    assert len(samples) == 2
    for sample in samples:
        assert sample.meta["item"] in {"a.png", "b.png"}
        assert sample.meta["digital_source_type"] == PARTLY_GENERATED
        assert sample.meta["sampler"]["start"] == "given"
    before = hashes(out)
    generated(model, out, *more)
    assert hashes(out) == before


def test_another_picture_under_the_same_name_is_refused(matting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generated(matting, out)
    Image.fromarray(pictures(40, 1)[0]).save(tmp_path / "a.png")
    told = generated(matting, out).sentence
    assert f"picture a.png of 'a red feather' changed since {out} was begun: restore it" in told


def test_an_item_that_no_attempt_can_mend_is_tried_once_and_named(tmp_path: Path) -> None:
    out, listed = tmp_path / "out", table(tmp_path)
    listed.write_text(listed.read_text().replace("b_mask", "a_mask"))
    Image.fromarray(pictures(7, 1)[0]).save(tmp_path / "b.png")
    ended = generated(EMBEDDED, out, "--mask", "mask", "--max-attempts", "3")
    assert "2 of 3 are missing; --allow-short accepts that" in ended.out
    assert "  failed: mask_size 1 — a_mask.png (`mask`): it has another size than its picture" in ended.out
    assert "  failed: no_picture 1 — there was no file 'none.png'" in ended.out
    assert "gates" not in ended.out
    assert sum(row["status"] == "failed" for row in read_manifest(Layout(out), ["status"]).to_pylist()) == 2
    (sample,) = factory.open(out)
    assert sample.meta["pictures"] == ["picture: a.png", "mask: a_mask.png"]
    assert "painted after" in factory_here("show", out, sample.key).out
    page = (out / "report" / "index.html").read_text()
    assert "picture: a.png; mask: a_mask.png" in page
    assert page.count("there was no file &#39;none.png&#39;") == 1
    assert not factory_here("verify", out).code


def test_plans_without_given_pictures_say_nothing_of_them(matting: Path, tmp_path: Path) -> None:
    listed = tmp_path / "p.txt"
    listed.write_text("a red feather\n")
    out = tmp_path / "out"
    factory_here(
        *("generate", "--model", matting, "--prompts", listed, "--n", "1", "--steps", "1", "--max-attempts", "1"),
        *("--batch", "1", "--out", out, "--executor", "local"),
    )
    settings = read_plan(Layout(out).plan).settings
    assert "given" not in settings
    assert {"eta", "guidance_until"}.isdisjoint(settings["sampler"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--strength", "0"), "given.strength 0 is out of range"),
        (("--strength", "0.2"), "0.2 of 4 steps is not one step"),
        (("--set", "sampler.start=noise"), "it is the pictures that sampling starts from"),
        (("--mask", "elsewhere"), "elsewhere"),
        (("--mask", "picture"), "given.mask is given.column"),
        (("--given", "prompt"), "name it otherwise"),
        (("--set", "given.column=''"), "given.column is missing"),
    ],
)
def test_what_cannot_be_begun_with_is_refused_before_anything_is_written(
    plain: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    refused = generated(plain, tmp_path / "out", *more)
    assert refused.code == 2
    assert said in refused.sentence
    assert not (tmp_path / "out").exists()


def test_models_that_begin_with_no_pictures_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_given.py").write_text("def paint(prompts, seeds): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    refused = factory_here(
        *("generate", "--painter", "own_given:paint", "--prompts", table(tmp_path), "--given", "picture"),
        *("--out", tmp_path / "out"),
    )
    assert "begins with no picture" in refused.sentence
