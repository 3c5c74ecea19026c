"""Networks that matte a picture against its known background, in the place of GreenPost's own physics: its backends.

Two need no file and are no network of the user's: `physics`, and `keyer` (keyed_anew.py). Any other is a `KeyerKind`,
and a line here; or, outside of this project, an entry point of the group `factory.keyers` in a
package that people have installed, which is their word that its code may run. A recipe names backends only by their
names: no code is ever taken from where a recipe or a data set says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError, UsageError, nearest
from factory.greenscreen.compositing import as_levels, as_unit
from factory.refine.screen import screen_of
from factory.sample import BatchStep, Matte, Picture, Sample

Floats = NDArray[np.float32]

PHYSICS, KEYER = "physics", "keyer"
BUILT_IN = (PHYSICS, KEYER)  # the backends that need no weights
GROUP = "factory.keyers"
OWN = (EntryPoint("bgmv2", "factory.refine.bgmv2.keyer:BGMV2", GROUP),)

ALPHA, FOREGROUND = "told_alpha", "told_foreground"  # layers in which what a network told goes to GreenPost


class Told(NamedTuple):
    """What a network makes of a picture. In 0..1."""

    alpha: Floats  # (H, W)
    foreground: Floats | None = None  # (H, W, 3) straight colours; None leaves them to GreenPost's unmixing


class Keyer(Protocol):
    """A network on its device. Deterministic, and a function of this one picture."""

    def __call__(self, picture: Floats, plate: Floats, coarse: Floats) -> Told:
        """picture, plate: (H, W, 3) gamma-encoded sRGB in 0..1, of any size.  coarse: (H, W), where the object is."""
        ...


class KeyerKind(Protocol):
    """What a backend's name stands for. Its file may load torch: it is loaded where a recipe names it."""

    def check(self, weights: Path) -> None:
        """Look at a safetensors file while a run is planned. Raises UsageError if it is not this network's."""
        ...

    def load(self, weights: Path, device: str) -> Keyer:
        """The network in a worker.  device: as torch calls it."""
        ...


def kind_of(backend: str) -> KeyerKind:
    """What a name stands for. Raises UsageError for one that nobody has, or whose package cannot be loaded."""
    known = _backends()
    if backend not in known:
        raise UsageError(
            f"greenpost.backend {backend}: there is none of that name{nearest(backend, [*BUILT_IN, *known])}; take "
            f"{', '.join([*BUILT_IN, *known])}, or install the package that brings it."
        )
    try:
        return cast(KeyerKind, known[backend].load())
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"greenpost.backend {backend} cannot be loaded ({error}): install {_package(known[backend])} anew."
        ) from error


def code_of(backend: str) -> str:
    """The package and version that a backend comes from, "" for our own: other code may give other bytes."""
    point = _backends().get(backend)
    return "" if point is None or point.dist is None else _package(point)


def _backends() -> Mapping[str, EntryPoint]:
    """By name. What is installed does not take the place of our own."""
    return {point.name: point for point in (*entry_points(group=GROUP), *OWN)}


def _package(point: EntryPoint) -> str:
    return "factory" if point.dist is None else f"{point.dist.name} {point.dist.version}"


@dataclass(slots=True)
class AgainstPlate:
    """A stage of batches: what a network tells of each picture, against the plate that K-Means finds outside the mask.

    One picture at a time: so its bytes depend on no other, and sets may have pictures of different sizes. What numpy
    does with the result (GreenPost) is a stage of single samples, and runs beside the next batch.
    """

    keyer: Keyer
    device: str

    def begin(self) -> BatchStep:
        """It remembers nothing."""
        return self._step

    def _step(self, samples: Sequence[Sample]) -> list[Sample | DataError]:
        return [self._told(sample) for sample in samples]

    def _told(self, sample: Sample) -> Sample | DataError:
        try:
            screen = screen_of(sample)
        except DataError as error:
            return error
        told = self.keyer(as_unit(sample.rgb), screen.picture, as_unit(screen.coarse))
        if told.alpha.shape != screen.coarse.shape:  # it would be stretched over the picture without a word
            raise ValueError(f"the keyer gave α of shape {told.alpha.shape} for a picture of {screen.coarse.shape}")
        given = {ALPHA: told.alpha} if told.foreground is None else {ALPHA: told.alpha, FOREGROUND: told.foreground}
        if not all(np.isfinite(values).all() for values in given.values()):
            return DataError("nan", "the network's numbers overflowed for this picture: there is no matte")
        return replace(sample, layers={**sample.layers, **{name: as_levels(own) for name, own in given.items()}})


class Taken(NamedTuple):
    """What a network told of a sample, in 8 bits, and the sample without it."""

    alpha: Matte | None  # None: none was asked
    foreground: Picture | None
    sample: Sample


def take_told(sample: Sample) -> Taken:
    """What `AgainstPlate` left for GreenPost."""
    own = {name: layer for name, layer in sample.layers.items() if name not in {ALPHA, FOREGROUND}}
    return Taken(sample.layers.get(ALPHA), sample.layers.get(FOREGROUND), replace(sample, layers=own))
