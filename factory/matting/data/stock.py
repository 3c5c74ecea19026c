"""All that items are drawn from: the sets in their order, the backgrounds, and what of both turned out to be broken."""

import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from factory.equation import plate_picture
from factory.errors import DataError, UsageError
from factory.home import at_home
from factory.matting.data.backgrounds import find_backgrounds
from factory.matting.data.cache import Cache
from factory.matting.data.material import Decoded, OpenSet, open_sets
from factory.matting.data.order import Indices, epoch_order
from factory.matting.data.recipes import RECIPES, background_window, draw_jitter
from factory.matting.data.scene import Bands, Ground, Layer, unknown_place
from factory.matting.data.settings import LoaderSettings, check

LOG = logging.getLogger("factory.matting")
STAND_INS = 50  # samples, or backgrounds, one after the other that may be unusable
NEAR = 256  # places of the order within which a second object lies: its shard is being read anyway

T = TypeVar("T")


class Stock:
    """Opened sets and backgrounds. What is drawn depends on the settings and the seed alone, whichever worker draws it.

    Raises UsageError where the settings, a set, the backgrounds or the cache are not as they should be.
    """

    def __init__(self, settings: LoaderSettings, seed: int) -> None:
        check(settings)
        if seed < 0:
            raise UsageError(f"the seed is {seed}: give one that is not negative.")
        self.settings, self.seed = settings, seed
        self.ways = RECIPES[settings.recipe]
        self.sets = open_sets(settings.sets, settings.binary)
        self.backgrounds = find_backgrounds(settings.backgrounds) if settings.backgrounds is not None else None
        self.cache = Cache(at_home(Path(settings.cache))) if settings.cache is not None else None
        self._ends = np.array(list(accumulate(len(each.samples) for each in self.sets)))
        self.length = settings.length or int(self._ends[-1])
        self._orders: dict[int, Indices] = {}
        # Shared with all workers, so that each is named once.
        self._unusable = _shared_flags(int(self._ends[-1]))
        grounds = len(self.backgrounds.names) if self.backgrounds else 0
        self._broken = _shared_flags(grounds)

    @property
    def unusable(self) -> list[str]:
        """The keys of samples that were met so far and could not be used."""
        return [one.key(place) for one, place in map(self._locate, self._unusable.nonzero()[:, 0].tolist())]

    @property
    def broken_backgrounds(self) -> list[str]:
        """The backgrounds that were met so far and could not be read."""
        names = self.backgrounds.names if self.backgrounds else ()
        return [names[number] for number in self._broken.nonzero()[:, 0].tolist()]

    def usable(
        self, epoch: int, position: int, make: Callable[[np.random.Generator, int], T]
    ) -> tuple[T, OpenSet, int]:
        """What `make` (generator, position) makes of the sample at a place of the order, or else of the next that is
        usable; and which sample of which set it was.
        """
        for attempt in range(STAND_INS):
            at = (position + attempt) % self.length
            index = int(self._order(epoch)[at])
            one, place = self._locate(index)
            try:
                return make(np.random.default_rng((self.seed, epoch, position, attempt)), at), one, place
            except DataError as error:
                if not self._unusable[index]:
                    self._unusable[index] = True
                    LOG.warning("%s is left out: %s", one.key(place), error)
        raise UsageError(f"{STAND_INS} samples one after the other cannot be used: `factory verify` the sets.")

    def layers(self, rng: np.random.Generator, epoch: int, position: int) -> tuple[Decoded, list[Layer]]:
        """The sample at a place of the order, as a layer in front, and by chance one from near behind it."""
        first = self._read(epoch, position)
        layers = [self._layer(first, rng)]
        asked = self.settings.two_foregrounds
        if rng.random() < (self.ways.two_foregrounds if asked is None else asked):
            beside = (position + int(rng.integers(1, NEAR))) % self.length
            with suppress(DataError):  # it is named when its own turn comes
                layers.append(self._layer(self._read(epoch, beside), rng))
        return first, layers

    def ground(self, rng: np.random.Generator, first: Decoded, front: Layer) -> Ground:
        """A random background; with `screen` the first sample's own, as its front layer is seen."""
        if self.backgrounds is None:
            if not first.plate:
                raise DataError("no_plate", "it is not known what screen it is stored on")
            height, width = first.alpha.shape
            return Ground(np.rint(plate_picture(first.plate, height, width)).astype(np.uint8), front.window)
        begin, count = int(rng.integers(len(self._broken))), len(self._broken)
        for attempt in range(min(STAND_INS, count)):
            number = (begin + attempt) % count
            try:
                picture = self.backgrounds.read(number, self.cache)
            except DataError as error:
                if not self._broken[number]:
                    self._broken[number] = True
                    LOG.warning("the background %s is left out: %s", self.backgrounds.names[number], error)
            else:
                return Ground(picture, background_window(rng, picture.shape, self.settings.crop))
        raise UsageError(f"no background in {self.backgrounds.folder} can be read: name a folder of sound pictures.")

    def bands(self, rng: np.random.Generator) -> Bands:
        """Random widths."""
        inside = float(rng.uniform(*(self.settings.inside or self.ways.inside)))
        outside = float(rng.uniform(*(self.settings.outside or self.ways.outside)))
        told = self.settings.inside or self.settings.outside
        return Bands(inside, inside if self.ways.alike and not told else outside)

    def _layer(self, sample: Decoded, rng: np.random.Generator) -> Layer:
        place = unknown_place(sample.alpha, rng)
        if place is None:
            raise DataError("no_unknown", "its matte is the same everywhere, so no trimap has an unknown region")
        window = self.ways.window(rng, sample.alpha.shape, place, self.settings.crop)
        jitter = draw_jitter(rng) if self.ways.coloured else None
        return Layer(sample.alpha, sample.foreground, window, self.ways.border, jitter)

    def _read(self, epoch: int, position: int) -> Decoded:
        one, place = self._locate(int(self._order(epoch)[position]))
        return one.read(place, self.cache)

    def _locate(self, index: int) -> tuple[OpenSet, int]:
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self.sets[number], index - int(self._ends[number] - len(self.sets[number].samples))

    def _order(self, epoch: int) -> Indices:
        if epoch not in self._orders:
            if len(self._orders) > 1:  # at a seam of two epochs, workers need both
                self._orders.pop(min(self._orders))
            ranked = [each.ranked for each in self.sets]
            self._orders[epoch] = epoch_order(ranked, self.length, self.seed, epoch)
        return self._orders[epoch]


def _shared_flags(count: int) -> torch.Tensor:
    flags = torch.zeros(count, dtype=torch.bool)
    torch.Tensor.share_memory_(flags)  # type: ignore[no-untyped-call]
    return flags
