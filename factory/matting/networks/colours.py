"""What pictures are normalised by before a network sees them."""

from typing import TypeAlias

Colours: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of red, green and blue."""

IMAGENET: Colours = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures that backbones are trained on; the authors of IndexNet and of ViTMatte take them off."""
