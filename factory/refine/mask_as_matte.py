"""The coarse mask itself as the matte: what GreenPost is compared with.

Colours are the picture's own, with its screen in the edge, as a mask that knows only yes and no leaves them. So
I = αF + (1 − α)B does not hold, and a recipe that asks for this switches the gate on it off (`residual_max: null`).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from factory.errors import DataError, UsageError
from factory.models.device import Device
from factory.refine.other_matte import with_matte
from factory.sample import Sample, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskAsMatteSettings:
    """Of pictures that a model paints with a coarse mask."""

    threshold: float | None = None  # α is 1 from this level of the mask on and 0 below; None takes the mask as it is

    on_device: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise UsageError(f"mask_as_matte.threshold is {self.threshold:g}: choose above 0 to 1, or leave it out.")

    def stage(self, _device: Device, _batch: int) -> Stage:
        """The mask with these settings."""
        return lambda sample: mask_as_matte(sample, self)


def mask_as_matte(sample: Sample, settings: MaskAsMatteSettings) -> Sample:
    """The sample with `alpha` from its mask. DataError kinds: no_mask (of a picture that has none), empty."""
    if sample.coarse is None:
        raise DataError("no_mask", "the picture has no coarse mask: mask_as_matte is for models that paint one")
    alpha = sample.coarse
    if settings.threshold is not None:
        alpha = np.where(sample.coarse >= settings.threshold * 255, np.uint8(255), np.uint8(0))
    return with_matte(sample, alpha, sample.rgb)
