"""A picture that is a control picture already: depth, normals, line art, segments, of whatever program."""

from factory.diffusion.given.pictures import in_the_middle
from factory.diffusion.sizes import Size
from factory.greenscreen.colours import Colour
from factory.pictures.picture import decode_layers
from factory.sample import Picture

NOTHING: Colour = (0, 0, 0)  # what a control picture is where there is none: about one of another shape
BEHIND: Colour = (128, 128, 128)  # of what is transparent, where a picture is looked at: few objects vanish before it


def as_is(data: bytes, size: Size) -> Picture:
    """The picture itself, whole in the middle, as pictures to begin with are; black where it is transparent."""
    return in_the_middle(*decode_layers(data), NOTHING, size)
