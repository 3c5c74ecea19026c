"""Networks of the user's tell numbers of a picture: the published ones' numbers, whoever else is in the batch."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from program import Ended, factory_here
from test_model_folder import made_up
from tiny_scorers import SIDE, WIDTH, write_checker, write_clip, write_head
from torch import nn
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

import factory
from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import paint_on_screen
from factory.models.convert import convert
from factory.models.device import CPU
from factory.quality.scorers.aesthetic import Aesthetic
from factory.quality.scorers.aesthetic_head import read_head
from factory.quality.scorers.clip import Clip, prepared
from factory.quality.scorers.clip_folder import check_clip, check_tokenizer
from factory.quality.scorers.safety import FLAGGED, Safety
from factory.quality.scorers.scorer import View
from factory.quality.scorers.stage import GREY, ScorerStage
from factory.quality.scorers.text_agreement import TextAgreement
from factory.sample import ASKED_SCORES, Origin, Picture, Request, Sample
from factory.sources.captioning.captioned import captioned

BATCH = 4
STORED = 6e-5  # half of the last digit that is stored, and a little
LOCAL = ("--executor", "local", "--allow-short")
TEXTS = ("a red apple", "an orange balloon", "a blue bird", "a yellow bicycle wheel")


class Files(NamedTuple):
    """Where tiny scorers lie."""

    clip: Path
    head: Path
    checker: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("scorers")
    return Files(write_clip(folder / "clip"), write_head(folder / "head.npz"), write_checker(folder / "checker"))


@pytest.fixture(scope="module")
def stage(files: Files) -> ScorerStage:
    clip = Clip(files.clip, CPU)
    scorers = (
        Aesthetic(clip=files.clip, head=files.head),
        TextAgreement(clip=files.clip),
        Safety(model=files.checker),
    )
    return ScorerStage({one.score: one.open(lambda _: clip, CPU) for one in scorers}, BATCH, "cpu")


def picture(seed: int, height: int = 48, width: int = 48) -> Picture:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def sample(slot: int) -> Sample:
    y, x = np.mgrid[:48, :48]
    alpha = (np.clip(18 - np.hypot(x - 24, y - 24), 0, 1) * 255).astype(np.uint8)
    foreground = picture(slot)
    return Sample(
        request=Request(key=f"{slot:010d}", slot=slot, attempt=0, seed=slot),
        origin=Origin(kind="generated", caption=TEXTS[slot % len(TEXTS)]),
        rgb=paint_on_screen(foreground, alpha, (0, 255, 0)),
        alpha=alpha,
        foreground=foreground,
    )


def scored(stage: ScorerStage, samples: Sequence[Sample]) -> list[Sample]:
    made = stage.begin()(samples)
    assert all(isinstance(one, Sample) for one in made)
    return [one for one in made if isinstance(one, Sample)]


def own_cosines(files: Files, pictures: Sequence[Picture], texts: Sequence[str]) -> NDArray[np.float32]:
    """By transformers' own call, one pair after the other."""
    model, words = (
        CLIPModel.from_pretrained(files.clip).eval().requires_grad_(False),
        CLIPTokenizer.from_pretrained(files.clip),
    )
    pixels = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    cosines = list[float]()
    for one, text in zip(pictures, texts, strict=True):
        told = model(**words([text], return_tensors="pt"), **pixels([one], return_tensors="pt"))
        cosines.append(float(told.logits_per_image[0, 0] / model.logit_scale.exp()))
    return np.array(cosines, np.float32)


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(224, 224), (64, 64), (300, 500), (517, 311)])
def test_pictures_are_prepared_as_clips_were(height: int, width: int) -> None:
    own = picture(0, height, width)
    found = prepared([own, None], 224)
    assert torch.equal(found[0], CLIPImageProcessorPil()([own], return_tensors="pt").pixel_values[0])
    assert not found[1].any()
    if height == width:  # nothing of a square is cut off
        whole = np.asarray(Image.fromarray(own).resize((224, 224), Image.Resampling.BICUBIC), np.float32) / 255
        by_hand = (whole - (0.48145466, 0.4578275, 0.40821073)) / (0.26862954, 0.26130258, 0.27577711)
        assert np.abs(found[0].permute(1, 2, 0).numpy() - by_hand).max() < 1e-5


