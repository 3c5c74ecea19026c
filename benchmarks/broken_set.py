"""Break good samples deliberately and count how many the gates reject, and whether for the right reason.

    python benchmarks/broken_set.py [--side 128] [--each 60]

Good samples are procedural objects and, if the folder of test pictures is there, RGBA pictures, painted on green. They
go the way that generated ones go: a coarse mask such as a small head gives, GreenPost, scores, gates at their
defaults. Faults of the picture are made before GreenPost, faults of the matte after it; the latter are also judged as
in a stored set, where no coarse mask is left.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from figures import exit_code, shown
from material import DATA
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keying import dominance
from factory.quality.gates import GateSettings, NearDuplicates, judge
from factory.quality.scores import ScoreSettings, score
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import Matte, Origin, Rejection, Request, Sample
from factory.sources.procedural.palette import VANISHING
from factory.sources.procedural.render import CLASSES, render

MUST = 0.95
KEY = KEY_COLOURS["green"]
Floats = NDArray[np.float32]
Random = np.random.Generator


class Thing(NamedTuple):
    """An object before it is painted: straight colour (H, W, 3) and alpha (H, W), 0..1."""

    foreground: Floats
    alpha: Floats


@dataclass(frozen=True)
class Fault:
    """One way to break a sample, and the reasons that name it rightly."""

    name: str
    reasons: set[str]
    make: Callable[[Thing, Random], Sample]


def main() -> int:
    """Break, judge, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--each", type=int, default=60, help="broken samples of each kind")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    things = good_things(arguments.side, arguments.each)
    print(f"{len(things)} good objects at {arguments.side} px, gates: {GateSettings()}\n")
    print("| set | samples | rejected | for the right reason | reasons |\n|---|---|---|---|---|")
    unbroken = Counter(verdict(whole(thing, np.random.default_rng(i))) for i, thing in enumerate(things))
    print(row("unbroken", unbroken, set()))
    broken: Counter[str] = Counter()
    right = 0
    for fault in FAULTS:
        reasons = Counter(verdict(fault.make(t, np.random.default_rng([7, i]))) for i, t in enumerate(things))
        print(row(fault.name, reasons, fault.reasons))
        broken += reasons
        right += sum(reasons[reason] for reason in fault.reasons)
    reasons = duplicates(things)
    print(row("duplicate", reasons, {"duplicate"}))
    broken += reasons
    right += reasons["duplicate"]
    total = broken.total()
    print(f"\nunbroken: {unbroken['accepted'] / unbroken.total():.1%} accepted")
    rejected = total - broken["accepted"]
    return exit_code(
        shown("broken set, rejected", f"{rejected}", f"{total} broken ones", rejected / total, MUST),
        shown("broken set, for the right reason", f"{right}", f"{total} broken ones", right / total, MUST),
    )


def row(name: str, reasons: Counter[str], right: set[str]) -> str:
    """One line of the table."""
    total = reasons.total()
    named = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    share = f"{sum(reasons[reason] for reason in right) / total:.1%}" if right else "–"
    return f"| {name} | {total} | {1 - reasons['accepted'] / total:.1%} | {share} | {named} |"


def verdict(sample: Sample) -> str:
    """The reason of rejection, or "accepted"."""
    judged = judge(score(sample, ScoreSettings()), GateSettings())
    return judged.reason if isinstance(judged, Rejection) else "accepted"


def duplicates(things: list[Thing]) -> Counter[str]:
    """Every good object is admitted; then comes its like, painted again with other noise and light."""
    admit = NearDuplicates(GateSettings())
    reasons: Counter[str] = Counter()
    for i, thing in enumerate(things):
        random = np.random.default_rng([9, i])
        admit(score(whole(thing, random), ScoreSettings()))
        brighter = Thing(np.clip(thing.foreground * np.float32(random.uniform(0.97, 1.03)), 0, 1), thing.alpha)
        again = score(whole(brighter, random), ScoreSettings())
        refused = admit(again)
        reasons["accepted" if refused is None else refused.reason] += 1
    return reasons


