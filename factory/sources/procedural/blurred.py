"""Things in motion: the matte is the share of the exposure that each pixel was covered."""

from dataclasses import replace

import numpy as np

from factory.sources.procedural.canvas import Canvas, View
from factory.sources.procedural.palette import INK, METAL, tone
from factory.sources.procedural.registry import object_class
from factory.sources.procedural.shapes import circle, rays, smooth, turned

FRAMES = 24  # instants in one exposure


def _moved(view: View, x: float, y: float, degrees: float = 0.0, shrink: float = 1.0) -> View:
    a = np.radians(degrees)
    motion = np.array(
        [[shrink * np.cos(a), -shrink * np.sin(a), x], [shrink * np.sin(a), shrink * np.cos(a), y], [0, 0, 1]]
    )
    return replace(view, projection=view.projection @ motion)


@object_class(
    "comet", colours=("orange", "red", "blue", "purple", "white", "yellow", "pink", "gold", "cyan", "gray"), turn=25
)
def comet(canvas: Canvas) -> None:
    """A star that stops at the end of its path: sharp head, smeared tail."""
    corners = rays(5, 0.27, 0.55, canvas.rng.uniform(-20, 20))
    long = canvas.rng.uniform(1.0, 1.3)

    def instant(frame: Canvas) -> None:
        frame.fill(circle(0, 0, 0.36), frame.lit(frame.colour, 0.3))

    way = 1 - np.linspace(0, 1, FRAMES) ** 1.3  # it slows down
    canvas.exposure(
        instant, [_moved(canvas.view, float(long * t), float(-0.5 * long * t), shrink=float(1 - 0.5 * t)) for t in way]
    )
    canvas.fill(corners, canvas.lit(canvas.colour, 0.4))
    canvas.fill(corners * 0.5, tone(canvas.colour, 0.5 if canvas.colour.mean() < 0.85 else -0.12))


@object_class("spinning fan", turn=10)
def spinning_fan(canvas: Canvas) -> None:
    rng = canvas.rng
    n, sweep, phase = int(rng.integers(3, 6)), rng.uniform(18, 34), rng.uniform(0, 360)
    canvas.fill(circle(0, 0, 0.1), INK)
    blade = smooth([(0.08, -0.04), (0.5, -0.3), (0.95, -0.24), (0.98, 0.06), (0.5, 0.1)])

    def instant(frame: Canvas) -> None:
        frame.fill([turned(blade, phase + 360 * k / n) for k in range(n)], frame.lit(frame.colour, 0.25))

    canvas.exposure(instant, [_moved(canvas.view, 0, 0, float(a)) for a in np.linspace(0, sweep, FRAMES)])
    canvas.fill(circle(0, 0, 0.17), canvas.ball(METAL, 0, 0, 0.18, 0.8))