def test_agreement_is_clips_own_cosine_or_0(files: Files, stage: ScorerStage) -> None:
    samples = [sample(slot) for slot in range(BATCH)]
    found = scored(stage, samples)
    for on_screen, pictures in (
        (True, [one.rgb for one in samples]),
        (False, [paint_on_screen(one.foreground, one.alpha, GREY) for one in samples]),
    ):
        cosines = own_cosines(files, pictures, [one.origin.caption for one in samples])
        told = [one.scores.text_agreement_screen if on_screen else one.scores.text_agreement for one in found]
        assert np.abs(np.maximum(cosines, 0) - told).max() < STORED
        assert cosines.max() > 0


def test_the_aesthetic_score_is_the_head_of_the_direction(files: Files, stage: ScorerStage) -> None:
    one = sample(1)
    model = CLIPModel.from_pretrained(files.clip).eval()
    with torch.no_grad():
        seen = model.visual_projection(model.vision_model(prepared([one.rgb], SIDE)).pooler_output)[0].numpy()
    head = np.load(files.head)
    wanted = seen / np.linalg.norm(seen) @ head["weight"] + head["bias"]
    assert scored(stage, [one])[0].scores.aesthetic_screen == pytest.approx(wanted, abs=STORED)


def test_the_checker_flags_what_scores_above_the_half(files: Files) -> None:
    checker = StableDiffusionSafetyChecker.from_pretrained(files.checker).eval()
    pictures = tuple(picture(seed) for seed in range(40))
    _, flags = checker(prepared(pictures, SIDE), np.zeros((len(pictures), 1, 1, 3)))
    judge = Safety(model=files.checker).open(lambda folder: Clip(folder, CPU), CPU)
    told = judge(View(pictures, ("",) * len(pictures)))
    assert [score > FLAGGED for score in told] == flags
    assert 0 < sum(flags) < len(flags)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(BATCH)), company=st.integers(1, BATCH))
def test_a_score_does_not_depend_on_company_or_place(stage: ScorerStage, order: list[int], company: int) -> None:
    alone = {slot: scored(stage, [sample(slot)])[0].scores for slot in range(BATCH)}
    for one in scored(stage, [sample(slot) for slot in order[:company]]):
        assert one.scores == alone[one.request.slot]


# --- what cannot be told ------------------------------------------------------------------------------------------


def test_without_matte_or_text_what_can_be_told_is_told(stage: ScorerStage) -> None:
    bare = replace(sample(0), alpha=None, foreground=None)
    mute = replace(sample(1), origin=Origin(kind="generated"))
    of_bare, of_mute = (one.scores for one in scored(stage, [bare, mute]))
    assert (of_bare.aesthetic, of_bare.text_agreement, of_bare.unsafe) == (-1, -1, -1)
    assert min(of_bare.aesthetic_screen, of_bare.text_agreement_screen, of_bare.unsafe_screen) >= 0
    assert (of_mute.text_agreement, of_mute.text_agreement_screen) == (-1, -1)
    assert of_mute.aesthetic > 0


def test_a_prompt_stands_for_a_caption_and_a_class_for_both(stage: ScorerStage) -> None:
    origins = [Origin(kind="generated", **{name: TEXTS[1]}) for name in ("caption", "prompt", "class_name")]
    told = {one.scores.text_agreement for one in scored(stage, [replace(sample(1), origin=own) for own in origins])}
    assert len(told) == 1


def test_what_overflows_costs_the_sample_and_no_more() -> None:
    good, bad = sample(0), sample(1)
    stage = ScorerStage({"aesthetic": lambda view: [5.0, float("nan"), 0.0, 0.0][: len(view.texts)]}, BATCH, "cpu")
    first, second = stage.begin()([good, bad])
    assert isinstance(first, Sample)
    assert isinstance(second, DataError)
    assert second.kind == "nan"


