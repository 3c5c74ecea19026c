"""What is measured on every finished sample and recorded; most gates look at nothing else.

| score | what it says | unit |
|---|---|---|
| gsg | distance of the picture's main colour from the key colour (greenscreen/gsg.py) | levels, 0..441 |
| gsg_screen | the same of the main colour of what is not the object, by coarse mask or else by α | levels, 0..441 |
| screen_spread | unevenness of the clean screen about the plate, RMS over cells of 1/16 side | levels |
| coverage | mean α | 0..1 |
| border | mean α along the picture's outermost ring | 0..1 |
| agreement | soft IoU of α with the coarse mask, shifts of a few pixels forgiven | 0..1 |
| residual | 95th percentile of the stored equation's error (equation.py) | levels |
| green_residue | key colour left in the object, 1 = as much as the screen has | 0..1 |
| key_distance | distance from the key within which the object's nearest 5 % lie (see there) | levels, 0..441 |
| pinholes | see-through spots deep inside the object (quality/flaws.py) | a count |
| detached | share of the object that is apart from its largest piece (see there) | 0..1 |
| label_error | the error of α that is to be expected: a root mean square (quality/label_error.py) | 0..1 |

ASKED_SCORES are told by the user's networks (scorers/): of the object on grey, and of the picture on its screen.

| score | what it says | unit |
|---|---|---|
| aesthetic | LAION's aesthetic score (scorers/aesthetic.py) | about 1..10 |
| text_agreement | cosine of picture and text in CLIP's space (scorers/text_agreement.py) | 0..1 |
| unsafe | nearness to what a safety checker flags, which it does above 0.5 (scorers/safety.py) | 0..2.5 |

−1 stands where a score cannot be told: no coarse mask, no plate, no screen in sight; for key_distance where the
object's colours are a generator's, for label_error where α was given with the object. All work for any key colour.
"""

from dataclasses import dataclass, field, replace
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.equation import plate_picture, residual
from factory.greenscreen.colours import Colour
from factory.greenscreen.gsg import Colours, distance, main_colours, screen_colour
from factory.greenscreen.keying import dominance, key_channels
from factory.greenscreen.morphology import disc, eroded, square
from factory.greenscreen.plates import scaled, sure_background
from factory.quality.flaws import detached, pinholes
from factory.quality.key_distance import key_distance
from factory.quality.label_error import label_error
from factory.quality.phash import perceptual_hash
from factory.sample import Matte, Picture, PlateCoefficients, Sample, Scores
from factory.settings import UNSAID

CELLS = 16  # per side: the scale at which a screen is called uneven


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """What may be set about measuring."""

    forgiven: float = 8.0  # pixels at 512 by which coarse mask and α may differ without disagreeing
    inside: float = 0.95  # coarse mask above which, `forgiven` pixels deep, no screen may be seen
    covers: bool = field(default=True, metadata=UNSAID)  # coarse masks leave out nothing of the object


def score(sample: Sample, settings: ScoreSettings) -> Sample:
    """The sample with `scores` and `phash` filled in. Pure; needs at least `rgb`, and says −1 for what is missing."""
    colours = main_colours(sample.rgb)
    scores = Scores(
        gsg=distance(colours[0], sample.origin.key_rgb),
        gsg_screen=gsg_screen(sample, colours),
    )
    if sample.plate:
        clean = clean_screen(sample, settings.covers)
        scores = replace(scores, screen_spread=screen_spread(sample.rgb, clean, sample.plate))
    if sample.alpha is None:
        return replace(sample, scores=scores)
    scores = replace(scores, coverage=float(sample.alpha.mean()) / 255, border=border(sample.alpha))
    scores = replace(scores, pinholes=float(pinholes(sample.alpha)), detached=detached(sample.alpha))
    if sample.coarse is not None:
        scores = replace(scores, agreement=agreement(sample.alpha, sample.coarse, settings.forgiven))
    if sample.foreground is None:
        return replace(sample, scores=scores)
    scores = replace(scores, green_residue=green_residue(sample.foreground, sample.alpha, sample.origin.key_rgb))
    if sample.origin.kind != "generated":
        nearest = key_distance(sample.foreground, sample.alpha, sample.origin.key_rgb)
        scores = replace(scores, key_distance=nearest)
    if sample.coarse is not None:
        seen = screen_inside(sample.rgb, sample.coarse, sample.origin.key_rgb, settings)
        scores = replace(scores, green_residue=max(scores.green_residue, seen))
    if sample.plate:
        scores = replace(scores, residual=residual(sample.rgb, sample.alpha, sample.foreground, sample.plate))
    scores = replace(scores, label_error=label_error(sample))
    return replace(sample, scores=scores, phash=perceptual_hash(sample.foreground, sample.alpha))


