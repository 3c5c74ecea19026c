"""A picture and its trimap to α, at any size: in tiles where it is large, blended where they overlap."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError, UsageError
from factory.sample import Matte, Picture

if TYPE_CHECKING:
    from factory.matting.networks.network import MattingNetwork

Floats = NDArray[np.float32]

UNKNOWN = 128
TILE = 1024  # pixels: IndexNet takes one in 2 GB
OVERLAP = 4  # a tile shares this part of its side with the next, …
CONTEXT = 3 / 8  # … of which this part, at either end, is not used


def matte(network: "MattingNetwork", picture: Picture, trimap: Matte, device: str = "cpu", tile: int = TILE) -> Floats:
    """α of one picture: the network's where the trimap is unknown, else exactly the trimap's 0 or 1.

    picture: (H, W, 3) uint8 sRGB.  trimap: (H, W) uint8 of 0, 128 and 255.  network: on `device`, evaluation mode.
    tile: pixels of a side that the network sees at most at once, rounded up to its multiple. A tile shares a quarter
    with the next; of that the outer 3/8 only help what lies further in, and over the middle one goes over into the
    other. A network that sees no further, and takes no mean over all it sees, answers as if it saw the whole picture.
    Returns (H, W) float32 in 0..1.
    Raises DataError for a trimap of another size ("size") or with other levels ("trimap"), UsageError for a network
    that answers with what is no number.
    """
    check_trimap(trimap, picture)
    if not (trimap == UNKNOWN).any():
        return np.asarray(trimap > 0, np.float32)
    multiple = network.multiple
    height, width = trimap.shape
    rims = ((0, -height % multiple), (0, -width % multiple))
    picture = np.pad(picture, (*rims, (0, 0)), mode="reflect")
    known = np.pad(trimap, rims, mode="reflect")
    side = max(-(-tile // multiple), OVERLAP) * multiple
    total, weight = np.zeros(known.shape, np.float32), np.zeros(known.shape, np.float32)
    overlap = side // multiple // OVERLAP * multiple  # so that all tiles begin where the network's own grid does
    for rows, columns in product(*(list(_stretches(length, side, overlap)) for length in known.shape)):
        if not (known[rows, columns] == UNKNOWN).any():
            continue
        share = np.outer(_share(rows, known.shape[0], overlap), _share(columns, known.shape[1], overlap))
        total[rows, columns] += share * _alpha(network, picture[rows, columns], known[rows, columns], device)
        weight[rows, columns] += share
    alpha = (total / np.maximum(weight, np.finfo(np.float32).tiny))[:height, :width]
    if not np.isfinite(alpha).all():
        raise UsageError("the network answers with what is no number: its weights are broken, give others.")
    return np.asarray(np.where(trimap == UNKNOWN, alpha.clip(0, 1), trimap > 0), np.float32)


def check_trimap(trimap: Matte, picture: Picture) -> None:
    """Raises DataError as `matte`."""
    check_size("trimap", trimap, picture)
    foreign = np.setdiff1d(trimap, (0, UNKNOWN, 255))
    if foreign.size:
        raise DataError("trimap", f"the trimap holds {foreign[0]}: only 0, 128 (unknown) and 255 have a meaning")


def check_size(what: str, levels: Matte, picture: Picture) -> None:
    """Raises DataError("size") unless they cover the picture."""
    if levels.shape != picture.shape[:2]:
        sizes = f"{levels.shape[1]}×{levels.shape[0]}, the picture {picture.shape[1]}×{picture.shape[0]}"
        raise DataError("size", f"the {what} is {sizes}: they must be of one size")


def _stretches(length: int, side: int, overlap: int) -> Iterator[slice]:
    """Of one axis, the last one flush with its end."""
    step = side - overlap
    for begin in range(0, max(length - side, 0) + step, step):
        start = max(min(begin, length - side), 0)
        yield slice(start, min(start + side, length))


def _share(stretch: slice, length: int, overlap: int) -> Floats:
    """(n,) the weight of each pixel of a stretch: 0 at ends that its neighbour covers better, 1 further in."""
    unused, ramp = CONTEXT * overlap, (1 - 2 * CONTEXT) * overlap
    places = np.arange(stretch.start, stretch.stop) + 0.5
    rising = (places - stretch.start - unused) / ramp if stretch.start > 0 else np.ones_like(places)
    falling = (stretch.stop - places - unused) / ramp if stretch.stop < length else np.ones_like(places)
    return np.asarray(np.minimum(rising, falling).clip(0, 1), np.float32)


def _alpha(network: "MattingNetwork", picture: Picture, trimap: Matte, device: str) -> Floats:
    """(h, w) of one tile."""
    import torch  # noqa: PLC0415  (seconds; trimaps are checked without it)

    image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).to(device) / 255
    # exactly 0, 0.5 and 1: 128/255 is a value that no network was trained with
    known = torch.from_numpy(np.asarray((trimap > 0) * 0.5 + (trimap == 255) * 0.5, np.float32)[None, None])
    # On GPUs: products of 10 bits would be seen in 8-bit α, and the quickest algorithms are not the same each time.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        alpha: Floats = network(image, known.to(device))[0, 0].float().cpu().numpy()
    return alpha
