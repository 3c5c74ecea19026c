"""Masks from cross-attention, as DiffuMask makes them: where a U-Net looks at the object's word while it paints.

Wu, Zhao, Shou, Zhou, Shen, "DiffuMask: Synthesizing Images with Pixel-level Annotations for Semantic Segmentation Using
Diffusion Models", ICCV 2023, section 3. Of it are here the aggregation, and the scores that it sets for background; not
the dense CRF, nor AffinityNet, trained for each class, which chooses among thresholds. In their place `attention_mask`
cuts at the level at which DiffuMask begins, and GreenPost refines against the screen.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.diffusion.sizes import Size
from factory.sample import Matte

Floats: TypeAlias = NDArray[np.float32]
Place: TypeAlias = Literal["down", "mid", "up"]

BINS = np.round(np.arange(0.45, 0.525, 0.01), 2)  # where the levels begin among which the cut is looked for
BIN = 0.01
LEAST_SIDE, MOVED = 0.06, 0.03  # share of the picture that each side of the cut must have; by how much else it moves
NARROW, WIDE = 0.04, 0.02


class LayerMap(NamedTuple):
    """One layer's attention to the object's tokens.

    place: where in the U-Net.  attention: (h, w, K) float32, of each token the mean over heads and steps.
    """

    place: Place
    attention: Floats


def object_map(layers: Sequence[LayerMap], size: Size) -> Floats:
    """(H, W), how much of the object is where; of each token the mean over resolutions of maps whose greatest is 1.

    size: height and width.  A resolution's map is the mean over its layers, enlarged by cubic interpolation and then
    divided by its greatest value. The innermost resolution, of the way down and up between, has no say where others
    have one: of Stable Diffusion's 64², 32², 16² and 8² the last.
    """
    ways = {layer.attention.shape[:2] for layer in layers if layer.place != "mid"}
    by_size: dict[tuple[int, ...], list[Floats]] = {}
    for layer in layers:
        if not ways or layer.attention.shape[:2] in ways:
            by_size.setdefault(layer.attention.shape[:2], []).append(layer.attention)
    maps = [np.asarray(np.mean(own, axis=0), np.float32) for own in by_size.values()]
    tokens = [[_enlarged(own[..., token], size) for own in maps] for token in range(maps[0].shape[2])]
    return np.asarray(np.mean(tokens, axis=(0, 1)), np.float32)


def _enlarged(attention: Floats, size: Size) -> Floats:
    height, width = size
    large = cv2.resize(np.ascontiguousarray(attention), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large / large.max(), np.float32)


def first_cut(cam: Floats) -> float:
    """The level at which DiffuMask begins: of `BINS` the one with most pixels, moved while a side has hardly any."""
    counts = [int(np.count_nonzero((cam >= low) & (cam < low + BIN))) for low in BINS]
    cut = float(BINS[int(np.argmax(counts))])
    while cut > 0 and np.mean(cam > cut) < LEAST_SIDE:
        cut -= MOVED
    while cut < 1 and np.mean(cam < cut) < LEAST_SIDE:
        cut += MOVED
    return cut


def background_scores(cam: Floats) -> Mapping[Literal["la", "ha"], float]:
    """The two scores of background that DiffuMask learns affinities from: above "la" surely object, below "ha" not."""
    cut = first_cut(cam)
    above, below = cam[cam > cut], cam[cam < cut]
    return {
        "la": (float(above.mean()) if above.size else cut) - NARROW,
        "ha": (float(below.mean()) if below.size else cut) + WIDE,
    }


def attention_mask(cam: Floats) -> Matte:
    """The binary mask (H, W): 255 where the object's map is above `first_cut`."""
    return np.where(cam > first_cut(cam), np.uint8(255), np.uint8(0))