def completed(sample: Sample) -> Sample:
    """A stored sample with the scores that sets of earlier versions lack, measured on its pictures."""
    scores = sample.scores
    if scores.gsg_screen < 0:
        scores = replace(scores, gsg_screen=gsg_screen(sample, main_colours(sample.rgb)))
    if scores.pinholes < 0 and sample.alpha is not None:
        scores = replace(scores, pinholes=float(pinholes(sample.alpha)), detached=detached(sample.alpha))
    if scores.label_error < 0:
        scores = replace(scores, label_error=label_error(sample))
    return sample if scores is sample.scores else replace(sample, scores=scores)


def gsg_screen(sample: Sample, colours: Colours) -> float:
    """GSG of what is not the object; −1 where no mask tells it, or nothing is left.  colours: of the whole picture."""
    mask = sample.alpha if sample.coarse is None else sample.coarse
    if mask is None or not (background := sure_background(mask)).any():
        return -1.0
    return distance(screen_colour(sample.rgb, background, colours), sample.origin.key_rgb)


def clean_screen(sample: Sample, covers: bool) -> NDArray[np.bool_]:
    """Where nothing but screen should be seen: far outside the coarse mask, where that covers the object.

    Else α has to say it, and then only what has the screen's hue counts: a misplaced α would be called an uneven
    screen.
    """
    if sample.coarse is not None and covers:
        return sure_background(sample.coarse)
    if sample.alpha is None:
        return np.zeros(sample.rgb.shape[:2], np.bool_)
    colour = np.array([channel[0] for channel in sample.plate], np.float32)
    pure = purity(sample.rgb, colour) > 0.8 * dominance(colour, colour) / colour.sum()
    return np.asarray(sure_background(sample.alpha) & pure, np.bool_)


def purity(picture: Picture, key: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) the key's `dominance` as a share of all light: of a shadow on the screen the same as of the screen.

    Plane by plane: three times as fast as over the last axis.
    """
    planes = cv2.split(picture)
    strong, weak = ([planes[c] for c in channels] for channels in key_channels(key))
    above = reduce(np.minimum, strong).astype(np.float32) - reduce(np.maximum, weak)
    return np.asarray(above / np.maximum(sum(planes, np.float32(0)), 1), np.float32)


def screen_spread(picture: Picture, background: NDArray[np.bool_], plate: PlateCoefficients) -> float:
    """RMS over cells of 1/16 side of the mean deviation from the plate, worst channel, on clean screen only.

    Shadows, stains and objects that the mask has missed show; noise and a slow gradient (which the plate holds) do
    not.  −1 if there is no clean screen.
    """
    if not background.any():
        return -1.0
    height, width = background.shape
    size = (min(CELLS, width), min(CELLS, height))
    clean = background.astype(np.float32)
    screen = np.ascontiguousarray(plate_picture(plate, height, width))
    deviation = cv2.subtract(picture, screen, mask=background.view(np.uint8), dtype=cv2.CV_32F)  # 0 elsewhere
    weight = cv2.resize(clean, size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(deviation, size, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    return float(np.sqrt((weight * (mean**2).max(axis=-1)).sum() / weight.sum()))


def border(alpha: Matte) -> float:
    """Mean α of the outermost ring of pixels: an object cut by the frame shows here."""
    ring = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    return float(ring.mean()) / 255


def agreement(alpha: Matte, coarse: Matte, forgiven: float) -> float:
    """Soft IoU Σ min / Σ max of α with the nearest mask that lies within a few pixels of the coarse one.

    forgiven: pixels at 512.  1 where both are empty.
    """
    about = disc(scaled(forgiven, alpha.shape))
    nearest = np.clip(alpha, cv2.erode(coarse, about), cv2.dilate(coarse, about))
    union = int(np.maximum(alpha, nearest).sum(dtype=np.int64))
    return float(np.minimum(alpha, nearest).sum(dtype=np.int64)) / union if union else 1.0


def green_residue(foreground: Picture, alpha: Matte, key: Colour) -> float:
    """Mean key colour in the foreground as far as it is visible (weighted by α), in units of the key's own."""
    visible = int(alpha.sum(dtype=np.int64))
    return float((_key_share(foreground, key) * alpha).sum(dtype=np.float64)) / visible if visible else 0.0


def screen_inside(picture: Picture, coarse: Matte, key: Colour, settings: ScoreSettings) -> float:
    """Mean key colour of the picture deep inside the coarse mask: an object in the screen's colour shows here.

    Such an object's α is keyed away and its foreground looks clean; only the mask knows that it was there.
    """
    deep = eroded(coarse > settings.inside * 255, square(scaled(settings.forgiven, coarse.shape)))
    return float(_key_share(picture[deep], key).mean()) if deep.any() else 0.0


def _key_share(picture: Picture, key: Colour) -> NDArray[np.float32]:
    """How much a colour is dominated by the key's channels: 0 none, 1 as the key itself."""
    levels = np.asarray(picture, np.float32)
    share = dominance(levels, key) / dominance(np.asarray(key, np.float32), key)
    return np.asarray(np.clip(share, 0, 1), np.float32)
