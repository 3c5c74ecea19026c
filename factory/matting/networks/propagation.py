"""α carried from where a trimap knows it into what it leaves open, along the picture's own colours.

Within a small window α is taken for a linear function of colour (Levin, Lischinski, Weiss, "A closed-form solution to
natural image matting", 2008). One guided filter is one step toward that solution (He, Sun, Tang, "Guided image
filtering", 2010, section 3.4); coarse levels bring α across, each finer one goes on from there. So many steps and no
more: no solver is needed, any device runs it, and what lies further than 490 pixels has no say.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

LEVELS = 3  # of halves
WIDE, WIDE_STEPS = 3, 5  # radius of windows, in pixels of their level, and steps with them, at each level
NARROW, NARROW_STEPS = 1, 8  # at last: what is finer than wide windows can tell
MOMENTUM = 0.9
NOISE = 1e-6  # variance of colour within a window below which it says nothing of α

Level = tuple[Tensor, Tensor, Tensor]
"""Picture, how much of each pixel is known, and α of what is known times that."""


def propagated(image: Tensor, trimap: Tensor) -> Tensor:
    """(N, 1, H, W): α, exactly as known where it is known; elsewhere it may leave 0..1, for callers to clamp.

    image: (N, 3, H, W) in 0..1, H and W multiples of 2^LEVELS, float32 or more: variances of 16 bits would be noise.
    trimap: (N, 1, H, W) of 0, 0.5 and 1.
    """
    known = (trimap != 0.5).to(image.dtype)
    levels = [(image, known, known * trimap)]
    for _ in range(LEVELS):
        image, known, alpha = (avg_pool2d(part, 2) for part in levels[-1])
        levels.append((image, known, alpha))
    _, known, alpha = levels[-1]
    alpha = (alpha + 1e-3 * 0.5) / (known + 1e-3)  # where nothing is known: ½
    for number, level in enumerate(reversed(levels)):
        if number:
            alpha = interpolate(alpha, scale_factor=2.0, mode="bilinear")
        alpha = _stepped(alpha, level, WIDE, WIDE_STEPS)
    return _stepped(alpha, levels[0], NARROW, NARROW_STEPS)


def _stepped(alpha: Tensor, level: Level, radius: int, steps: int) -> Tensor:
    """α after some steps with momentum."""
    image, known, fixed = level
    before = alpha = fixed + (1 - known) * alpha
    linear = _LinearInColour(image, radius)
    for _ in range(steps):
        after = fixed + (1 - known) * linear(alpha)
        alpha, before = after + MOMENTUM * (1 - known) * (after - before), after
    return alpha


class _LinearInColour:
    """The guided filter of one picture: what is linear in colour within each window stays as it is."""

    def __init__(self, image: Tensor, radius: int) -> None:
        self.image, self.radius = image - 0.5, radius  # about 0 squares round less
        self.mean = _windows(self.image, radius)
        squares = _windows(_products(self.image), radius)
        rr, rg, rb, gg, gb, bb = (squares - _products(self.mean)).unbind(1)
        # L·D·Lᵀ of the covariance: windows of one hue are nearly singular, cofactors would drown in rounding
        self.d0 = rr + NOISE
        self.l10, self.l20 = rg / self.d0, rb / self.d0
        self.d1 = gg + NOISE - rg * self.l10
        rest = gb - rg * self.l20
        self.l21 = rest / self.d1
        self.d2 = bb + NOISE - rb * self.l20 - rest * self.l21

    def __call__(self, alpha: Tensor) -> Tensor:
        """(N, 1, H, W)."""
        windows = _windows(torch.cat([alpha, alpha * self.image], dim=1), self.radius)
        mean = windows[:, :1]
        y0, y1, y2 = (windows[:, 1:] - self.mean * mean).unbind(1)
        y1 = y1 - self.l10 * y0
        y2 = y2 - self.l20 * y0 - self.l21 * y1
        blue = y2 / self.d2
        green = y1 / self.d1 - self.l21 * blue
        red = y0 / self.d0 - self.l10 * green - self.l20 * blue
        slope = torch.stack([red, green, blue], dim=1)
        offset = mean - (slope * self.mean).sum(dim=1, keepdim=True)
        windows = _windows(torch.cat([slope, offset], dim=1), self.radius)
        return (windows[:, :3] * self.image).sum(dim=1, keepdim=True) + windows[:, 3:]


def _products(colours: Tensor) -> Tensor:
    """(N, 6, H, W): of every two of three channels."""
    red, green, blue = colours.unbind(1)
    return torch.stack([red * red, red * green, red * blue, green * green, green * blue, blue * blue], dim=1)


def _windows(values: Tensor, radius: int) -> Tensor:
    """The mean of each pixel's window. Sums of shifted copies: on a CPU ten times as fast as pooling."""
    side, (height, width) = 2 * radius + 1, values.shape[-2:]
    values = pad(values, (radius,) * 4, mode="replicate")
    rows = values[:, :, :height] + values[:, :, 1 : height + 1]
    for shift in range(2, side):
        rows += values[:, :, shift : height + shift]
    both = rows[..., :width] + rows[..., 1 : width + 1]
    for shift in range(2, side):
        both += rows[..., shift : width + shift]
    return both / side**2
