"""Scores say what they mean, gates reject what is broken and name the reason."""

from dataclasses import fields, replace

import broken_set as bench
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from factory.equation import constant_plate
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.compositing import as_levels, as_unit, paint_on_screen
from factory.greenscreen.gsg import gsg
from factory.quality.gates import GateSettings, NearDuplicates, judge
from factory.quality.key_distance import key_distance, share_within
from factory.quality.phash import earlier_hash, perceptual_hash
from factory.quality.scores import ScoreSettings, agreement, border, green_residue, score
from factory.sample import HASH_BITS, Matte, Origin, Picture, Rejection, Request, Sample, Scores

SIDE = 96
GATES = GateSettings()


def blob(side: int, seed: int) -> tuple[Picture, NDArray[np.uint8]]:
    """A soft-edged, coloured, off-centre object without the key colours: foreground and alpha."""
    random = np.random.default_rng(seed)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    cx, cy, rx, ry = (*random.uniform(0.42, 0.58, 2), *random.uniform(0.12, 0.3, 2))
    distance = np.hypot((x - cx) / rx, (y - cy) / ry)
    alpha = np.clip((1 - distance) * 8, 0, 1)
    a, b = random.uniform(60, 160, (2, 3))
    a[1] = b[1] = 70
    colour = a + (b - a) * np.dstack([x, y, x * y])
    return colour.round().astype(np.uint8), as_levels(alpha)


def sample_of(foreground: Picture, alpha: NDArray[np.uint8], key: KeyName = "green") -> Sample:
    screen = KEY_COLOURS[key]
    return Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="composited", key_rgb=screen),
        rgb=paint_on_screen(foreground, alpha, screen),
        coarse=np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.01 * len(alpha)), np.uint8),
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(screen),
    )


def generated(sample: Sample) -> Sample:
    return replace(sample, origin=replace(sample.origin, kind="generated"))


def scored(sample: Sample) -> Sample:
    return score(sample, ScoreSettings())


def values(scores: Scores) -> dict[str, float]:
    return {f.name: getattr(scores, f.name) for f in fields(scores)}


# ---- GSG


@given(colour=st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=20, deadline=None)
def test_gsg_of_a_plain_screen_is_its_distance_from_the_key(colour: tuple[int, int, int]) -> None:
    picture = np.full((20, 30, 3), colour, np.uint8)
    assert gsg(picture, (0, 255, 0)) == pytest.approx(np.linalg.norm(np.array(colour) - (0, 255, 0)), abs=1e-6)


def striped(*shares: tuple[tuple[int, int, int], int]) -> Picture:
    """A picture of 100 columns: so many of each colour."""
    return np.asarray(np.concatenate([np.full((50, count, 3), colour, np.uint8) for colour, count in shares], 1))


@pytest.mark.parametrize(
    ("screen", "distance"),
    [((0, 255, 0), 0.0), ((0, 177, 64), 10_180**0.5), ((30, 215, 80), 8_900**0.5)],  # √(ΔR² + ΔG² + ΔB²), by hand
)
def test_gsg_is_the_distance_of_the_largest_colour_whatever_the_object_covers(
    screen: tuple[int, int, int], distance: float
) -> None:
    """Objects of four colours that cover 4 % and 72 % of the picture, of none as much as the screen does."""
    object_colours = ((200, 30, 40), (250, 240, 230), (20, 20, 90), (120, 60, 0))
    for each in (1, 18):
        picture = striped((screen, 100 - 4 * each), *((colour, each) for colour in object_colours))
        assert gsg(picture, (0, 255, 0)) == pytest.approx(distance, abs=1e-6)


def test_gsg_takes_a_flat_object_that_is_larger_than_the_screen_for_it() -> None:
    """As Eq. 11 has it: from 50 % on the main colour is the object's, here √(200² + 225² + 40²) from the key."""
    for covered, distance in ((49, 0.0), (51, 92_225**0.5)):
        picture = striped(((0, 255, 0), 100 - covered), ((200, 30, 40), covered))
        assert gsg(picture, (0, 255, 0)) == pytest.approx(distance, abs=1e-6)


