"""Connectivity-aware alpha refinement (LD-Portrait-20K): the matte's inside and outside mended, its rim untouched.

rim.py says which pixels become 0 or 1. Here is what else a sample needs for that:

* Objects that are translucent by nature are left alone; words say which (translucent.py). It follows from a sample's
  class, caption and prompt and from these settings, so it can be told again of every stored one.
* A picture that was seen, by GreenPost, has a say: nothing is taken away where it does not show its bare screen, and
  nothing is filled where it does. Its foreground is unmixed anew where α has changed, and the picture stays as it is.
* A picture that was composed, of a foreground that was given or estimated, is composed again where α has changed.
* Where α is 0 now, or told no colour before, the foreground is padded from its surroundings.

So I = αF + (1 − α)B holds as well as before.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.equation import plate_picture
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.filling import fill
from factory.greenscreen.unmixing import visible
from factory.models.device import Device
from factory.refine.rim import RimSettings, with_mended_inside
from factory.refine.translucent import TRANSLUCENT, is_one_of, pattern
from factory.sample import Matte, Picture, Rejection, Sample, Stage

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivitySettings:
    """What is mended, of which objects, and how much of it is too much."""

    rim: RimSettings = field(default_factory=RimSettings)
    left_alone: tuple[str, ...] = TRANSLUCENT  # words of class, caption or prompt of objects that are not mended
    shown: float = 10.0  # levels from its plate from which on a picture does not show its bare screen
    repaired_max: float | None = 0.15  # share of the picture whose α may be mended; None for any

    on_device: ClassVar[bool] = False  # numpy and OpenCV do its work

    def stage(self, _device: Device, _batch: int) -> Stage:
        """The refinement with these settings."""
        left_alone = pattern(self.left_alone)
        return lambda sample: sample if is_one_of(sample.origin, left_alone) else connected(sample, self)


def connected(sample: Sample, settings: ConnectivitySettings) -> Sample | Rejection:
    """The sample with a mended α, and with colours that fit it. One without α is returned as it is.

    Rejection("repaired") if too much had to be mended; values that lay beside 0 and 255 do not count.
    """
    if sample.alpha is None:
        return sample
    before, mended = sample.alpha, with_mended_inside(sample.alpha, settings.rim)
    was_seen = sample.origin.foreground == "unmixed" and bool(sample.plate)
    if was_seen:
        mended = np.where(_denied(sample, mended, settings.shown), before, mended)
    share = float(np.mean(cv2.absdiff(before, mended) > settings.rim.tolerance))
    if settings.repaired_max is not None and share > settings.repaired_max:
        detail = (
            f"the share of the picture whose alpha the connectivity prior mends is {share:.3g}, asked is at most "
            f"{settings.repaired_max:g}"
        )
        return Rejection(sample=sample, reason="repaired", detail=detail)
    changed = mended != before
    if sample.foreground is None or not sample.plate or not changed.any():
        return replace(sample, alpha=mended)
    told = mended if was_seen else np.minimum(before, mended)
    foreground = sample.foreground.copy()
    if was_seen:  # F = (I − (1 − α)B)/α is I where α is 1
        foreground[changed & (mended == 255)] = sample.rgb[changed & (mended == 255)]
    weight = visible(as_unit(told))
    gap = changed & (weight == 0)
    if gap.any():
        foreground[gap] = as_levels(fill(as_unit(foreground), weight)[gap])
    rgb = sample.rgb if was_seen else _composed_again(sample, foreground, mended, changed)
    return replace(sample, rgb=rgb, alpha=mended, foreground=foreground)


def _denied(sample: Sample, mended: Matte, shown: float) -> Mask:
    """Where the picture says otherwise than the mended α: it is 0 and something is seen, or 255 and only the screen."""
    away = np.abs(sample.rgb - plate_picture(sample.plate, *mended.shape)).max(axis=-1)
    return np.asarray(((mended == 0) & (away > shown)) | ((mended == 255) & (away <= shown)), np.bool_)


def _composed_again(sample: Sample, foreground: Picture, alpha: Matte, where: Mask) -> Picture:
    """The picture, I = αF + (1 − α)B there."""
    screen = plate_picture(sample.plate, *alpha.shape)[where] / np.float32(255)
    picture = sample.rgb.copy()
    picture[where] = as_levels(composite(as_unit(foreground[where]), as_unit(alpha[where]), screen))
    return picture
