"""What a loader is told: which sets, which backgrounds, which recipe."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from factory.errors import UsageError

Recipe: TypeAlias = Literal["indexnet", "vitmatte"]

MULTIPLE = 32  # of networks that halve a picture five times


@dataclass(frozen=True)
class SetEntry:
    """One set among those that are mixed.

    path: a data set folder.  split: of its samples.
    share: its weight in the mixture, γ: a set of share 2 is drawn from twice as often as one of share 1, however many
    samples either has.  quality: whether its samples are drawn in proportion to how far their labels are trusted.
    """

    path: str
    share: float = 1.0
    split: str = "train"
    quality: bool = True


@dataclass(frozen=True)
class LoaderSettings:
    """All that decides an item beside the seed.

    backgrounds: a folder of pictures; None needs `screen`.
    screen: train on the screens that the samples are stored on.
    crop: side of an item in pixels, a multiple of 32.
    recipe: whose geometry, colours, trimaps and number of foregrounds (factory/matting/data/recipes.py).
    inside, outside: bounds of the trimap's band in pixels of the crop, within the object and around it; None: the
    recipe's.  two_foregrounds: how often there is a second object behind the first; None: the recipe's.
    binary: also take samples whose masks are binary.
    length: items of an epoch; 0: as many as there are samples.
    cache: a folder for decoded pictures, 4 bytes a pixel of the sets and 3 of the backgrounds; None: none.
    """

    sets: tuple[SetEntry, ...]
    backgrounds: str | None = None
    screen: bool = False
    crop: int = 320
    recipe: Recipe = "indexnet"
    inside: tuple[int, int] | None = None
    outside: tuple[int, int] | None = None
    two_foregrounds: float | None = None
    binary: bool = False
    length: int = 0
    cache: str | None = None


def check(settings: LoaderSettings) -> None:
    """Raises UsageError for what no loader can be made of. Looks at no file."""
    if not settings.sets:
        raise UsageError("a loader needs at least one set: name a data set folder.")
    for entry in settings.sets:
        if not 0 < entry.share < float("inf"):
            raise UsageError(f"the share of {entry.path} is {entry.share:g}: give a positive number, or leave it out.")
    if (settings.backgrounds is None) != settings.screen:
        raise UsageError(
            "a loader has either backgrounds, a folder of pictures, or `screen: true`, the samples' own screens:"
            f" {'both are' if settings.screen else 'neither is'} given."
        )
    if settings.crop <= 0 or settings.crop % MULTIPLE:
        raise UsageError(f"crop is {settings.crop}: give a multiple of {MULTIPLE}.")
    for name, band in (("inside", settings.inside), ("outside", settings.outside)):
        if band and not 1 <= band[0] <= band[1] <= settings.crop:
            raise UsageError(f"{name} is {band[0]}..{band[1]}: give two widths of 1 to {settings.crop} pixels.")
    if settings.two_foregrounds is not None and not 0 <= settings.two_foregrounds <= 1:
        raise UsageError(f"two_foregrounds is {settings.two_foregrounds:g}: give a probability, 0 to 1.")
    if settings.length < 0:
        raise UsageError(f"length is {settings.length}: give a number of items, or 0 for as many as there are samples.")
