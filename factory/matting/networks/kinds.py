"""The kinds of matting network there are, by name. Light: planning reads it, and torch is loaded to build one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from factory.errors import UsageError, nearest
from factory.settings import changed

if TYPE_CHECKING:
    from factory.matting.networks.network import MattingNetwork


@dataclass(frozen=True, slots=True)
class NoOptions:
    """There is one such network."""


@dataclass(frozen=True, slots=True)
class VitMatteOptions:
    """`small` and `base` are the authors'; `tiny` learns on two cores."""

    size: Literal["tiny", "small", "base"] = "tiny"


@dataclass(frozen=True, slots=True)
class SmallOptions:
    """begins_with: the α that it learns to change. `trimap` leaves all to be learned, as IndexNet does."""

    begins_with: Literal["propagated", "trimap"] = "propagated"


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """options: their defaults, a frozen dataclass.  new: a network that has learned nothing."""

    options: Any
    new: Callable[[Any], "MattingNetwork"]


def build(kind: str, options: Mapping[str, Any]) -> "MattingNetwork":
    """A network that has learned nothing; what it begins with is drawn by torch's global generator.

    Raises UsageError for a kind or an option that there is not.
    """
    own = checked(kind, options)
    return KINDS[kind].new(own)


def checked(kind: str, options: Mapping[str, Any]) -> Any:
    """A kind's options with those given laid over its defaults. Raises UsageError as `build`, without torch."""
    if kind not in KINDS:
        raise UsageError(f"there is no matting network {kind!r}{nearest(kind, KINDS)}: there are {', '.join(KINDS)}.")
    return changed("options", KINDS[kind].options, options)


def _small(options: SmallOptions) -> "MattingNetwork":
    from factory.matting.networks.small import SmallNetwork  # noqa: PLC0415  (torch takes seconds)

    return SmallNetwork(options.begins_with)


def _indexnet(options: NoOptions) -> "MattingNetwork":
    from factory.matting.networks.indexnet import IndexNet  # noqa: PLC0415  (torch takes seconds)

    return IndexNet()


def _vitmatte(options: VitMatteOptions) -> "MattingNetwork":
    from factory.matting.networks.vitmatte import new  # noqa: PLC0415  (torch and transformers take seconds)

    return new(options)


KINDS: Mapping[str, NetworkKind] = {
    "small": NetworkKind(SmallOptions(), _small),
    "indexnet": NetworkKind(NoOptions(), _indexnet),
    "vitmatte": NetworkKind(VitMatteOptions(), _vitmatte),
}
