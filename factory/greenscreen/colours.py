"""Key colours: the screens a picture can be painted on."""

from colorsys import rgb_to_hsv
from typing import Literal, TypeAlias

Colour: TypeAlias = tuple[int, int, int]  # 8-bit sRGB
KeyName: TypeAlias = Literal["green", "blue", "magenta"]
KeyChoice: TypeAlias = Literal["green", "blue", "magenta", "nearest"]  # "nearest" to the screen it was filmed before

KEY_COLOURS: dict[KeyName, Colour] = {"green": (0, 255, 0), "blue": (0, 0, 255), "magenta": (255, 0, 255)}


def nearest_key(screen: tuple[float, float, float]) -> KeyName:
    """The key colour whose hue lies nearest to that of a screen (8-bit levels); of equally near ones the first.

    Who was dressed for a screen has little of its hue, so such a key takes nothing of the object.
    """

    def apart(name: KeyName) -> float:
        away = abs(_hue(KEY_COLOURS[name]) - _hue(screen))
        return min(away, 1 - away)

    return min(KEY_COLOURS, key=apart)


def _hue(colour: tuple[float, float, float]) -> float:
    """0..1, once round the circle."""
    return rgb_to_hsv(*(channel / 255 for channel in colour))[0]