def test_a_new_caption_has_no_agreement_yet() -> None:
    old = sample(0)
    old = replace(old, scores=replace(old.scores, text_agreement=0.3, aesthetic=5.0))
    assert captioned(old, "a frog").scores == replace(old.scores, text_agreement=-1.0)
    assert captioned(old, "").scores == old.scores


# --- heads --------------------------------------------------------------------------------------------------------


def published_layers(width: int) -> nn.Sequential:
    """As improved-aesthetic-predictor writes its MLP."""
    torch.manual_seed(0)
    sizes, drop = (width, 1024, 128, 64, 16, 1), nn.Dropout(0.2)
    one, two, three, four, five = (nn.Linear(a, b) for a, b in pairwise(sizes))
    return nn.Sequential(one, drop, two, drop, three, drop, four, five)


def test_a_converted_head_of_five_layers_is_one_affine_map(tmp_path: Path) -> None:
    layers = published_layers(768)
    torch.save({f"layers.{name}": value for name, value in layers.state_dict().items()}, tmp_path / "head.pth")
    with pytest.raises(UsageError, match="factory convert"):
        read_head(tmp_path / "head.pth", "head")
    head = read_head(convert(tmp_path / "head.pth", None), "head")
    x = nn.functional.normalize(torch.randn(50, 768))
    with torch.no_grad():
        wanted = layers.eval()(x)[:, 0].numpy()
    assert np.abs(x.numpy() @ head.weight + head.bias - wanted).max() < 1e-6


def test_a_linear_head_is_read_too(tmp_path: Path) -> None:
    linear = nn.Linear(512, 1)
    torch.save(linear.state_dict(), tmp_path / "sa_0_4_vit_b_32_linear.pth")
    head = read_head(convert(tmp_path / "sa_0_4_vit_b_32_linear.pth", None), "head")
    assert np.array_equal(head.weight, linear.weight[0].detach().numpy())
    assert head.bias == linear.bias.item()


def test_laions_collapsed_heads_are_read(shared_data: Path) -> None:
    head = read_head(shared_data / "aesthetic" / "sac+logos+ava1-l14-linearMSE.collapsed.npz", "head")
    assert head.weight.shape == (768,)
    assert np.linalg.norm(head.weight) == pytest.approx(18.0, abs=0.05)
    assert head.bias == pytest.approx(5.2366, abs=1e-4)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"weight": np.zeros((2, 8)), "bias": np.zeros(2)}, "one finite number"),
        ({"weight": np.full(8, np.nan), "bias": np.zeros(1)}, "one finite number"),
        ({"layers.0.weight": np.zeros((1, 8)), "layers.0.bias": np.zeros(1)}, "linear layers alone"),
        ({"weight": np.array([{}]), "bias": np.zeros(1)}, "damaged or of another kind"),
        ({"weight": np.zeros(9 << 20), "bias": np.zeros(1)}, "no head"),
    ],
)
def test_what_is_no_head_is_refused(tmp_path: Path, arrays: dict[str, NDArray[np.generic]], said: str) -> None:
    np.savez_compressed(tmp_path / "head.npz", **arrays)
    with pytest.raises(UsageError, match=said):
        read_head(tmp_path / "head.npz", "head")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int8])
def test_a_head_of_any_kind_of_number_is_read(tmp_path: Path, kind: torch.dtype) -> None:
    from safetensors.torch import save_file

    weight, bias = torch.arange(4.0).reshape(1, 4), torch.tensor([5.0])
    save_file({"weight": weight.to(kind), "bias": bias.to(kind)}, tmp_path / "head.safetensors")
    head = read_head(tmp_path / "head.safetensors", "head")
    assert (head.weight.tolist(), head.bias) == ([0.0, 1.0, 2.0, 3.0], 5.0)


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)})
    with ZipFile(tmp_path / "head.npz", "w") as archive:
        archive.writestr("weight.npy", claim.getvalue())
        archive.writestr("bias.npy", claim.getvalue())
    with pytest.raises(UsageError, match="damaged"):
        read_head(tmp_path / "head.npz", "head")


