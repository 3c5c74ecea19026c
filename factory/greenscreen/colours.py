"""Key colours: the screens a picture can be painted on."""

from typing import Literal, TypeAlias

Colour: TypeAlias = tuple[int, int, int]  # 8-bit sRGB
KeyName: TypeAlias = Literal["green", "blue", "magenta"]

KEY_COLOURS: dict[KeyName, Colour] = {"green": (0, 255, 0), "blue": (0, 0, 255), "magenta": (255, 0, 255)}
