"""A made matte says how far it may be trusted: pixel by pixel, and in a number for gates, reports and trainers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_screens import disc, flat, noisy
from test_key_job import before, keyed
from test_on_screen import object_at, paint

from factory.engine.plan import read_plan
from factory.equation import constant_plate
from factory.greenscreen.compositing import as_levels, composite
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.jobs.key import GATES
from factory.quality.gates import GateSettings, judge
from factory.quality.label_error import label_error, predicted, signs
from factory.quality.scores import ScoreSettings, score
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import Origin, Rejection, Request, Sample
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout
from factory.trust import HALF, SURE, TRUST, as_trust, deviation_of, weight_of

REQUEST, KEYED = Request(key="0000000000", slot=0, attempt=0, seed=5), Origin(kind="keyed", key_rgb=(0, 255, 0))


def made(alpha: np.ndarray, deviation: np.ndarray | None = None, **changes: object) -> Sample:
    """A red thing on pure green with this matte in 0..1."""
    matte = as_levels(alpha)
    foreground = np.full((*matte.shape, 3), (200, 40, 60), np.uint8)
    picture = composite(foreground / np.float32(255), matte / np.float32(255), np.array([0, 1, 0], np.float32))
    layers = {} if deviation is None else {TRUST: as_trust(deviation)}
    sample = Sample(
        request=REQUEST,
        origin=KEYED,
        rgb=as_levels(picture),
        alpha=matte,
        foreground=foreground,
        plate=constant_plate((0, 255, 0)),
        layers=layers,
    )
    return replace(sample, **changes)  # type: ignore[arg-type]


def test_levels_of_trust_are_finest_where_most_of_a_matte_lies() -> None:
    deviation = np.linspace(0, 1, 1001, dtype=np.float32)
    again = deviation_of(as_trust(deviation))
    assert np.abs(np.sqrt(again) - np.sqrt(deviation)).max() <= 0.5 / 255 + 1e-6
    assert as_trust(np.array([0, 1 / 255, 0.25, 1, 7], np.float32)).tolist() == [SURE, 239, 128, 0, 0]


def test_a_matte_in_pieces_with_holes_or_doubt_is_worse_than_a_whole_one() -> None:
    whole, quiet = disc(), np.zeros(disc().shape, np.float32)
    holed, crumbs, doubted = whole.copy(), whole.copy(), quiet.copy()
    holed[110:130, 150:170] = 0.2
    crumbs[5:15, 5:15] = 1
    doubted[disc(radius=0.35) > 0] = 0.2
    found = signs(made(whole, quiet))
    least = predicted(found)
    for worse in (made(crumbs, quiet), made(whole, doubted)):
        assert label_error(worse) > least
    assert signs(made(holed, quiet))["inside"] > found["inside"] + 0.01
    assert all(predicted({**found, name: value + 0.1}) >= predicted(found) for name, value in found.items())


def test_a_mask_or_picture_that_contradicts_the_matte_shows() -> None:
    shifted = as_levels(disc(x=0.65))
    whole = made(disc(), np.zeros(disc().shape, np.float32))
    assert signs(replace(whole, coarse=shifted))["mask"] > 0.1
    assert signs(whole)["mask"] == 0
    assert signs(replace(whole, rgb=np.roll(whole.rgb, 20, axis=1)))["residual"] > 0.1
    assert signs(whole)["residual"] < 0.01


def test_a_matte_that_was_given_has_no_such_score() -> None:
    given = made(disc(), origin=Origin(kind="composited"))
    assert score(given, ScoreSettings()).scores.label_error == -1
    assert score(made(disc()), ScoreSettings()).scores.label_error > 0
    made_anew = replace(given, layers={TRUST: np.full(disc().shape, SURE, np.uint8)})
    assert label_error(made_anew) > 0


def test_the_gate_is_off_unless_asked_for_and_names_its_number() -> None:
    spoilt = made(disc(), np.full(disc().shape, 0.5, np.float32))
    spoilt = score(spoilt, ScoreSettings())
    assert isinstance(judge(spoilt, GateSettings(key_distance_min=None)), Sample)
    verdict = judge(spoilt, GateSettings(key_distance_min=None, label_error_max=0.05))
    assert isinstance(verdict, Rejection)
    assert verdict.reason == "untrusted"
    assert "asked is at most 0.05" in verdict.detail


def test_samples_count_less_the_less_their_mattes_are_trusted() -> None:
    weights = weight_of(np.array([-1, 0, HALF / 3, HALF, 1.0]))
    assert weights[0] == weights[1] == 1
    assert weights[3] == pytest.approx(0.5)
    assert (np.diff(weights[1:]) < 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_trust_is_framed_as_its_matte_is(seed: int) -> None:
    """Where α and trust show the same shape before, they do so in the square."""
    picture, alpha = object_at(90, 120, frozenset({"left"} if seed % 2 else ()))
    alpha[20:60, 30:50] = 128
    framing = FramingSettings(size=64, wander=1.0)
    flush = frozenset({"left"}) if seed % 2 else frozenset()
    request = replace(REQUEST, seed=seed)
    sample = painted(request, KEYED, picture, alpha, framing, flush=flush, layers={TRUST: alpha})  # type: ignore[arg-type]
    plain = paint(picture, alpha, seed, framing, flush)  # type: ignore[arg-type]
    assert sample.alpha is not None
    assert plain.alpha is not None
    assert np.array_equal(sample.alpha, plain.alpha)
    inside = sample.alpha > 0
    assert np.abs(sample.layers[TRUST][inside].astype(int) - sample.alpha[inside]).max() <= 1


def test_greenpost_doubts_where_mask_and_colours_contradict_each_other() -> None:
    truth = disc()
    picture = as_levels(noisy(composite(flat((60, 60, 160)), truth, flat((0, 255, 0))), 1))
    whole, coarse = REQUEST, as_levels(truth)
    sample = Sample(request=whole, origin=Origin(kind="generated"), rgb=picture, coarse=coarse)
    agreed = deviation_of(green_post(sample, GreenPostSettings()).layers[TRUST])
    assert agreed[(disc(radius=0.2) == 1) | (disc(radius=0.45) == 0)].max() == 0
    assert agreed[(truth > 0.2) & (truth < 0.8)].min() > 0
    blind = as_levels(np.where(np.arange(truth.shape[1]) < truth.shape[1] // 2, truth, np.float32(0)))
    doubted = deviation_of(green_post(replace(sample, coarse=blind), GreenPostSettings()).layers[TRUST])
    assert doubted[:, 190:210][truth[:, 190:210] == 1].mean() > 0.2


# --- in sets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(before((70, 160, 80), number)).save(folder / f"{number}.png")
    return folder


def test_a_set_stores_the_score_and_if_asked_the_map(pictures: Path, tmp_path: Path) -> None:
    plain, told = tmp_path / "plain", tmp_path / "told"
    assert keyed(pictures, plain) == 0
    assert keyed(pictures, told, "--trust") == 0
    for root in (plain, told):
        samples = DataSet(root)
        scores = samples.manifest["label_error"].to_numpy()
        assert (scores > 0).all()
        assert [sample.meta["scores"]["label_error"] for sample in samples] == pytest.approx(scores, abs=1e-4)
        assert np.allclose(samples[1:].weights, weight_of(scores[1:]), atol=1e-3)
        assert "Least trusted" in (root / "report" / "index.html").read_text(encoding="utf-8")
    assert "trust" not in DataSet(plain)[0].pictures
    shown = DataSet(told)[0]
    trust = shown.pictures["trust"]
    assert trust.shape == shown.alpha.shape
    assert trust[(shown.alpha > 50) & (shown.alpha < 200)].max() < SURE
    assert trust[:4].min() == SURE


def test_a_set_that_was_begun_before_the_gate_goes_on_without_it(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert keyed(pictures, out, "--set", "gates.label_error_max=null") == 0
    plan = Layout(out).plan.read_bytes()
    assert b"label_error_max" not in plan, "as plans of earlier versions"
    assert keyed(pictures, out) == 0
    assert Layout(out).plan.read_bytes() == plan
    assert keyed(pictures, tmp_path / "new") == 0
    assert read_plan(Layout(tmp_path / "new").plan).settings["gates"]["label_error_max"] == GATES.label_error_max
