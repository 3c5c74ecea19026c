"""Keying as a stage: a picture before a camera's screen, as a source read it → its object on a pure screen.

Sources only read. What they know of a picture (`sample.Shot`) says which source it is of; how that source's pictures
are keyed and framed stands in the plan. Samples with an alpha of their own pass.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.framing import cut_sides
from factory.greenscreen.keyer.clean_plate import Picture16, clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import Screen, find_screen, unaveraged
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.shadow import shadow_apart
from factory.greenscreen.keyer.steady import Frame, steadied
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.greenscreen.resizing import resized
from factory.sample import Neighbour, Sample, Shot, Stage
from factory.settings import settings
from factory.shards.members import SHADOW, Member
from factory.trust import TRUST, as_trust

Floats = NDArray[np.float32]

LONG_SIDE = 1920  # pixels of what screen and plate are found in
LARGE = 8_000_000  # pixels from which pictures are keyed one at a time in a worker: keying takes 300 bytes a pixel
_LARGE_IN_WORK = Lock()
KEPT = 8  # mattes of frames that their neighbours will ask for


@dataclass(frozen=True, slots=True)
class KeyingSettings:
    """How the pictures of one source are keyed, and set on their pure screen.

    keyed_at: pictures whose shorter side is larger are averaged by the whole factor that comes nearest to it; 0: none.
    shadows: whether the shadow on the screen is told apart from the object, as a layer.
    whole: they are all frames of clips, of which those that show nothing but the screen are wanted too.
    shapes: a safetensors file with weights of the user's own shape network; None: what ships.
    """

    keyer: KeyerSettings
    framing: FramingSettings
    keyed_at: int = 0
    shadows: bool = False
    whole: bool = False
    shapes: bytes | None = None


class Mattes:
    """α of the frames that were keyed last, by source and name: a frame is asked for by each of its neighbours.

    For all threads of a worker. What is forgotten is keyed again, to the same bytes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[int, int]], Floats] = OrderedDict()
        self._lock = Lock()

    def get(self, source: str, name: tuple[int, int]) -> Floats | None:
        """(H, W) in 0..1, not to be written to; None where it is not kept."""
        with self._lock:
            return self._kept.get((source, name))

    def keep(self, source: str, name: tuple[int, int], alpha: Floats) -> None:
        """Take one in, and let go of the oldest."""
        with self._lock:
            self._kept[source, name] = alpha
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def keying(
    sources: Mapping[str, Mapping[str, Any]], members: Sequence[Member] = (), shapes: bytes | None = None
) -> dict[str, Stage]:
    """The stage by its name; {} where no source has pictures to be keyed.

    sources: a plan's settings of each.  members: of a sample; with that of a shadow it is told apart from the object.
    shapes: see `KeyingSettings`.
    """
    shadows = any(member.name == SHADOW.name for member in members)  # a plan may describe it otherwise
    own = {name: _in_plan(source, shadows, shapes) for name, source in sources.items() if "keyer" in source}
    mattes = Mattes()

    def stage(sample: Sample) -> Sample:
        return sample if sample.shot is None else keyed(sample, sample.shot, own, mattes)

    return {"keying": stage} if own else {}


def _in_plan(source: Mapping[str, Any], shadows: bool, shapes: bytes | None) -> KeyingSettings:
    framing = source["settings"]
    return KeyingSettings(
        settings(KeyerSettings, source["keyer"]),
        settings(FramingSettings, framing),
        framing.get("keyed_at", 0),
        shadows,
        whole="steady" in source,
        shapes=shapes,
    )


def keyed(sample: Sample, shot: Shot, sources: Mapping[str, KeyingSettings], mattes: Mattes | None = None) -> Sample:
    """The object of a picture on a pure screen.  sources: by their names in the plan.

    mattes: of the clip's other frames, as far as they are there already.

    DataError kinds: no_screen, empty (nothing stands before the screen, and no clip is whole only with it), cut (only
    where it is framed).
    """
    own = sources[shot.source]
    taken = as_unit(sample.rgb) if shot.exact is None else shot.exact
    with _LARGE_IN_WORK if taken.size // 3 >= LARGE else nullcontext():
        picture = averaged(taken, own.keyed_at)
        screen, plate = _screen_of(picture, shot)
        behind = plate_at(plate, *picture.shape[:2])
        halved = shot.halved and picture is taken  # averaged colours may be as sharp as light
        found = key_frame(picture, behind, screen, own.keyer, halved=halved, shapes=own.shapes)
        steady = found.alpha
        if shot.name is not None:
            kept = Mattes() if mattes is None else mattes
            kept.keep(shot.source, shot.name, found.alpha)

            def alone(picture: Floats) -> Floats:
                return key_frame(picture, behind, screen, own.keyer, halved=halved, shapes=own.shapes).alpha

            beside = [_neighbour(other, shot.source, own.keyed_at, alone, kept) for other in shot.beside]
            steady = steadied(Frame(picture, found.alpha), beside, screen, halved=halved)
    layers, opacity = {TRUST: as_trust(found.deviation)}, steady
    if own.shadows:
        shadow, left = shadow_apart(picture, behind, found.alpha, screen.noise / 255)
        opacity = np.where(left < found.alpha, left, steady)  # or the little that α was moved by may decide
        layers[SHADOW.name] = as_levels(shadow)
    alpha, foreground = as_levels(opacity), as_levels(found.foreground)
    if not alpha.any() and not own.whole:
        raise DataError("empty", "the picture shows nothing but its screen")
    made = painted(
        sample.request,
        sample.origin,
        foreground,
        alpha,
        own.framing,
        flush=cut_sides(alpha),
        pose=shot.pose,
        filmed=screen.colour,
        layers=layers,
    )
    return _beneath(made) if own.shadows else made


def _beneath(sample: Sample) -> Sample:
    """No shadow where the object hides its screen."""
    assert sample.alpha is not None  # it has just been made
    shadow = np.where(sample.alpha < 255, sample.layers[SHADOW.name], np.uint8(0))
    return replace(sample, layers={**sample.layers, SHADOW.name: shadow})


def _neighbour(other: Neighbour, source: str, keyed_at: int, alone: Callable[[Floats], Floats], kept: Mattes) -> Frame:
    """Another frame of the clip as it is keyed alone."""
    picture = averaged(other.exact, keyed_at)
    alpha = kept.get(source, other.name)
    if alpha is None:
        alpha = alone(picture)
        kept.keep(source, other.name, alpha)
    return Frame(picture, alpha)


def averaged(picture: Floats, lines: int) -> Floats:
    """The picture made smaller by the whole factor that brings its shorter side nearest to so many pixels; 0: as it is.

    Compositing is linear: the matte of the mean is the mean of the mattes, at less noise and time.
    """
    height, width = picture.shape[:2]
    factor = max(1, round(min(height, width) / lines)) if lines else 1
    return picture if factor == 1 else resized(picture, (round(width / factor), round(height / factor)))


def _screen_of(picture: Floats, shot: Shot) -> tuple[Screen, Picture16]:
    """What stands behind the object, and its clean plate. Raises DataError("no_screen").

    The same screen with nothing in front is looked at as another frame of the same camera: it shows the screen where
    the picture does not, and where both do its light has no more say than the picture's own.
    """
    if shot.screen is not None:
        return Screen(colour=shot.screen.colour, noise=shot.screen.noise), shot.screen.plate
    looks = [unaveraged(picture, LONG_SIDE)]
    if shot.empty is not None:
        looks.append(resized(as_unit(shot.empty), looks[0].shape[1::-1]))
    screen = find_screen(looks)
    return screen, clean_plate(looks, screen)
