"""v2 prototype."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.despill import unmix
from factory.greenscreen.keying import clip_ends, dominance, screen_axis
from factory.greenscreen.screen import Screen

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyerSettings:
    """How a frame is keyed."""

    black_point: float = 1.0  # noise of the screen, in standard deviations, that counts as clean screen
    solid: float = 0.85  # apparent α from which an object counts as opaque
    chroma: float = 0.015
    light: float = 0.3
    work: int = 512
    prior: float = 0.01
    wide: float = 0.1
    radius: int = 2
    quiet: float = 1.5
    near_light: float = 0.1
    rounds: int = 0
    rim: float = 0.003
    inject: float = 1.0
    iradius: int = 2
    ieps: float = 0.01
    isig: float = 1.0
    ipow: float = 2.0
    imix: int = 1
    deep: int = 3
    window: int = 15
    close: float = 0.97
    low: float = 0.85
    mid: float = 0.1
    far: float = 0.01
    s1: float = 2.0


def key_frame(picture: Floats, plate: Floats, screen: Screen, settings: KeyerSettings) -> tuple[Floats, Floats]:
    """α and straight foreground of one frame."""
    height, width = picture.shape[:2]
    colour = np.asarray(screen.colour, np.float32) / 255
    scale = min(1.0, settings.work / max(height, width))
    size = (round(width * scale), round(height * scale))
    B = cv2.resize(plate, size, interpolation=cv2.INTER_AREA if plate.shape[1] > size[0] else cv2.INTER_LINEAR)
    if plate.shape[:2] != (height, width):
        plate = np.asarray(cv2.resize(plate, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    axis = screen_axis(colour)
    noise = screen.noise / 255 * float(np.abs(axis).sum())
    dom = 1 - dominance(picture, colour) / np.maximum(dominance(plate, colour), 0.02)
    sm = cv2.GaussianBlur(dom, (3, 3), 0) if noise > 0.01 else dom
    solid = np.asarray(np.clip((sm - settings.solid) / (1 - settings.solid - noise), 0, 1), np.float32) ** 2
    n = 2 * settings.deep + 1
    peak = cv2.dilate(sm, np.ones((settings.window, settings.window), np.uint8))
    relative = np.clip((sm / np.maximum(peak, settings.solid) - settings.close) / (0.99 - settings.close), 0, 1)
    core = np.maximum(cv2.erode(solid, np.ones((n, n), np.uint8)), solid * relative) + settings.rim * solid
    for i in range(settings.rounds):
        alpha = functional_alpha(picture, core, B, settings)
        t = np.clip((alpha - settings.low) / (1 - settings.low), 0, 1) ** 2
        core = cv2.erode(t, np.ones((3, 3), np.uint8)) + settings.rim * t
    alpha = functional_alpha(picture, core, B, settings)
    sa = screen.noise / 255 * float(np.sqrt(axis @ axis))
    if settings.inject > 0:
        alpha = detailed2(alpha, cv2.transform(picture, np.array([[0.299, 0.587, 0.114]], np.float32)), settings)
    if sa > 0.004:
        alpha = guided(alpha, settings.radius, (settings.quiet * sa) ** 2)
    alpha = np.clip(alpha, 0, 1)
    inner = cv2.erode(solid, np.ones((3, 3), np.uint8))
    alpha = np.maximum(alpha, inner)
    alpha = clip_ends(np.asarray(alpha, np.float32), float(np.clip(settings.black_point * sa, 0.4 / 255, 0.15)))
    return alpha, unmix(picture, alpha, plate)


def functional_alpha(picture, solid, B, settings):
    height, width = picture.shape[:2]
    size = B.shape[1], B.shape[0]
    w = cv2.resize(solid, size, interpolation=cv2.INTER_AREA)
    m = cv2.resize(picture * solid[..., None], size, interpolation=cv2.INTER_AREA)
    own = m / np.maximum(w, 1e-6)[..., None]
    r, g, b = own[..., 0], own[..., 1], own[..., 2]
    moments = np.dstack([own, r * r, r * g, r * b, g * g, g * b, b * b])
    spread = blurred_fill(moments, w, settings)
    known = spread[..., 9]
    mu = spread[..., :3]
    S = np.empty((*w.shape, 3, 3), np.float32)
    for k, (i, j) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]):
        S[..., i, j] = S[..., j, i] = spread[..., 3 + k] - mu[..., i] * mu[..., j]
    trust = known / (known + settings.prior)
    grey = 0.5 * np.ones(3, np.float32)
    S = trust[..., None, None] * S + (1 - trust)[..., None, None] * settings.wide**2 * np.eye(3, dtype=np.float32)
    mu = grey + trust[..., None] * (mu - grey)
    l2 = settings.light**2 * (1 - trust) + settings.near_light**2
    S += settings.chroma**2 * np.eye(3, dtype=np.float32) + l2[..., None, None] * np.ones((3, 3), np.float32)
    d = B - mu
    functional = np.linalg.solve(S, d[..., None])[..., 0]
    functional /= np.maximum(np.sum(functional * d, axis=-1, keepdims=True), 1e-6)
    offset = np.sum(functional * B, axis=-1)
    F4 = cv2.resize(np.dstack([functional, offset]), (width, height), interpolation=cv2.INTER_LINEAR)
    return F4[..., 3] - np.sum(F4[..., :3] * picture, axis=-1)


def blurred_fill(values: Floats, weight: Floats, settings) -> Floats:
    """Normalised convolution at a few scales then far fill; last channel: how much is known near"""
    v = np.dstack([values * weight[..., None], weight])
    out = None
    near = cv2.GaussianBlur(v, (0, 0), settings.s1)
    mid = cv2.GaussianBlur(v, (0, 0), 6.0)
    q = cv2.resize(v, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    far = cv2.resize(cv2.GaussianBlur(q, (0, 0), 6.0), (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
    acc = near + settings.mid * mid + settings.far * far
    mass = acc[..., -1:]
    res = acc[..., :-1] / np.maximum(mass, 1e-9)
    return np.dstack([res, mass[..., 0]])


def guided(a, radius, eps):
    k = (2 * radius + 1, 2 * radius + 1)
    m = cv2.blur(a, k)
    v = cv2.blur(a * a, k) - m * m
    g = np.maximum(v - eps, 0) / (v + 1e-9)
    b = m - g * m
    return cv2.blur(g, k) * a + cv2.blur(b, k)


def detailed(alpha, luma, settings):
    a0 = np.clip(alpha, 0, 1)
    k = (2 * settings.iradius + 1,) * 2
    if settings.isig > 0:
        low = cv2.GaussianBlur(luma, (0, 0), settings.isig)
    else:
        half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        low = cv2.resize(half, (luma.shape[1], luma.shape[0]), interpolation=cv2.INTER_LINEAR)
    ma, ml = cv2.blur(a0, k), cv2.blur(low, k)
    cov = cv2.blur(a0 * low, k) - ma * ml
    var = cv2.blur(low * low, k) - ml * ml
    slope = cov / (var + settings.ieps**2)
    return alpha + settings.inject * slope * (luma - low)


def _old_detailed():
    pass


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
    mix = r * (1 if settings.imix else 0)
    inj = alpha + settings.inject * slope * (luma - low)
    return inj + mix * (q - inj)