def test_a_torn_head_is_refused(files: Files, tmp_path: Path) -> None:
    for name in ("head.npz", "head.safetensors"):
        (tmp_path / name).write_bytes(files.head.read_bytes()[:100])
        with pytest.raises(UsageError, match="damaged"):
            read_head(tmp_path / name, "head")


# --- sets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn objects that nobody has scored."""
    out = tmp_path_factory.mktemp("sets") / "drawn"
    sources = "sources=[{type: procedural, n: 6, classes: [heart, star]}]"
    made = factory_here(
        "build-green100k", "--set", sources, "--set", "size=48", "--shard-size", "4", "--out", out, *LOCAL
    )
    assert made.code == 0, made.err
    return out


def asked_of(files: Files) -> tuple[str | Path, ...]:
    return ("--clip", files.clip, "--aesthetic-head", files.head, "--safety-checker", files.checker)


def filtered(data: Path, out: Path, *more: str | Path) -> Ended:
    return factory_here("filter", data, "--out", out, *LOCAL, *more)


def test_filter_scores_a_set_that_nobody_has_scored(files: Files, plain_set: Path, tmp_path: Path) -> None:
    assert not set(ASKED_SCORES) & set(pq.read_schema(plain_set / "manifest.parquet").names)
    assert not set(ASKED_SCORES) & factory.open(plain_set)[0].meta["scores"].keys()
    assert filtered(plain_set, tmp_path / "scored", *asked_of(files)).code == 0
    assert factory_here("verify", tmp_path / "scored").code == 0
    table = pq.read_table(tmp_path / "scored" / "manifest.parquet")
    for name in ASKED_SCORES:
        assert min(table[name].to_pylist()) >= 0
    middle = sorted(table["aesthetic"].to_pylist())[3]
    assert "aesthetic score on the screen" in (tmp_path / "scored" / "report" / "index.html").read_text()
    assert "aesthetic score" not in (plain_set / "report" / "index.html").read_text()
    # What is told once stays with the set.
    best = filtered(tmp_path / "scored", tmp_path / "best", "--set", f"gates.aesthetic_min={middle}")
    assert best.code == 0, best.err
    kept = pq.read_table(tmp_path / "best" / "manifest.parquet")
    assert kept["status"].to_pylist().count("accepted") == 3
    assert "the object's aesthetic score on grey is" in next(text for text in kept["detail"].to_pylist() if text)
    assert kept["unsafe_screen"].to_pylist() == table["unsafe_screen"].to_pylist()
    # Another matte has other scores.
    assert factory_here("refine", tmp_path / "scored", "--out", tmp_path / "anew", *LOCAL).code in (0, 1)
    assert "aesthetic" not in pq.read_schema(tmp_path / "anew" / "manifest.parquet").names
    # Without its plan and records it is the same set.
    (tmp_path / "scored" / "plan.json").unlink()
    assert filtered(tmp_path / "scored", tmp_path / "handed_on", "--set", "gates.unsafe_max=1").code == 0
    assert factory.open(tmp_path / "handed_on")[0].meta["scores"]["aesthetic"] > 0


def test_a_sets_scores_do_not_depend_on_the_batch(files: Files, plain_set: Path, tmp_path: Path) -> None:
    for batch in (3, 4):
        made = filtered(plain_set, tmp_path / str(batch), *asked_of(files), "--set", f"batch={batch}")
        assert made.code == 0, made.err
    three, four = (pq.read_table(tmp_path / name / "manifest.parquet") for name in ("3", "4"))
    for name in ASKED_SCORES:
        assert three[name].equals(four[name])


def test_another_file_under_the_same_name_is_refused_on_resume(plain_set: Path, tmp_path: Path) -> None:
    clip, head = write_clip(tmp_path / "clip"), write_head(tmp_path / "head.npz")
    flags = ("--clip", clip, "--aesthetic-head", head)
    assert filtered(plain_set, tmp_path / "out", *flags).code == 0
    write_clip(clip, seed=5)
    refused = filtered(plain_set, tmp_path / "out", *flags)
    assert refused.code == 2
    assert f"clip changed since {tmp_path / 'out'} was begun: restore it" in refused.sentence


