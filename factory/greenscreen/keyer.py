"""The keyer: α and straight foreground of one frame before its clean plate, unattended, for a screen of any colour."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill
from factory.greenscreen.keying import clip_ends, dominance, least_opacity, screen_axis
from factory.greenscreen.screen import Screen
from factory.greenscreen.separation import applied, foreground_clouds, functional
from factory.greenscreen.solid import solid_parts

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyerSettings:
    """How a frame is keyed."""

    work_size: int = 512  # pixels of the long side at which fields and masks are made
    black_point: float = 1.0  # noise of α, in standard deviations, that counts as clean screen
    solid: float = 0.85  # apparent α from which an object counts as opaque
    rim: float = 0.003
    deep: int = 3
    window: int = 15
    close: float = 0.97
    lit: float = 0.5
    solid0: float = 0.97
    close0: float = 0.985
    held: float = 0.8
    held0: float = 0.99
    iradius: int = 2
    ieps: float = 0.01
    isig: float = 1.0
    ipow: float = 2.0
    radius: int = 2
    quiet: float = 1.5
    light: float = 0.6
    light420: float = 0.1
    quiet420: float = 4.0
    hold: int = 1
    fpow: float = 1.0
    kappa: float = 0.3
    kappa0: float = 0.02
    spill0: float = 0.15
    spill1: float = 0.4
    despill: float = 1.0
    sharp: float = 1.0
    sharps: float = 1.0


def key_frame(picture: Floats, plate: Floats, screen: Screen, settings: KeyerSettings) -> tuple[Floats, Floats]:
    """α (H, W) and straight, despilled foreground (H, W, 3), defined everywhere."""
    height, width = picture.shape[:2]
    colour = np.asarray(screen.colour, np.float32) / 255
    scale = min(1.0, settings.work_size / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small_plate = np.asarray(cv2.resize(plate, size, interpolation=cv2.INTER_AREA if plate.shape[1] > size[0] else cv2.INTER_LINEAR), np.float32)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    axis = screen_axis(colour)
    sa = screen.noise / 255 * float(np.sqrt(axis @ axis))
    noise = screen.noise / 255 * float(np.abs(axis).sum())
    strength = np.maximum(dominance(small_plate, colour), 0.02)
    inverse = cv2.resize(1 / strength, (width, height), interpolation=cv2.INTER_LINEAR)
    dom = 1 - dominance(picture, colour) * inverse
    small_opacity = np.maximum(1 - dominance(small, colour) / strength, least_opacity(small, small_plate, 3 * screen.noise / 255 + 0.01))
    lit = min(1.0, screen.noise / settings.lit)
    hs = settings.held0 + lit * (settings.held - settings.held0)
    solid_at = settings.solid0 + lit * (settings.solid - settings.solid0)
    close = settings.close0 + lit * (settings.close - settings.close0)
    held = solid_parts(cv2.GaussianBlur(small_opacity, (0, 0), 1), hs) if settings.hold else small_opacity > 9
    held_inside = cv2.erode(held.astype(np.float32), np.ones((3, 3), np.uint8))
    held_deep = cv2.erode(held_inside, np.ones((3, 3), np.uint8))
    upright = lambda m: cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR)
    sm = cv2.GaussianBlur(dom, (3, 3), 0) if noise > 0.01 else dom
    solid = np.asarray(np.clip((sm - solid_at) / (1 - solid_at - noise), 0, 1), np.float32) ** 2
    n = 2 * settings.deep + 1
    peak = cv2.dilate(sm, np.ones((settings.window, settings.window), np.uint8))
    relative = np.clip((sm / np.maximum(peak, solid_at) - close) / (1 - 0.3 * (1 - close) - close), 0, 1)
    core = np.maximum(cv2.erode(solid, np.ones((n, n), np.uint8)), solid * relative) + settings.rim * solid
    core = np.maximum(core, upright(held_deep))
    sub = subsampled(picture)
    clouds = foreground_clouds(picture, core, size, settings.light420 if sub else settings.light)
    alpha = applied(functional(clouds, small_plate), picture)
    if sub and settings.sharp:
        alpha = alpha + settings.sharp * (alpha - cv2.GaussianBlur(alpha, (0, 0), settings.sharps))
    if sub:
        alpha = detailed2(alpha, cv2.transform(picture, np.array([[0.299, 0.587, 0.114]], np.float32)), settings)
    if sa > 0.004:
        alpha = guided(alpha, settings.radius, ((settings.quiet420 if sub else settings.quiet) * sa) ** 2)
    alpha = np.clip(alpha, 0, 1)
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8))
    alpha = np.maximum(np.maximum(alpha, inner), upright(held_inside))
    alpha = clip_ends(np.asarray(alpha, np.float32), float(np.clip(settings.black_point * sa, 0.4 / 255, 0.15)))
    return alpha, foreground_colours(picture, alpha, upright(small_plate), small, small_plate, strength, inverse, colour, lit, settings)


def foreground_colours(picture, alpha, plate, small, small_plate, strength, inverse, colour, lit, settings):
    height, width = alpha.shape
    size = small.shape[1], small.shape[0]
    a = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    f = np.clip((small - (1 - a)[..., None] * small_plate) / np.maximum(a, 0.02)[..., None], 0, 1)
    f = unspilled(f, small_plate, 1 / strength, colour, settings)
    prior = cv2.resize(fill(f, np.where(a > 0.02, a**settings.fpow, 0).astype(np.float32)), (width, height), interpolation=cv2.INTER_LINEAR)
    exact = np.clip((picture - (1 - alpha)[..., None] * plate) / np.maximum(alpha, 0.02)[..., None], 0, 1)
    kappa = settings.kappa0 + lit * (settings.kappa - settings.kappa0)
    k = alpha**2 / (alpha**2 + kappa**2 * (1 - alpha) ** 2)
    exact = unspilled(exact, plate, inverse, colour, settings)
    return prior + k[..., None] * (exact - prior)


def unspilled(f, plate, inverse, colour, settings):
    x = np.maximum(dominance(f, colour) * inverse, 0)
    t = np.clip((x - settings.spill0) / (settings.spill1 - settings.spill0), 0, 1)
    s = x * (1 - t * t * (3 - 2 * t)) * settings.despill
    return np.clip(f - s[..., None] * plate, 0, 1)


def subsampled(picture):
    y = cv2.transform(picture, np.array([[0.299, 0.587, 0.114]], np.float32))
    def rough(x):
        fourth = np.abs(x[:, :-4] - 4 * x[:, 1:-3] + 6 * x[:, 2:-2] - 4 * x[:, 3:-1] + x[:, 4:])
        first = np.abs(x[:, 3:-1] - x[:, 1:-3])
        busy = first > np.quantile(first, 0.98)
        return fourth[busy].mean() / (first[busy].mean() + 1e-6)
    return bool(np.mean([rough(picture[..., c] - y) for c in range(3)]) < 0.7 * rough(y))


def guided(a, radius, eps):
    k = (2 * radius + 1, 2 * radius + 1)
    m = cv2.blur(a, k)
    v = cv2.blur(a * a, k) - m * m
    g = np.maximum(v - eps, 0) / (v + 1e-9)
    b = m - g * m
    return cv2.blur(g, k) * a + cv2.blur(b, k)


def detailed2(alpha, luma, settings):
    a0 = np.clip(alpha, 0, 1)
    k = (2 * settings.iradius + 1,) * 2
    low = cv2.GaussianBlur(luma, (0, 0), settings.isig)
    ma, ml = cv2.blur(a0, k), cv2.blur(low, k)
    cov = cv2.blur(a0 * low, k) - ma * ml
    var = cv2.blur(low * low, k) - ml * ml
    va = cv2.blur(a0 * a0, k) - ma * ma
    slope = cov / (var + settings.ieps**2)
    r2 = np.clip(cov * slope / (va + 1e-6), 0, 1) ** settings.ipow
    base = ma - slope * ml
    s, b, r = cv2.blur(slope * r2, k), cv2.blur(base * r2, k), cv2.blur(r2, k)
    q = (s * luma + b) / (r + 1e-4)
    inj = alpha + slope * (luma - low)
    return inj + r * (q - inj)
