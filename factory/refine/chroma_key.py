"""A plain chroma key, as ffmpeg's `chromakey` and `despill` have it: what GreenPost is compared with.

α is a ramp over the distance of a pixel's chroma from the screen's, and all of the screen's colour above the mean of
the other channels is taken out, wherever it is. The mask has no say, and colours are not unmixed: so
I = αF + (1 − α)B does not hold, and a recipe that asks for this switches the gate on it off (`residual_max: null`).
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.greenscreen.keying import key_channels
from factory.models.device import Device
from factory.refine.other_matte import with_matte
from factory.refine.screen import screen_of
from factory.sample import Picture, Sample, Stage

Floats = NDArray[np.float32]

TO_CHROMA = np.array([[-0.16874, -0.33126, 0.5], [0.5, -0.41869, -0.08131]], np.float32)  # BT.601 at full range
ACROSS = 255 * 2**0.5  # of the plane of chroma


@dataclass(frozen=True, slots=True, kw_only=True)
class ChromaKeySettings:
    """As ffmpeg names them."""

    similarity: float = 0.1  # distance from the screen's chroma (0..1) up to which all is screen
    blend: float = 0.08  # … and by how much more, up to which α rises to 1; 0 makes a mask

    on_device: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        for name, value in (("similarity", self.similarity), ("blend", self.blend)):
            if not 0 <= value < 1:
                raise UsageError(f"chroma_key.{name} is {value:g}: choose 0 to below 1.")

    def stage(self, _device: Device, _batch: int) -> Stage:
        """The key with these settings."""
        return lambda sample: chroma_keyed(sample, self)


def chroma_keyed(sample: Sample, settings: ChromaKeySettings) -> Sample:
    """The sample with `alpha` and `foreground` anew. DataError kinds: no_screen, empty."""
    screen = screen_of(sample)
    colour = np.array(cv2.mean(screen.picture)[:3], np.float32)
    away = cv2.transform(sample.rgb.astype(np.float32), TO_CHROMA) - TO_CHROMA @ (colour * 255)
    apart = np.hypot(away[..., 0], away[..., 1]) / np.float32(ACROSS)
    distance = np.asarray(cv2.blur(apart, (3, 3)), np.float32)
    alpha = (255 * ramp(distance, settings)).astype(np.uint8)
    return replace(with_matte(sample, alpha, _despilled(sample.rgb, colour)), plate=screen.plate)


def ramp(distance: Floats, settings: ChromaKeySettings) -> Floats:
    """α of a distance from the screen's chroma."""
    above = distance - np.float32(settings.similarity)
    return np.clip(above / np.float32(settings.blend), 0, 1) if settings.blend else (above > 0).astype(np.float32)


def _despilled(picture: Picture, screen: Floats) -> Picture:
    strong, weak = key_channels(screen)
    others = picture[..., weak].mean(axis=-1)
    cleaned = picture.copy()
    for channel in strong:
        cleaned[..., channel] = np.minimum(picture[..., channel], others.round())
    return cleaned
