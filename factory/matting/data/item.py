"""One sample as a trainer takes it."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from torch import Tensor


class Item(TypedDict):
    """Tensors of one sample; torch's `default_collate` puts N before each shape. Of a clip, T stands before (C, H, W).

    image = alpha · foreground + (1 − alpha) · background, in gamma-encoded sRGB, to float32's precision.
    """

    image: "Tensor"  # (3, H, W) float32 0..1
    trimap: "Tensor"  # (1, H, W) float32, exactly 0, 0.5 or 1
    alpha: "Tensor"  # (1, H, W) float32 0..1, linear coverage
    foreground: "Tensor"  # (3, H, W) float32 0..1, straight
    background: "Tensor"  # (3, H, W) float32 0..1
    weight: "Tensor"  # () float32 0..1: how far the label is trusted
    key: str  # "SET/KEY"
