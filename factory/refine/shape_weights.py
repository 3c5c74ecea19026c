"""Weights of the keyer's shape network in a file of the user's."""

from pathlib import Path

from factory.errors import UsageError
from factory.models.weights import shapes_in, weights_file


def shape_weights(place: Path, name: str) -> Path:
    """The file, looked at but not read.  name: of the flag or setting that names the place.

    Raises UsageError for a file that is missing, unsafe or of another network.
    """
    from factory.greenscreen.keyer.shape_network import ShapeNetwork  # noqa: PLC0415  (torch takes seconds)

    file = weights_file(place, name)
    if shapes_in(file) != {name: tuple(value.shape) for name, value in ShapeNetwork().state_dict().items()}:
        raise UsageError(
            f"{name} {file} is no shape network of this keyer, or an earlier one's: give what this version's "
            "`factory train-keyer` made."
        )
    return file