def test_a_gate_on_what_nobody_scores_is_refused(files: Files, plain_set: Path, tmp_path: Path) -> None:
    refused = filtered(plain_set, tmp_path / "out", "--clip", files.clip, "--set", "gates.unsafe_max=0.5")
    assert refused.code == 2
    assert "gates.unsafe_max asks for a score that is not measured" in refused.sentence


def test_files_that_do_not_fit_are_refused_at_planning(files: Files, plain_set: Path, tmp_path: Path) -> None:
    wide = write_head(tmp_path / "wide.npz", WIDTH + 1)
    mute = write_clip(tmp_path / "mute")
    (mute / "vocab.json").unlink()
    few = write_clip(tmp_path / "few")
    (few / "vocab.json").write_text(json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1}))
    for flags, said in (
        (("--aesthetic-head", files.head), "name its folder with --clip"),
        (("--clip", files.clip, "--aesthetic-head", wide), "reads embeddings of 9 numbers"),
        (("--clip", tmp_path / "none"), "there is no such folder, and nothing is downloaded unasked"),
        (("--clip", files.checker), "is no CLIP with both of its encoders"),
        (("--clip", mute), "has no tokenizer"),
        (("--clip", few), "its tokenizer is not that of its text encoder"),
        (("--safety-checker", files.clip), "is no safety checker"),
    ):
        refused = filtered(plain_set, tmp_path / "out", *flags)
        assert refused.code == 2
        assert said in refused.sentence
    assert not (tmp_path / "out").exists()


def test_half_weights_alone_are_found(files: Files, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip")
    (clip / "model.safetensors").rename(clip / "model.fp16.safetensors")
    assert torch.equal(Clip(clip, CPU).texts(("a cat",)), Clip(files.clip, CPU).texts(("a cat",)))


@pytest.mark.parametrize("config", [{"model_type": "clip", "text_config": {"hidden_size": "wide"}}, [1], {"a": 1}])
def test_a_configuration_that_makes_no_clip_is_refused_at_planning(tmp_path: Path, config: Any) -> None:
    clip = write_clip(tmp_path / "clip")
    (clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"makes no CLIP|values by name|is no CLIP"):
        check_clip(clip, "clip")


def test_a_made_up_tokenizer_beside_the_words_is_refused(tmp_path: Path) -> None:
    """Transformers reads tokenizer.json first."""
    clip = write_clip(tmp_path / "clip")
    made_up(clip)
    with pytest.raises(UsageError, match="is not that of its text encoder"):
        check_tokenizer(clip, "clip")
    with pytest.raises(UsageError, match="knows 2 tokens only"):
        Clip(clip, CPU).texts(("a cat",))


def test_weights_that_are_missing_are_not_made_up(files: Files, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    clip = write_clip(tmp_path / "clip")
    weights = load_file(clip / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, clip / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"text_projection\.weight"):
        Clip(clip, CPU)


def test_words_that_the_encoder_does_not_know_are_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip")
    words = CLIPTokenizer.from_pretrained(clip)
    words.add_tokens(["<cat-toy>"])
    words.save_pretrained(clip)
    with pytest.raises(UsageError, match="its text encoder knows"):
        Clip(clip, CPU).texts(("a cat",))


def test_generated_samples_are_scored_and_gated(files: Files, tmp_path: Path) -> None:
    made = factory_here(
        *("generate", "--n", "2", "--batch", "2", "--steps", "4", "--max-attempts", "2", "--out", tmp_path / "out"),
        *(*asked_of(files), "--set", "gates.unsafe_max=0", *LOCAL),
    )
    assert made.code in (0, 1), made.err
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet")
    assert rows.num_rows >= 2
    assert all(value >= 0 for name in ASKED_SCORES for value in rows[name].to_pylist())
