"""Procedural objects: exact coverage, colour everywhere, captions that say what is seen."""

import cv2
import numpy as np
import pytest

from factory.equation import residual
from factory.errors import UsageError
from factory.sample import DRAWN, Request, Sample
from factory.sources.procedural.palette import COLOURS
from factory.sources.procedural.render import CLASSES, VOCABULARY, Rendered, render
from factory.sources.procedural.source import ProceduralObjects, ProceduralSettings
from factory.sources.procedural.textures import textured

TRANSLUCENT = ("bottle", "bubble", "jellyfish", "light bulb", "wine glass", "flame", "smoke")


def _request(slot: int, seed: int) -> Request:
    return Request(key=f"{slot:010d}", slot=slot, attempt=0, seed=seed)


def _samples(settings: ProceduralSettings, n: int) -> list[Sample]:
    made = ProceduralObjects(settings)([_request(i, 7919 * i + 1) for i in range(n)])
    return [s for s in made if isinstance(s, Sample)]


@pytest.fixture(scope="module")
def one_of_each() -> list[Rendered]:
    return [render(name, seed, 64) for name in CLASSES for seed in (0, 1)]


def test_there_are_enough_classes_and_words() -> None:
    assert len(CLASSES) >= 28
    assert len(VOCABULARY) <= 120
    assert list(VOCABULARY) == sorted(set(VOCABULARY))


def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before() -> None:
    for name in CLASSES:
        first = render(name, 5, 48)
        render(CLASSES[0], 6, 40)
        again = render(name, 5, 48)
        assert first.alpha.tobytes() == again.alpha.tobytes()
        assert first.foreground.tobytes() == again.foreground.tobytes()
        assert first.caption == again.caption


def test_other_seeds_give_other_objects() -> None:
    for name in CLASSES:
        assert len({render(name, seed, 32).foreground.tobytes() for seed in range(4)}) == 4


