"""Masks of a clip, as segmentation tools leave them: one for each frame, in a folder or a video, fitted to the clip.

What tools write differs: 0 and 255, soft levels, 0 and 1, the indexes of objects (palette PNGs, as DAVIS has them),
half the clip's size, names that count from 0 or from 1. What cannot be meant is refused before anything is computed.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from factory.errors import UsageError
from factory.greenscreen.compositing import as_unit
from factory.matting.video.footage import Footage, in_order, numbers_of, open_footage, reading
from factory.pictures.matte import decode_levels
from factory.pictures.picture import open_picture, upright
from factory.sample import Matte
from factory.shards.counting import Counting, silent
from factory.sources.clips.colour import Floats

INDEXES = 32  # a grey picture whose brightest level is below this holds indexes of objects, not coverage
ASPECT = 1.0  # pixels of the smaller picture by which a side may miss the clip's aspect, for rounding

Masks = Callable[[], Iterator[Floats]]
"""Opens them at the first; for each frame (H, W) float32 in 0..1, of the clip's size."""


def open_masks(path: Path, clip: Footage, wanted: int | None = None, looked: Counting = silent) -> Masks:
    """The clip's masks.

    wanted: index of the object, of masks that hold indexes; None takes all that are not 0.  looked: is told how many
    files were looked at.
    Raises UsageError for masks of another number than the frames, with holes in their numbering, of another shape,
    unreadable, or all empty.
    """
    if not path.exists():
        raise UsageError(f"--masks {path}: there is no such folder or video of masks.")
    if path.is_dir():
        files = in_order(path)
        _check_numbers(path, numbers_of(files), clip)
        read, sizes, is_seen = _files(files, wanted, looked)
    else:
        if wanted is not None:
            raise UsageError(f"{path} is a video, which holds levels of one object, no indexes: leave --object out.")
        film = open_footage(path)
        _check_numbers(path, film.numbers, clip)
        is_seen = any(bool((mask > 0.5).any()) for mask in film.levels())
        read, sizes = film.levels, {(film.height, film.width): path.name}
    for (height, width), name in sizes.items():
        _check_shape(name, width, height, clip)
    if not is_seen:
        which = "" if wanted is None else f" of object {wanted}"
        raise UsageError(f"the masks{which} in {path} are empty in every frame: check what was segmented.")
    return lambda: (_fitted(mask, clip) for mask in read())


def _check_numbers(path: Path, numbers: Sequence[int], clip: Footage) -> None:
    """One mask a frame, numbered as the frames are, but for the number they start at and an even step."""
    even = len({b - a for a, b in pairwise(numbers)}) <= 1
    alike = len(numbers) == clip.count and len({m - f for m, f in zip(numbers, clip.numbers, strict=True)}) == 1
    if len(numbers) == clip.count and (even or alike):
        return
    have = f"{path} holds {len(numbers)} masks and the clip {clip.count} frames"
    if hole := next((a + 1 for a, b in pairwise(numbers) if b - a > 1), None) if not even else None:
        raise UsageError(f"{have}; number {hole} is missing: write a mask for each frame, empty ones too.")
    raise UsageError(f"{have}: give the masks of this very clip, one for each frame.")


def _check_shape(name: str, width: int, height: int, clip: Footage) -> None:
    scale = min(width / clip.width, height / clip.height)
    if abs(width - clip.width * scale) > ASPECT or abs(height - clip.height * scale) > ASPECT:
        raise UsageError(
            f"{name} is {width}×{height} and the clip {clip.width}×{clip.height}, which is another shape: write the "
            "masks at the clip's size, or at its shape in another size."
        )


def _fitted(mask: Floats, clip: Footage) -> Floats:
    size = (clip.width, clip.height)
    if mask.shape == (clip.height, clip.width):
        return mask
    way = cv2.INTER_AREA if mask.shape[0] > clip.height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(mask, size, interpolation=way), np.float32)


def _files(
    files: Sequence[Path], wanted: int | None, looked: Counting
) -> tuple[Masks, dict[tuple[int, int], str], bool]:
    """How to read them; the sizes that occur, each with a name; whether any shows something. Each is looked at once."""
    brightest, palettes, is_seen = 0, 0, False
    sizes: dict[tuple[int, int], str] = {}
    for done, file in enumerate(files, start=1):
        levels, is_palette = _levels(file)
        palettes += is_palette
        sizes.setdefault((levels.shape[0], levels.shape[1]), file.name)
        brightest = max(brightest, int(levels.max()))
        is_seen |= bool((levels if wanted is None else levels == wanted).any())
        looked(done, len(files))
    if 0 < palettes < len(files):
        raise UsageError(
            f"{palettes} of the {len(files)} masks in {files[0].parent} have a palette: give one kind alone."
        )
    are_indexes = bool(palettes) or brightest < INDEXES
    if wanted is not None and not are_indexes:
        raise UsageError(f"the masks in {files[0].parent} hold levels of one object, no indexes: leave --object out.")

    def objects(levels: Matte) -> Floats:
        if not are_indexes:
            return as_unit(levels)
        return np.asarray(levels > 0 if wanted is None else levels == wanted, np.float32)

    def read() -> Iterator[Floats]:
        for file in files:
            yield objects(_levels(file)[0])

    return read, sizes, is_seen


def _levels(file: Path) -> tuple[Matte, bool]:
    """(H, W) uint8, and whether they are indexes of a palette."""
    data = file.read_bytes()
    with reading(file.parent, file.name):
        image = open_picture(data)
        if image.mode != "P" or _is_ramp(image.getpalette() or []):
            return decode_levels(data), False
        image.info.pop("transparency", None)  # or the indexes would become colours
        return np.asarray(upright(image, data), np.uint8), True


def _is_ramp(palette: Sequence[int]) -> bool:
    """Whether each entry is the grey of its number, as in a grey picture that a tool gave a palette."""
    return all(level == place // 3 for place, level in enumerate(palette))
