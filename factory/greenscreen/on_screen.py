"""An object and its matte on a screen of one pure colour, the last step of every such source.

It is set into a square, or stays where its picture shows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from numpy.random import default_rng

from factory.equation import constant_plate
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyChoice, nearest_key
from factory.greenscreen.compositing import paint_on_screen
from factory.greenscreen.framing import Sides, bounds, framed, laid_beside, mirrored, moved_within, placement
from factory.sample import Matte, Origin, Picture, Request, Sample
from factory.trust import SURE, TRUST

NO_LAYERS: Mapping[str, Matte] = MappingProxyType({})
BEYOND = {TRUST: SURE}  # what a layer has where the picture ends; 0 where nothing is said


@dataclass(frozen=True, slots=True, kw_only=True)
class FramingSettings:
    """How objects are framed. Part of the plan.

    size: pixels of the square; 0 leaves the object as and where its picture shows it, at the picture's own size.
    key: the pure screen's colour, or the one nearest to the screen that the object was filmed before.
    margin: smallest and largest share of the frame left free beside the object's longer side, drawn per sample.
    wander: 0 keeps objects centred, 1 lets them go as far as the smallest margin.
    flip: probability of a mirrored object.
    """

    size: int = 128
    key: KeyChoice = "green"
    margin: tuple[float, float] = (0.05, 0.14)
    wander: float = 0.6
    flip: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        if self.size != 0 and not 16 <= self.size <= 4096:
            raise UsageError(f"size is {self.size}: choose 16 to 4096 pixels, or 0 for each picture's own size")
        if not 0 <= self.margin[0] <= self.margin[1] < 0.5:
            raise UsageError(f"margin is {self.margin}: give two shares of the frame, rising, from 0 to below 0.5")


def painted(
    request: Request,
    origin: Origin,
    foreground: Picture,
    alpha: Matte,
    framing: FramingSettings,
    *,
    flush: Sides = frozenset(),
    pose: int | None = None,
    filmed: tuple[float, float, float] = KEY_COLOURS["green"],
    layers: Mapping[str, Matte] = NO_LAYERS,
) -> Sample:
    """The object on the pure key colour, in a square: margin, position and mirroring drawn from a seed.

    foreground: (H, W, 3) straight colour; alpha: (H, W), not empty.  origin: its key_rgb is set here.
    flush: the sides by which the source picture cuts the object (`framing.cut_sides(alpha)` for photographs and
    frames; none for cut-outs). The object stays flush with the same side of the square, so that no cut edge floats in
    the air.  Raises DataError("cut") where that cannot be (see `framing.framed`).
    pose: the seed; the request's own where it is None.
    filmed: the screen (8-bit levels) that it was keyed from, for the key colour nearest to it.
    layers: what else is told of the picture (H, W); framed as the object is, but not cut to it.
    """
    if framing.size:
        seed = request.seed if pose is None else pose
        foreground, alpha, layers = _posed(foreground, alpha, layers, framing, flush=flush, seed=seed)
    screen = KEY_COLOURS[nearest_key(filmed) if framing.key == "nearest" else framing.key]
    return Sample(
        request=request,
        origin=replace(origin, key_rgb=screen),
        rgb=paint_on_screen(foreground, alpha, screen),
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(screen),
        layers=layers,
    )


def _posed(
    foreground: Picture,
    alpha: Matte,
    layers: Mapping[str, Matte],
    framing: FramingSettings,
    *,
    flush: Sides,
    seed: int,
) -> tuple[Picture, Matte, Mapping[str, Matte]]:
    """The object in its square, and the layers about it."""
    random = default_rng(seed)
    margin, flip = random.uniform(*framing.margin), random.random() < framing.flip
    across, down = (float(way) for way in random.uniform(-1, 1, 2) * framing.wander)
    if flip:
        foreground, alpha, flush = foreground[:, ::-1], alpha[:, ::-1], mirrored(flush)
        layers = {name: layer[:, ::-1] for name, layer in layers.items()}
    colours, matte = framed(foreground, alpha, framing.size, margin, flush)
    across, down = across * flush.isdisjoint({"left", "right"}), down * flush.isdisjoint({"top", "bottom"})
    colours, moved = moved_within(colours, matte, across, down, framing.margin[0])
    if not layers:
        return colours, moved, layers
    room = placement(alpha, framing.size, margin, flush)
    steps = tuple(after - before for before, after in zip(bounds(matte)[:2], bounds(moved)[:2], strict=True))
    return (
        colours,
        moved,
        {name: laid_beside(layer, room, framing.size, steps, BEYOND.get(name, 0)) for name, layer in layers.items()},
    )
