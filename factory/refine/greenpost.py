"""GreenPost: from a coarse mask on a green screen to a matte with straight foreground colours.

The paper's Eq. 9 runs BackgroundMattingV2 against a plate of the K-Means colour found outside the mask. Here the plate
comes the same way, and a recipe that has that network's weights (`backend: bgmv2`) gets α from it. Without one the
matte is read from the physics: the screen is known, so α follows from how much of it shines through
(greenscreen/keying.py). On a clean screen that is exact where the foreground's own share of the screen's colour is.
That share is taken from pixels nearby that are surely opaque: because the mask is certain there and the colour does
not contradict it, or because no colour but the foreground's own could explain them.

The mask decides where colour (or the network) cannot: no object far from the mask; α = 1 deep inside it, but only as
far as the colour agrees, so that glass and smoke keep their fractional α under a mask that knows only yes and no.
Lengths are given for pictures of 512 pixels and scale with the shorter side.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.despill import despill
from factory.greenscreen.filling import fill
from factory.greenscreen.keying import (
    clip_ends,
    colour_difference,
    dominance,
    least_opacity,
    screen_axis,
    screen_share,
)
from factory.greenscreen.morphology import dilated, disc, eroded
from factory.greenscreen.plates import scaled
from factory.greenscreen.unmixing import spread, unmixed
from factory.models.device import Device
from factory.models.weights import weights_file
from factory.refine.doubt import FACTORS, expected_error, terms
from factory.refine.keyed_anew import keyed_anew
from factory.refine.known_background import BUILT_IN, KEYER, PHYSICS, AgainstPlate, code_of, kind_of, take_told
from factory.refine.screen import Screen, far_outside, screen_of
from factory.sample import BatchStage, Matte, Sample, Stage
from factory.settings import UNSAID, Place
from factory.trust import TRUST, as_trust

Floats = NDArray[np.float32]

STRAY = 3  # standard deviations of noise that clean screen may lie from its plate …
LEVEL = 1 / 255  # … and by how much more, for pictures are rounded
# A bound of 0.96 counts half, one of 0.75 a hundredth. On the 14 scenes of benchmarks/keyer.py, pure, MSE is × 1.7 with
# a power of 8, × 1.2 with 32, and × 1.3 where only the mask says what is the object's own.
SURE = 16  # power of the least opacity with which a pixel's colour counts as the object's own
# From 0.25 on `clip_ends` would leave no α as it is. Generated screens never come near: it is for noise of a camera's
# size (the same scenes, studio: MSE × 1.3 with 0.24, but × 0.6 with 0.05).
MOST_CLEAN = 0.15  # α that is called clean screen at the most


@dataclass(frozen=True, slots=True, kw_only=True)
class GreenPostSettings:
    """How GreenPost merges mask and colour."""

    outside: float = 0.05  # coarse mask under which a pixel far from the object is background
    inside: float = 0.95  # coarse mask above which a pixel deep in the object is opaque
    reach: float = 8.0  # pixels at 512 around the mask in which the colour decides
    depth: float = 5.0  # pixels at 512 from the mask's border at which its inside is certain
    doubt: float = 0.4  # screen colour in a pixel (0..1) at which a certain mask is no longer believed at all
    belief: float = 0.15  # … and up to which it is believed fully
    black_point: float = 3.0  # noise of the screen, in standard deviations, that counts as clean screen
    despill_width: float = 3.0  # pixels at 512 beside fractional α in which spill is capped

    backend: str = field(default=PHYSICS, metadata=UNSAID)  # what α is read from: this, or a network's name
    weights: Place | None = field(default=None, metadata=UNSAID)  # the network's safetensors file, or its folder

    @property
    def on_device(self) -> bool:
        """What needs no weights is the work of numpy and OpenCV, and of networks too small for a device."""
        return self.backend not in BUILT_IN

    def asked_weights(self) -> Path | None:
        """The network's file; None where none is needed. Raises UsageError for a missing one or another network's."""
        if self.backend in BUILT_IN:
            if self.weights is not None:
                raise UsageError(
                    f"greenpost.weights {self.weights}: say whose they are with greenpost.backend, for "
                    f"{self.backend} needs none."
                )
            return None
        kind = kind_of(self.backend)
        if self.weights is None:
            raise UsageError(f"greenpost.backend {self.backend} needs greenpost.weights, the network's safetensors.")
        file = weights_file(self.weights, "greenpost.weights")
        kind.check(file)
        return file

    def code(self) -> str:
        """The package that the network comes from, and its version; "" for our own."""
        return code_of(self.backend)

    def network(self, weights: Path, device: Device) -> BatchStage:
        """What comes before its own stage where the backend is a network."""
        return AgainstPlate(kind_of(self.backend).load(weights, device.torch), device.name)

    def stage(self, _device: Device, _batch: int) -> Stage:
        """GreenPost with these settings."""
        if self.backend == KEYER:
            return lambda sample: keyed_anew(sample, self.outside, self.reach)
        return lambda sample: green_post(sample, self)


class Key(NamedTuple):
    """What the colours say. All (H, W) but the last."""

    alpha: Floats
    by_share: Floats  # α along the screen's axis …
    by_excess: Floats  # … and by its dominance, of which `alpha` is the smaller, not below what must be there
    inside: NDArray[np.bool_]  # where the mask is certain that all is foreground
    opaque: Floats  # 0..1, how far mask and colour agree that the pixel is foreground only
    own_dominance: Floats  # the foreground's own excess of the screen's colour (0..1), spread from opaque pixels
    screen: Floats  # (3,) the plate's mean colour in 0..1


def green_post(sample: Sample, settings: GreenPostSettings) -> Sample:
    """Fill in `alpha`, `foreground` and `plate` of a picture on its screen, and how far α may be trusted as a layer.

    What a network told of the sample (`known_background.AgainstPlate`) stands in the place of what the colours say.
    Raises DataError("no_screen") where no screen can be found.
    """
    screen = screen_of(sample)
    told = take_told(sample)
    assert (told.alpha is None) == (settings.backend == PHYSICS)  # a network's stage comes before
    picture = as_unit(sample.rgb)

    key = _key(picture, screen, settings)
    if told.alpha is not None:
        key = key._replace(alpha=as_unit(told.alpha))
    matte = as_levels(_merge(key, screen.coarse, settings))
    network = None if told.alpha is None else as_unit(told.alpha)
    doubt = expected_error(terms(as_unit(matte), key.by_share, key.by_excess, key.inside, network), FACTORS)

    # From here on only the 8-bit α counts: the stored colours must fit the stored matte.
    alpha = as_unit(matte)
    band = _near_fractional(matte, scaled(settings.despill_width, matte.shape))
    if told.foreground is None:
        origin = replace(sample.origin, foreground="unmixed")
        straight = unmixed(picture, alpha, screen.picture)
    else:
        origin = replace(sample.origin, foreground="estimated")
        straight = np.where(alpha[..., None] == 1, picture, as_unit(told.foreground))
    foreground = as_levels(despill(spread(straight, alpha), band, key.screen, key.own_dominance))
    layers = {**told.sample.layers, TRUST: as_trust(doubt)}
    return replace(told.sample, origin=origin, alpha=matte, foreground=foreground, plate=screen.plate, layers=layers)


def _key(picture: Floats, screen: Screen, settings: GreenPostSettings) -> Key:
    """α of every pixel from its colour, with the mask's certain inside as the only help."""
    coarse, noise = screen.coarse, screen.noise / 255
    colour = np.array(cv2.mean(screen.picture)[:3], np.float32)
    axis = screen_axis(colour)
    share = screen_share(picture, screen.picture, axis)
    excess = dominance(picture, colour) / dominance(colour, colour)
    bound = least_opacity(picture, screen.picture, STRAY * noise + LEVEL)

    trust = np.clip((settings.doubt - excess) / (settings.doubt - settings.belief), 0, 1)
    trust *= trust * (3 - 2 * trust)
    inside = eroded(coarse > settings.inside * 255, disc(scaled(settings.depth, coarse.shape)))
    opaque = trust * inside
    known = np.maximum(opaque, trust * bound**SURE)

    own = fill(np.dstack([share, excess]), known)
    own_share, own_excess = own[..., 0], np.maximum(own[..., 1], 0)
    # Grey spokes of a cyan wheel: no foreground may come out with more of the key colour than the object has.
    by_share, by_excess = colour_difference(share, own_share), colour_difference(excess, own_excess)
    alpha = np.maximum(np.minimum(by_share, by_excess), bound)
    threshold = max(settings.black_point * noise * float(np.abs(axis).sum()), LEVEL)
    clean = min(threshold, MOST_CLEAN)
    alpha, by_share, by_excess = (clip_ends(reading, clean) for reading in (alpha, by_share, by_excess))
    return Key(alpha, by_share, by_excess, inside, opaque, own_excess * dominance(colour, colour), colour)


def _merge(key: Key, coarse: Matte, settings: GreenPostSettings) -> Floats:
    """The mask decides far outside and deep inside, the colour everywhere else, also in what the object encloses."""
    far = far_outside(coarse, settings.outside, settings.reach)
    return np.where(far, 0, np.maximum(key.alpha, key.opaque))


def _near_fractional(matte: Matte, radius: int) -> NDArray[np.bool_]:
    return dilated((matte > 0) & (matte < 255), disc(radius))