def flat_object(share: float, colour: tuple[int, int, int]) -> tuple[Picture, NDArray[np.uint8]]:
    """A disc of one colour that covers this share of the picture, with its alpha."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    alpha = as_levels(np.clip((np.sqrt(share / np.pi) - np.hypot(x, y)) * SIDE + 0.5, 0, 1))
    return np.full((SIDE, SIDE, 3), colour, np.uint8), alpha


@pytest.mark.parametrize("key", ["green", "blue", "magenta"])
@pytest.mark.parametrize("share", [0.05, 0.39, 0.5, 0.62, 0.75])
@pytest.mark.parametrize("known_by", ["coarse", "alpha"])
def test_the_screen_of_a_large_flat_object_is_judged_and_not_the_object(
    share: float, key: KeyName, known_by: str
) -> None:
    good = generated(sample_of(*flat_object(share, (160, 40, 30)), key))
    if known_by == "alpha":
        good = replace(good, coarse=None)
    of_the_object = float(np.linalg.norm(np.array((160, 40, 30)) - KEY_COLOURS[key]))
    good = scored(good)
    assert good.scores.gsg == pytest.approx(of_the_object if share > 0.5 else 0, abs=3)
    assert good.scores.gsg_screen == pytest.approx(0, abs=0.1)
    assert judge(good, GATES) is good


@pytest.mark.parametrize("share", [0.05, 0.39, 0.5, 0.62, 0.75])
@pytest.mark.parametrize("colour", [(160, 40, 30), (0, 230, 30)])
def test_a_tinted_screen_is_refused_whatever_stands_before_it(share: float, colour: tuple[int, int, int]) -> None:
    tint = (0, 220, 25)
    foreground, alpha = flat_object(share, colour)
    good = generated(sample_of(foreground, alpha))
    tinted = replace(good, rgb=paint_on_screen(foreground, alpha, tint), plate=constant_plate(tint), coarse=None)
    rejection = judge(scored(tinted), replace(GATES, green_residue_max=None))
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "gsg"
    assert "the screen's GSG (K = 5), its main colour's distance from the key is 43, asked is at" in rejection.detail


@given(seed=st.integers(0, 200), noise=st.floats(0, 3))
@settings(max_examples=20, deadline=None)
def test_where_the_screen_is_the_main_colour_both_numbers_are_alike(seed: int, noise: float) -> None:
    sample = sample_of(*blob(SIDE, seed))
    noisy = sample.rgb + np.random.default_rng(seed).normal(0, noise, sample.rgb.shape)
    scores = scored(replace(sample, rgb=noisy.round().clip(0, 255).astype(np.uint8))).scores
    assert scores.gsg_screen == pytest.approx(scores.gsg, abs=1)


# ---- scores


@pytest.mark.parametrize("key", ["green", "blue", "magenta"])
def test_a_good_sample_has_good_scores_on_every_screen(key: KeyName) -> None:
    foreground, alpha = blob(SIDE, 2)
    if key != "green":
        foreground[:] = (120, 125, 115)
    scores = scored(sample_of(foreground, alpha, key)).scores
    assert scores.gsg < 2
    assert scores.gsg_screen < 2
    assert scores.screen_spread < 0.1
    assert scores.coverage == pytest.approx(alpha.mean() / 255)
    assert scores.border == 0
    assert scores.agreement > 0.97
    assert scores.residual <= 0.5
    assert scores.green_residue < 0.02


@given(seed=st.integers(0, 200), turns=st.integers(0, 3), mirror=st.sampled_from([1, -1]))
@settings(max_examples=15, deadline=None)
def test_turning_and_mirroring_do_not_change_the_scores(seed: int, turns: int, mirror: int) -> None:
    foreground, alpha = blob(SIDE, seed)

    def turned(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(picture, turns)[:, ::mirror])

    one = values(scored(sample_of(foreground, alpha)).scores)
    other = values(scored(sample_of(turned(foreground), turned(alpha))).scores)
    assert other == pytest.approx(one, abs=0.05)


@given(seed=st.integers(0, 200))
@settings(max_examples=10, deadline=None)
def test_scaling_does_not_change_the_scores(seed: int) -> None:
    one = values(scored(sample_of(*blob(SIDE, seed))).scores)
    other = values(scored(sample_of(*blob(3 * SIDE, seed))).scores)
    assert abs(other.pop("key_distance") - one.pop("key_distance")) <= 2  # of 441, told in whole levels
    assert other == pytest.approx(one, abs=0.6)
    for name in ("coverage", "border", "agreement", "green_residue"):
        assert other[name] == pytest.approx(one[name], abs=0.02)


def test_what_a_mask_of_parts_leaves_out_of_the_object_is_no_fault_of_the_screen() -> None:
    foreground, alpha = blob(SIDE, 2)
    parts = replace(sample_of(foreground, alpha), coarse=np.where(np.arange(SIDE) < SIDE // 2, alpha, np.uint8(0)))
    assert scored(parts).scores.screen_spread > 4
    assert score(parts, ScoreSettings(covers=False)).scores.screen_spread < 0.1


def test_what_cannot_be_scored_is_minus_one() -> None:
    foreground, alpha = blob(SIDE, 3)
    whole = sample_of(foreground, alpha)
    bare = scored(replace(whole, coarse=None, alpha=None, foreground=None, plate=()))
    assert bare.scores == Scores(gsg=bare.scores.gsg)
    assert bare.scores.gsg >= 0
    assert bare.phash == ""
    stored = scored(replace(whole, coarse=None)).scores
    assert stored.agreement == -1
    assert stored.screen_spread == pytest.approx(0)
    assert scored(replace(whole, plate=())).scores.residual == -1


def test_scoring_twice_gives_the_same() -> None:
    sample = sample_of(*blob(SIDE, 4))
    one, other = scored(sample), scored(scored(sample))
    assert one.scores == other.scores
    assert one.phash == other.phash


def test_border_is_the_share_of_the_ring_that_is_covered() -> None:
    alpha = np.zeros((50, 50), np.uint8)
    alpha[-10:, :] = 255
    assert border(alpha) == pytest.approx((50 + 2 * 9) / 196)


def test_agreement_forgives_a_pixel_but_not_another_place() -> None:
    _, alpha = blob(SIDE, 5)
    assert agreement(alpha, alpha, 8) == 1
    assert agreement(alpha, np.roll(alpha, 1, axis=0), 8) > 0.98
    assert agreement(alpha, np.roll(alpha, SIDE // 4, axis=0), 8) < 0.6
    assert agreement(alpha, 255 - alpha, 8) < 0.2
    assert agreement(np.zeros_like(alpha), np.zeros_like(alpha), 8) == 1


def test_green_residue_counts_what_is_visible() -> None:
    foreground = np.full((10, 10, 3), 100, np.uint8)
    foreground[:, :5] = (0, 255, 0)
    alpha = np.full((10, 10), 255, np.uint8)
    assert green_residue(foreground, alpha, (0, 255, 0)) == pytest.approx(0.5)
    alpha[:, :5] = 0
    assert green_residue(foreground, alpha, (0, 255, 0)) == 0


# ---- objects in the screen's colour


@pytest.mark.parametrize(
    ("colour", "key", "distance"),
    [
        ((0, 255, 0), "green", 0),
        ((0, 255, 0), "blue", 361),
        ((128, 128, 128), "green", 221),
        ((255, 0, 200), "magenta", 55),
    ],
)
def test_key_distance_of_a_plain_object_is_its_distance_from_the_key(
    colour: tuple[int, int, int], key: KeyName, distance: int
) -> None:
    foreground = np.broadcast_to(np.array(colour, np.uint8), (40, 50, 3))
    assert key_distance(foreground, np.full((40, 50), 200, np.uint8), KEY_COLOURS[key]) == distance


@given(share=st.floats(0, 0.3))
@settings(max_examples=20, deadline=None)
def test_key_distance_looks_at_the_nearest_twentieth_weighted_by_alpha(share: float) -> None:
    foreground = np.full((100, 100, 3), 90, np.uint8)
    alpha = np.full((100, 100), 255, np.uint8)
    green = round(share * 100)
    foreground[:green] = (0, 250, 0)
    near = key_distance(foreground, alpha, KEY_COLOURS["green"])
    assert near == (5 if green >= 5 else 208)
    alpha[:green] = 0
    assert key_distance(foreground, alpha, KEY_COLOURS["green"]) == 208
    assert share_within(foreground, alpha, KEY_COLOURS["green"], 128) == 0


def test_key_distance_of_a_large_object_is_told_from_some_of_its_pixels() -> None:
    foreground, alpha = blob(64, 3)
    large = (np.kron(foreground, np.ones((8, 8, 1), np.uint8)), np.kron(alpha, np.ones((8, 8), np.uint8)))
    small = key_distance(foreground, alpha, KEY_COLOURS["green"])
    assert key_distance(*large, KEY_COLOURS["green"]) == pytest.approx(small, abs=2)
    assert key_distance(foreground, np.zeros_like(alpha), KEY_COLOURS["green"]) == -1


@pytest.mark.parametrize("colour", [(0, 230, 20), (40, 200, 60), (34, 139, 34)])
def test_a_green_object_is_rejected_and_told_the_screen_that_keeps_it(colour: tuple[int, int, int]) -> None:
    foreground, alpha = blob(SIDE, 11)
    foreground[:] = colour
    rejection = judge(scored(sample_of(foreground, alpha)), GATES)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "near_key"
    others: dict[KeyName, float] = {
        name: key_distance(foreground, alpha, screen) for name, screen in KEY_COLOURS.items() if name != "green"
    }
    best = max(others, key=others.__getitem__)
    numbers = [f"{name} {distance:.0f}" for name, distance in others.items()]
    assert f"with `key: {best}` it is far enough ({', '.join(numbers)})" in rejection.detail
    kept = sample_of(foreground, alpha, best)
    assert isinstance(judge(scored(kept), GATES), Sample)


def test_what_no_screen_can_keep_is_told_so() -> None:
    foreground, alpha = blob(SIDE, 11)
    for band, colour in enumerate(KEY_COLOURS.values()):
        foreground[band::3] = colour
    rejection = judge(scored(sample_of(foreground, alpha)), GATES)
    assert isinstance(rejection, Rejection)
    assert "no other key is far enough either (blue 0, magenta 0)" in rejection.detail


def test_a_generated_object_is_not_judged_by_its_key_distance() -> None:
    foreground, alpha = blob(SIDE, 12)
    foreground[:] = (40, 200, 60)
    assert scored(generated(sample_of(foreground, alpha))).scores.key_distance == -1
    assert scored(sample_of(foreground, alpha)).scores.key_distance < 128


def test_an_object_that_was_set_on_its_screen_may_be_flush_with_a_side() -> None:
    foreground, alpha = blob(SIDE, 13)
    alpha = np.roll(alpha, SIDE - int(np.flatnonzero(alpha.any(axis=1))[-1]) - 1 + SIDE // 12, axis=0)
    alpha[: SIDE // 2] = 0
    sample = scored(sample_of(foreground, alpha))
    assert sample.scores.border > GATES.border_max
    assert judge(sample, GATES) is sample
    rejection = judge(generated(sample), GATES)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "cut"


# ---- near-duplicates


def hamming_distance(one: str, other: str) -> int:
    """Number of bits in which two hashes of hex digits differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_like_pictures_have_like_hashes_and_others_do_not() -> None:
    foreground, alpha = blob(SIDE, 6)
    one = perceptual_hash(foreground, alpha)
    assert 4 * len(one) == HASH_BITS
    noisy = np.clip(foreground + np.random.default_rng(0).normal(0, 3, foreground.shape), 0, 255).astype(np.uint8)
    assert hamming_distance(one, perceptual_hash(noisy, alpha)) <= 4
    larger = (np.asarray(cv2.resize(p, (2 * SIDE, 2 * SIDE)), np.uint8) for p in (foreground, alpha))
    assert hamming_distance(one, perceptual_hash(*larger)) <= 4
    recoloured = np.ascontiguousarray(foreground[..., ::-1])
    assert hamming_distance(one, perceptual_hash(recoloured, alpha)) > 4
    others = [perceptual_hash(*blob(SIDE, seed)) for seed in range(20, 60)]
    assert np.mean([hamming_distance(one, other) <= 4 for other in others]) < 0.05


