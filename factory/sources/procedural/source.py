"""Procedural objects as a source of samples on a screen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from numpy.random import default_rng

from factory.equation import constant_plate
from factory.errors import DataError, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.compositing import paint_on_screen
from factory.greenscreen.framing import moved_within
from factory.sample import DRAWN, Origin, Request, Sample
from factory.settings import UNSAID
from factory.sources.procedural.palette import VANISHING
from factory.sources.procedural.registry import REGISTRY
from factory.sources.procedural.render import CLASSES, render, with_texture


@dataclass(frozen=True, slots=True, kw_only=True)
class ProceduralSettings:
    """What to draw. Part of the plan.

    classes: () means all.  margin: share of the frame kept free at each border.
    wander: 0 keeps objects centred, 1 lets them go as far as the margin.
    textured: share of objects with a texture in place of the colour that their class would have.
    """

    size: int = 128
    classes: tuple[str, ...] = ()
    key: KeyName = "green"
    margin: float = 0.03
    wander: float = 0.6
    textured: float = field(default=0.0, metadata=UNSAID)

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        unknown = [name for name in self.classes if name not in REGISTRY]
        if unknown:
            raise UsageError(f"no procedural class is named {unknown[0]!r}: choose from {', '.join(CLASSES)}")
        if self.size < 16 or self.size > 4096:
            raise UsageError(f"size is {self.size}: choose 16 to 4096 pixels")
        if not 0 <= self.margin < 0.5 or not 0 <= self.wander <= 1:
            raise UsageError(f"margin is {self.margin} and wander {self.wander}: choose 0 to below 0.5, and 0 to 1")


@dataclass(frozen=True, slots=True)
class ProceduralObjects:
    """A source without input: slot i shows class i mod number of classes, everything else is the seed's."""

    settings: ProceduralSettings

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One composited sample per request."""
        return [self._sample(request) for request in requests]

    def _sample(self, request: Request) -> Sample:
        s = self.settings
        classes = s.classes or CLASSES
        screen = KEY_COLOURS[s.key]
        drawn = render(classes[request.slot % len(classes)], request.seed, s.size, VANISHING[s.key])
        rng = default_rng([request.seed, 1])
        across, down = rng.uniform(-1, 1, 2) * s.wander
        if rng.random() < s.textured:
            drawn = with_texture(drawn, rng)
        foreground, alpha = moved_within(drawn.foreground, drawn.alpha, float(across), float(down), s.margin)
        return Sample(
            request=request,
            origin=Origin(
                kind="composited",
                class_name=drawn.class_name,
                caption=drawn.caption,
                source="procedural",
                licence="CC0-1.0",
                digital_source_type=DRAWN,
                key_rgb=screen,
            ),
            rgb=paint_on_screen(foreground, alpha, screen),
            alpha=alpha,
            foreground=foreground,
            plate=constant_plate(screen),
        )
