"""How the file that belongs to a prompt becomes the picture that a control network is shown: one file a kind.

A new one is such a file with a function, and a line here.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from factory.diffusion.control.as_is import as_is
from factory.diffusion.control.canny import canny
from factory.diffusion.control.contour import contour
from factory.diffusion.control.pose import pose
from factory.diffusion.control.scribble import scribble
from factory.diffusion.sizes import Size
from factory.sample import Picture

Draw: TypeAlias = Callable[[bytes, Size], Picture]
"""A file's content and a size -> (*size, 3) uint8. Raises DataError for a file that it makes none of."""

KINDS: Mapping[str, Draw] = {"as-is": as_is, "canny": canny, "scribble": scribble, "pose": pose, "contour": contour}