# ---- good samples


def good_things(side: int, number: int) -> list[Thing]:
    """Half procedural, half photographs and renderings with alpha, as far as these are at hand."""
    drawn = (render(CLASSES[i % len(CLASSES)], 1000 + i, side, VANISHING["green"]) for i in range(number))
    made = (Thing(as_unit(d.foreground), as_unit(d.alpha)) for d in drawn)
    pictures = [thing for _, thing in zip(range(number // 2), rgba_pictures(side), strict=False)]
    return [*pictures, *(thing for _, thing in zip(range(number - len(pictures)), made, strict=False))]


def rgba_pictures(side: int) -> Iterator[Thing]:
    """Objects from folders of RGBA pictures, centred; those that have much of the key colour are no good samples."""
    files = sorted(DATA.glob("rgba_fluent_emoji_3d/*.webp"))[::23] + sorted(DATA.glob("rgba_artmsra_semi/fg/*.png"))
    for file in files:
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        thing = framed(as_unit(np.asarray(picture, np.uint8)[..., [2, 1, 0, 3]]), side)
        if float((np.maximum(dominance(thing.foreground, KEY), 0) * thing.alpha).sum() / thing.alpha.sum()) < 0.05:
            yield thing


def framed(rgba: Floats, side: int) -> Thing:
    """The picture shrunk into 80 % of a square frame, averaging premultiplied colours."""
    height, width = rgba.shape[:2]
    scale = 0.8 * side / max(height, width)
    size = (round(width * scale), round(height * scale))
    alpha = cv2.resize(rgba[..., 3], size, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(rgba[..., :3] * rgba[..., 3:], size, interpolation=cv2.INTER_AREA)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    around = (top, side - size[1] - top, left, side - size[0] - left)
    alpha = cv2.copyMakeBorder(alpha, *around, cv2.BORDER_CONSTANT)
    colour = cv2.copyMakeBorder(colour, *around, cv2.BORDER_CONSTANT)
    straight = np.clip(colour / np.maximum(alpha, 1e-3)[..., None], 0, 1)
    return Thing(np.asarray(straight, np.float32), np.asarray(alpha, np.float32))


def painted(thing: Thing, screen: Floats, random: Random) -> Sample:
    """The thing on a screen, with a generator's noise, and the coarse mask that a small head would give."""
    picture = composite(thing.foreground, thing.alpha, screen)
    noise = random.normal(0, random.uniform(0.3, 1.5) / 255, picture.shape)
    request = Request(key="0000000000", slot=0, attempt=0, seed=0)
    origin = Origin(kind="generated", key_rgb=KEY)
    return Sample(request=request, origin=origin, rgb=as_levels(picture + noise), coarse=head(thing.alpha, random))


def head(alpha: Floats, random: Random) -> Matte:
    """Blurred, steepened, with blotches where the object is: what a small matting head knows of an alpha."""
    side = alpha.shape[0]
    blurred = cv2.GaussianBlur(alpha, (0, 0), 0.7 * side / 64)
    blotches = cv2.resize(random.normal(0, 0.05, (8, 8)).astype(np.float32), (side, side))
    return as_levels((blurred - 0.5) * 1.15 + 0.5 + blotches * (blurred > 0.02))


def whole(thing: Thing, random: Random) -> Sample:
    """A good sample, refined."""
    return refined(painted(thing, as_unit(np.array(KEY, np.uint8)), random))


def refined(raw: Sample) -> Sample:
    """GreenPost; a picture that it cannot key at all goes on to the gates as it is."""
    try:
        return green_post(raw, GreenPostSettings())
    except DataError:
        return raw


# ---- faults of the picture


def tinted(thing: Thing, random: Random) -> Sample:
    """The screen is some other green, 30 to 100 levels from the key."""
    shift = np.abs(random.normal(size=3)) * np.array([1, -1, 1])
    screen = np.clip(np.array(KEY) + shift / np.linalg.norm(shift) * random.uniform(30, 100), 0, 255)
    return refined(painted(thing, np.asarray(screen / 255, np.float32), random))


def shadowed(thing: Thing, random: Random) -> Sample:
    """A soft shadow, a quarter to two thirds dark, falls on the screen; at least 3 % of the picture shows it."""
    shadow = np.zeros_like(thing.alpha)
    side = len(shadow)
    while float((shadow * (1 - thing.alpha)).mean()) < 0.03:
        x, y, a, b = (
            int(side * random.uniform(*span)) for span in ((0.15, 0.85), (0.15, 0.85), (0.1, 0.35), (0.1, 0.35))
        )
        ellipse = cv2.ellipse(np.zeros_like(shadow), (x, y), (a, b), random.uniform(0, 180), 0, 360, 1.0, -1)
        shadow = np.asarray(cv2.GaussianBlur(ellipse, (0, 0), side * random.uniform(0.01, 0.05)), np.float32)
    light = 1 - np.float32(random.uniform(0.25, 0.65)) * shadow[..., None]
    return refined(painted(thing, np.asarray(as_unit(np.array(KEY, np.uint8)) * light, np.float32), random))


def absent(thing: Thing, random: Random) -> Sample:
    """Nothing but screen."""
    return whole(Thing(thing.foreground, np.zeros_like(thing.alpha)), random)


def cut(thing: Thing, random: Random) -> Sample:
    """The frame cuts through the object: a quarter to a half of its breadth lies outside."""
    turned = Thing(*(np.ascontiguousarray(np.rot90(p, int(random.integers(4)))) for p in thing))
    columns = np.flatnonzero(turned.alpha.max(axis=0) > 0.5)
    move = int(columns[0] + (columns[-1] - columns[0]) * random.uniform(0.25, 0.5))
    alpha = np.roll(turned.alpha, -move, axis=1)
    alpha[:, alpha.shape[1] - move :] = 0
    return whole(Thing(np.roll(turned.foreground, -move, axis=1), alpha), random)


def green(thing: Thing, random: Random) -> Sample:
    """The object has the key's hue, from two thirds to nearly all of its brightness."""
    light = thing.foreground.mean(axis=-1, keepdims=True) - thing.foreground.mean()
    colour = np.array(KEY) / 255 * random.uniform(0.65, 0.95) + random.uniform(0, 0.1) + 0.3 * light
    return whole(Thing(np.asarray(colour, np.float32).clip(0, 1), thing.alpha), random)


# ---- faults of the matte


def shifted(thing: Thing, random: Random) -> Sample:
    """α lies 6 to 15 % of the side beside its object."""
    sample = whole(thing, random)
    assert sample.alpha is not None
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(0.06, 0.15) * len(sample.alpha)
    move = (round(length * np.sin(angle)), round(length * np.cos(angle)))
    return replace(sample, alpha=np.roll(sample.alpha, move, axis=(0, 1)))


def inverted(thing: Thing, random: Random) -> Sample:
    """α is background where it should be object."""
    sample = whole(thing, random)
    assert sample.alpha is not None
    return replace(sample, alpha=255 - sample.alpha)


def stored(make: Callable[[Thing, Random], Sample]) -> Callable[[Thing, Random], Sample]:
    """The same fault in a set read back from disk: no coarse mask."""
    return lambda thing, random: replace(make(thing, random), coarse=None)


FAULTS = [
    Fault("screen tinted", {"gsg"}, tinted),
    Fault("screen shadowed", {"screen_uneven"}, shadowed),
    Fault("no object", {"empty"}, absent),
    Fault("object cut", {"cut"}, cut),
    Fault("green object", {"green_residue"}, green),
    Fault("alpha shifted", {"disagreement", "residual"}, shifted),
    Fault("alpha inverted", {"disagreement", "residual"}, inverted),
    Fault("alpha shifted, stored set", {"disagreement", "residual"}, stored(shifted)),
    Fault("alpha inverted, stored set", {"disagreement", "residual"}, stored(inverted)),
]


if __name__ == "__main__":
    sys.exit(main())