@pytest.mark.parametrize(
    "name", ["gear", "key", "star", "mug", "spring", "bicycle wheel", "scissors", "balloon", "doily"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_coverage_agrees_with_64_times_finer_supersampling(name: str, seed: int) -> None:
    """The same object at eight times the size has 64×64 fine samples in each small pixel."""
    coarse = render(name, seed, 64).alpha.astype(np.float64)
    fine = render(name, seed, 512).alpha
    reference = cv2.resize(fine.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    error = np.abs(coarse - reference)
    assert error.max() <= 255 / 12
    assert error[(reference > 0) & (reference < 255)].mean() <= 255 / 64
    assert abs((coarse - reference).sum()) / reference.sum() <= 0.004


@pytest.mark.parametrize("name", ["feather", "pompom", "spider web", "wig", "spinning fan", "smoke", "bubble"])
def test_thin_and_soft_objects_keep_their_coverage_at_every_size(name: str) -> None:
    coarse = render(name, 3, 64).alpha.astype(np.float64)
    reference = cv2.resize(render(name, 3, 512).alpha.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(coarse - reference).mean() <= 1.5
    assert abs((coarse - reference).sum()) / reference.sum() <= 0.02


def test_every_object_is_whole_and_has_both_full_screen_and_itself(one_of_each: list[Rendered]) -> None:
    for r in one_of_each:
        border = np.concatenate([r.alpha[0], r.alpha[-1], r.alpha[:, 0], r.alpha[:, -1]])
        assert border.max() == 0, r.caption
        assert r.alpha.max() >= 150, r.caption
        assert 0.02 <= (r.alpha > 0).mean() <= 0.9, r.caption


def test_opaque_classes_reach_255_and_translucent_ones_are_fractional_inside() -> None:
    for name in CLASSES:
        alpha = render(name, 4, 128).alpha
        inside = cv2.erode((alpha > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if name in TRANSLUCENT:
            assert ((alpha > 10) & (alpha < 245))[inside].mean() > 0.3, name
        else:
            assert (alpha == 255).any(), name


def test_foreground_is_defined_everywhere_and_never_greener_than_the_object(one_of_each: list[Rendered]) -> None:
    for r in one_of_each:
        seen, beyond = r.foreground[r.alpha > 0], r.foreground[r.alpha == 0]
        assert (beyond >= seen.min(axis=0)).all(), r.caption
        assert (beyond <= seen.max(axis=0)).all(), r.caption
        red, green, blue = (r.foreground[r.alpha > 128].astype(int).mean(axis=0)).tolist()
        assert green <= max(red, blue) + 6, r.caption


def test_colour_goes_on_smoothly_beyond_the_edge() -> None:
    """Beside a white heart there is white, not black: resizing the foreground alone must not darken it."""
    seed = next(s for s in range(200) if render("heart", s, 32).caption == "a white heart")
    r = render("heart", seed, 64)
    rim = (cv2.dilate(r.alpha, np.ones((5, 5), np.uint8)) > 0) & (r.alpha == 0)
    assert r.foreground[rim].mean() > 150


def test_the_named_colour_dominates() -> None:
    """The median colour of what is opaque is nearest to a shade of the caption's colour, or of one akin to it."""
    akin = {
        "gold": {"yellow", "orange", "brown"},
        "brown": {"gold", "black"},
        "gray": {"white", "black"},
        "white": {"gray"},
        "yellow": {"gold"},
        "orange": {"gold"},
    }
    shades = np.array([0.7, 0.8, 0.9, 1.0])[:, None] * np.array(list(COLOURS.values()))[:, None]
    for name in ("heart", "star", "mug", "car", "umbrella", "gear", "cat", "key", "pompom", "hat"):
        for seed in range(12):
            r = render(name, seed, 64)
            if r.colour not in r.caption or any(word in r.caption for word in ("striped", "spotted")):
                continue
            median = np.median(r.foreground[r.alpha > 200].astype(np.float64), axis=0)
            nearest = list(COLOURS)[int(np.argmin(np.linalg.norm(shades - median, axis=2).min(axis=1)))]
            assert nearest in {r.colour} | akin.get(r.colour, set()), (r.caption, nearest, median)


def test_captions_use_the_vocabulary_and_name_class_and_colour() -> None:
    plain = 0
    for name in CLASSES:
        for seed in range(12):
            r = render(name, seed, 16)
            assert set(r.caption.split()) <= set(VOCABULARY)
            assert r.caption.endswith(name)
            assert r.colour in COLOURS
            plain += r.colour in r.caption.split()
    assert plain / (12 * len(CLASSES)) > 0.8


def test_small_and_large_are_drawn_as_said() -> None:
    extent: dict[str, list[float]] = {"small": [], "large": []}
    for seed in range(150):
        r = render("star", seed, 32)
        for word, sizes in extent.items():
            if word in r.caption.split():
                sizes.append(float(np.ptp(np.nonzero((r.alpha > 127).any(axis=0))) / 32))
    assert extent["small"]
    assert extent["large"]
    assert max(extent["small"]) < 0.6
    assert min(extent["large"]) > 0.7


def test_a_source_cycles_through_the_classes_and_obeys_the_equation() -> None:
    chosen = ("key", "bubble", "spider web")
    samples = _samples(ProceduralSettings(size=48, classes=chosen), 6)
    assert [s.origin.class_name for s in samples] == list(chosen) * 2
    for s in samples:
        assert s.alpha is not None
        assert s.foreground is not None
        assert residual(s.rgb, s.alpha, s.foreground, s.plate) <= 0.51
        assert (s.rgb[s.alpha == 0] == (0, 255, 0)).all()
        assert s.origin.licence == "CC0-1.0"
        assert s.origin.digital_source_type == DRAWN
        assert not s.origin.ai_generated


def test_objects_wander_but_stay_whole() -> None:
    centres = []
    for s in _samples(ProceduralSettings(size=64, classes=("star",), wander=1.0, margin=0.03), 30):
        assert s.alpha is not None
        assert s.alpha[[0, -1]].max() == 0
        assert s.alpha[:, [0, -1]].max() == 0
        y, x = np.nonzero(s.alpha)
        centres.append((y.mean(), x.mean()))
    assert np.std(centres, axis=0).min() > 2


def test_on_other_screens_the_colours_that_would_vanish_are_left_out() -> None:
    for s in _samples(ProceduralSettings(size=16, key="blue"), 3 * len(CLASSES)):
        assert not {"blue", "purple"} & set(s.origin.caption.split())
        assert s.origin.key_rgb == (0, 0, 255)


def test_unknown_classes_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="unicorn"):
        ProceduralSettings(classes=("unicorn",))
    with pytest.raises(UsageError, match="unicorn"):
        render("unicorn", 0, 32)


def test_a_texture_changes_colours_alone_and_no_caption_names_one() -> None:
    plain, painted = (_samples(ProceduralSettings(size=64, textured=share), len(CLASSES)) for share in (0.0, 1.0))
    for before, after in zip(plain, painted, strict=True):
        assert before.alpha is not None
        assert after.alpha is not None
        assert np.array_equal(before.alpha, after.alpha)
        assert before.origin.class_name == after.origin.class_name
        assert after.origin.class_name in after.origin.caption
        assert not set(after.origin.caption.split()) & (set(COLOURS) | {"striped", "spotted"})
        assert after.foreground is not None
        assert residual(after.rgb, after.alpha, after.foreground, after.plate) <= 0.51


def test_textures_vary_inside_an_object_and_keep_its_shade() -> None:
    drawn = render("mug", 3, 128)
    inside = drawn.alpha == 255
    painted = [textured(drawn.foreground, drawn.alpha, np.random.default_rng(seed)) for seed in range(12)]
    assert np.median([picture[inside].std(axis=0).mean() for picture in painted]) > 10
    assert not np.array_equal(painted[0], painted[1])
    shaded = drawn.foreground.astype(np.float32).mean(axis=2)[inside]
    mean = np.mean([picture.astype(np.float32).mean(axis=2) for picture in painted], axis=0)[inside]
    assert np.corrcoef(shaded, mean)[0, 1] > 0.3


def test_a_share_of_the_objects_is_textured() -> None:
    plain, some = (_samples(ProceduralSettings(size=32, textured=share), 200) for share in (0.0, 0.3))
    changed = sum(not np.array_equal(a.foreground, b.foreground) for a, b in zip(plain, some, strict=True))
    assert 35 < changed < 85
