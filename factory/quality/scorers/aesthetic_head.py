"""The head of an aesthetic score: an affine map of a picture's direction in CLIP's space.

The published heads (LAION's linear ones, and the "linearMSE" ones of improved-aesthetic-predictor) have no activations,
so that five linear layers in a row are one affine map, exactly.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from factory.errors import UsageError, some
from factory.models.weights import weights_file

ARRAYS = ".npz"
MAX_BYTES = 64 << 20  # sixteen times the largest published one, unpacked
LAYERS = tuple(f"layers.{place}" for place in (0, 2, 4, 6, 7))  # improved-aesthetic-predictor's; between them dropout
WANTED = "give improved-aesthetic-predictor's linearMSE, LAION's linear one, or an .npz of weight and bias"


UNREADABLE = (
    *(SafetensorError, BadZipFile, OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError),
    MemoryError,  # of an array whose header claims more than there is
)


class Head(NamedTuple):
    """weight: (D,) float32.  bias: float."""

    weight: NDArray[np.float32]
    bias: float


def read_head(path: Path, setting: str) -> Head:
    """The head in a .safetensors or .npz file.  setting: that names it.

    Raises UsageError where it is missing, unsafe or of another network.
    """
    file = weights_file(path, setting)
    arrays = {name: np.asarray(array, np.float64) for name, array in _arrays(file).items()}
    if arrays.keys() == {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}:
        layers = [(arrays[f"{layer}.weight"], arrays[f"{layer}.bias"]) for layer in LAYERS]
    elif arrays.keys() == {"weight", "bias"}:
        layers = [(np.atleast_2d(arrays["weight"]), np.atleast_1d(arrays["bias"]))]
    else:
        raise UsageError(f"{setting} {file} is no head of linear layers alone ({some(sorted(arrays))}): {WANTED}.")
    try:
        weight, bias = _collapsed(layers)
    except ValueError as error:
        raise UsageError(f"{setting} {file}: its layers do not fit each other: {WANTED}.") from error
    if weight.shape[0] != 1 or bias.shape != (1,) or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise UsageError(f"{setting} {file} does not tell one finite number: {WANTED}.")
    return Head(weight[0].astype(np.float32), float(bias[0]))


def _collapsed(
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂), and so on."""
    (weight, bias), *later = layers
    for outer, added in later:
        weight, bias = outer @ weight, outer @ bias + added
    return weight, bias


def _arrays(file: Path) -> Mapping[str, NDArray[np.floating]]:
    """Raises UsageError where the file is damaged."""
    from safetensors.torch import load_file  # noqa: PLC0415  (seconds; NumPy knows neither bfloat16 nor float8)

    try:
        if file.suffix != ARRAYS:
            return {name: tensor.double().numpy() for name, tensor in load_file(file).items()}
        with ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise UsageError(f"{file} holds {unpacked:,} bytes, which is no head: {WANTED}.")
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except UNREADABLE as error:
        raise UsageError(f"{file} is damaged or of another kind ({error}): copy it again.") from error