def turned(picture: np.ndarray, degrees: float, share: float) -> np.ndarray:
    """The uppermost part of an object turned about its neck, which is a head to it."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    reach = np.clip(1 - np.hypot(y - 0.3 * height, x - 0.5 * width) / (share * height), 0, 1)
    angle = np.radians(degrees) * np.minimum(2 * reach, 1)
    u, v = x - 0.5 * width, y - 0.3 * height
    across = np.cos(angle) * u - np.sin(angle) * v + 0.5 * width
    down = np.sin(angle) * u + np.cos(angle) * v + 0.3 * height
    return np.asarray(cv2.remap(picture, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR))


def beast(side: int = 256) -> tuple[Picture, Matte]:
    """A body, a head with a mane, two eyes and an open mouth."""
    picture, alpha = np.full((side, side, 3), 128, np.uint8), np.zeros((side, side), np.uint8)
    for centre, axes, colour in (
        ((0.5, 0.72), (0.3, 0.22), (190, 140, 70)),
        ((0.5, 0.34), (0.24, 0.24), (110, 70, 30)),
        ((0.5, 0.35), (0.15, 0.17), (205, 160, 90)),
        ((0.44, 0.3), (0.03, 0.03), (20, 20, 20)),
        ((0.56, 0.3), (0.03, 0.03), (20, 20, 20)),
        ((0.5, 0.44), (0.06, 0.045), (60, 10, 20)),
    ):
        place, size = (tuple(round(v * side) for v in pair) for pair in (centre, axes))
        cv2.ellipse(picture, place, size, 0, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, place, size, 0, 0, 360, 255, -1, cv2.LINE_AA)
    return picture, alpha


def test_a_head_that_turns_is_no_duplicate_and_the_same_frame_coded_anew_is() -> None:
    foreground, alpha = beast()
    one, before = perceptual_hash(foreground, alpha), earlier_hash(foreground, alpha)
    moved = turned(foreground, 10, 0.4), turned(alpha, 10, 0.4)
    assert hamming_distance(one, perceptual_hash(*moved)) > GateSettings().duplicate_distance
    assert hamming_distance(before, earlier_hash(*moved)) <= 4, "which the hash of earlier sets does not see"
    for quality in (95, 75):
        coded = cv2.imdecode(cv2.imencode(".jpg", foreground, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        assert hamming_distance(one, perceptual_hash(np.asarray(coded, np.uint8), alpha)) <= 4
    nudged = np.clip(foreground.astype(int) + 2, 0, 255).astype(np.uint8)
    assert hamming_distance(one, perceptual_hash(nudged, alpha)) <= 4


def test_the_hash_does_not_see_the_padding_under_alpha_zero() -> None:
    foreground, alpha = blob(SIDE, 7)
    padded = np.where(alpha[..., None] > 0, foreground, 255).astype(np.uint8)
    assert perceptual_hash(foreground, alpha) == perceptual_hash(padded, alpha)


def test_the_first_of_two_alike_is_admitted_and_named() -> None:
    first = scored(sample_of(*blob(SIDE, 8)))
    second = replace(first, request=replace(first.request, key="0000000001"))
    admit = NearDuplicates(GATES)
    assert admit(first) is None
    refused = admit(second)
    assert isinstance(refused, Rejection)
    assert refused.reason == "duplicate"
    assert "0000000000" in refused.detail
    assert admit(scored(sample_of(*blob(SIDE, 9)))) is None
    assert NearDuplicates(GATES)(second) is None  # every shard has its own memory


def test_the_earliest_within_the_distance_is_named_and_below_zero_all_are_admitted() -> None:
    hashes = ["ffff000000000000", "0000000000000000", "000000000000000f", "0000000000000003", "8000000000000001"]
    given = sample_of(*blob(SIDE, 8))
    samples = [replace(given, phash=h, request=replace(given.request, key=f"{n:010d}")) for n, h in enumerate(hashes)]
    admit = NearDuplicates(GateSettings(duplicate_distance=3))
    told = [verdict.detail if (verdict := admit(sample)) else "" for sample in samples]
    assert told[:3] == ["", "", ""]
    assert "0000000001: their perceptual hashes differ in 2 of 64 bits" in told[3]
    assert "0000000001: their perceptual hashes differ in 2 of 64 bits" in told[4]
    all_welcome = NearDuplicates(GateSettings(duplicate_distance=-1))
    assert [all_welcome(sample) for sample in (*samples, *samples)] == [None] * 10


# ---- gates


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"gsg_screen": 20.5}, "gsg"),
        ({"coverage": 0.001}, "empty"),
        ({"coverage": 0.95}, "too_full"),
        ({"green_residue": 0.3}, "green_residue"),
        ({"screen_spread": 9.0}, "screen_uneven"),
        ({"agreement": 0.4}, "disagreement"),
        ({"residual": 30.0}, "residual"),
        ({"border": 0.1}, "cut"),
        ({"key_distance": 90.0}, "near_key"),
    ],
)
def test_each_gate_rejects_with_its_reason_and_the_numbers(changed: dict[str, float], reason: str) -> None:
    good = generated(scored(sample_of(*blob(SIDE, 10))))
    assert judge(good, GATES) is good
    rejection = judge(replace(good, scores=replace(good.scores, **changed)), GATES)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == reason
    (value,) = changed.values()
    assert f"{value:.3g}" in rejection.detail
    unknown = replace(good, scores=replace(good.scores, **dict.fromkeys(changed, -1.0)))
    assert judge(unknown, GATES) is unknown


@given(
    scores=st.builds(
        Scores,
        gsg=st.floats(-1, 60),
        gsg_screen=st.floats(-1, 60),
        screen_spread=st.floats(-1, 12),
        coverage=st.floats(-1, 1),
        border=st.floats(-1, 1),
        agreement=st.floats(-1, 1),
        residual=st.floats(-1, 40),
        green_residue=st.floats(-1, 1),
        key_distance=st.floats(-1, 441),
    ),
    slack=st.floats(0, 0.5),
)
def test_wider_gates_reject_nothing_more(scores: Scores, slack: float) -> None:
    sample = replace(sample_of(*blob(16, 0)), scores=scores)
    wide = GateSettings(
        gsg_max=GATES.gsg_max + slack,
        spread_max=GATES.spread_max + slack,
        coverage_min=GATES.coverage_min - slack,
        coverage_max=GATES.coverage_max + slack,
        border_max=GATES.border_max + slack,
        agreement_min=GATES.agreement_min - slack,
        residual_max=GATES.residual_max + slack,
        green_residue_max=GATES.green_residue_max + slack,
        key_distance_min=GATES.key_distance_min - slack,
        flush_max=GATES.flush_max + slack,
    )
    if judge(sample, GATES) is sample:
        assert judge(sample, wide) is sample
    if isinstance(judge(sample, wide), Rejection):
        assert isinstance(judge(sample, GATES), Rejection)


# ---- broken on purpose


def test_broken_samples_are_rejected_for_the_right_reason_and_whole_ones_pass() -> None:
    things = [
        bench.Thing(as_unit(drawn.foreground), as_unit(drawn.alpha))
        for drawn in (bench.render(bench.CLASSES[i], i, 64, bench.VANISHING["green"]) for i in range(0, 60, 5))
    ]
    for i, thing in enumerate(things):
        assert bench.verdict(bench.whole(thing, np.random.default_rng(i))) == "accepted"
    for fault in bench.FAULTS:
        reasons = [bench.verdict(fault.make(thing, np.random.default_rng([1, i]))) for i, thing in enumerate(things)]
        assert reasons.count("accepted") <= 1, fault.name
        assert sum(reason in fault.reasons for reason in reasons) >= len(things) - 2, (fault.name, reasons)
    assert bench.duplicates(things)["duplicate"] >= len(things) - 1
