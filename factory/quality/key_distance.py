"""How far an object's own colours lie from the screen: what is too near cannot be told from it."""

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.colours import KEY_COLOURS, Colour, KeyName
from factory.greenscreen.sampling import SAMPLE, evenly_chosen
from factory.sample import Matte, Picture

NEAREST = 0.05  # share of the object (weighted by α) that counts as its nearest part


def key_distance(foreground: Picture, alpha: Matte, key: Colour) -> float:
    """The distance from the key colour within which the nearest 5 % of the object lie, in levels (RGB, 0..441).

    foreground: (H, W, 3) straight colour.  alpha: (H, W), the weight of each pixel.  −1 if nothing is visible.
    """
    mass = _mass_by_distance(foreground, alpha, key)
    total = mass.sum()
    return float(np.searchsorted(np.cumsum(mass), NEAREST * total)) if total else -1.0


def share_within(foreground: Picture, alpha: Matte, key: Colour, distance: float) -> float:
    """The share of the object (weighted by α) whose colour lies nearer to the key than `distance` levels."""
    mass = _mass_by_distance(foreground, alpha, key)
    return float(mass[: int(np.ceil(distance))].sum() / max(mass.sum(), 1))


def proposal(foreground: Picture, alpha: Matte, key: Colour, least: float) -> str:
    """Which other screen would keep the object, in words with the numbers."""
    others: dict[KeyName, float] = {
        name: key_distance(foreground, alpha, colour) for name, colour in KEY_COLOURS.items() if colour != key
    }
    told = ", ".join(f"{name} {distance:.0f}" for name, distance in others.items())
    best = max(others, key=others.__getitem__)
    verdict = f"with `key: {best}` it is far enough" if others[best] >= least else "no other key is far enough either"
    return f"{verdict} ({told})"


def _mass_by_distance(foreground: Picture, alpha: Matte, key: Colour) -> NDArray[np.float64]:
    """Σα of the visible pixels at each whole distance from the key, 0 to 442; of very many some are chosen evenly."""
    visible = evenly_chosen(np.flatnonzero(alpha != 0), SAMPLE)  # `!= 0`: five times as fast as of the levels
    offset = foreground.reshape(-1, 3)[visible] - np.asarray(key, np.float32)
    distance = np.rint(np.sqrt(np.einsum("nc,nc->n", offset, offset))).astype(np.int64)
    return np.asarray(np.bincount(distance, alpha.ravel()[visible], minlength=443), np.float64)
