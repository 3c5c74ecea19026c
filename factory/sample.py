"""The records that cross room borders: a request goes in, a sample comes out, a stage may reject it.

Pictures in a record are 8-bit, exactly as they will be stored, so that every score is computed from what a
reader of the shard will see. Inside a room, mathematics is done in float32 in 0..1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3), gamma-encoded sRGB
Matte: TypeAlias = NDArray[np.uint8]  # (H, W), linear coverage, 0 and 255 mean exactly 0 and 1
PlateCoefficients: TypeAlias = tuple[tuple[float, ...], ...]  # 3 channels x 6 terms, see equation.py

HASH_BITS = 488  # of a perceptual hash
EARLIER_HASH_BITS = 64  # of those in sets made before; hashes of two kinds are never compared

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = _SOURCE_TYPES + "trainedAlgorithmicMedia"
PARTLY_GENERATED = _SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"  # painted from a given picture
DRAWN = _SOURCE_TYPES + "algorithmicMedia"  # by a program that learnt from no pictures
CAPTURED = _SOURCE_TYPES + "compositeCapture"  # a photographed object set on another ground
EDITED = _SOURCE_TYPES + "algorithmicallyEnhanced"  # footage keyed and set on a pure screen
COMPOSITED = _SOURCE_TYPES + "composite"  # elements of unknown origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt to fill one slot: all that a source may depend on.

    seed: 63-bit, a pure function of (run seed, slot, attempt).
    item: the row of the plan's frozen input table that belongs to the slot ({} for a source without a table).
    reasons: why the slot's earlier attempts came to nothing, in their order: the gate's, or the kind of bad data.
    """

    key: str  # 6-digit shard + 4-digit index
    slot: int  # place in the finished set
    attempt: int
    seed: int
    item: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a sample comes from; goes into its JSON unchanged. "" and -1 stand for "does not apply"."""

    kind: Literal["generated", "keyed", "composited"]
    class_name: str = ""
    caption: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    source: str = ""
    item: str = ""  # the source file below the source's folder; a frame of a clip as "clips/a.mp4@3.200s"
    colour: str = ""  # how a video's colours were read: "bt709 tv", "bt601 tv assumed"
    licence: str = ""
    attribution: str = ""
    soft_alpha: bool = True  # False: the mask is binary; trainers keep it out of the transition band
    foreground: Literal["given", "estimated", "unmixed"] = "given"
    model: str = ""  # fingerprint of the weights
    sampler: str = ""
    steps: int = -1
    guidance: float = -1.0
    start: str = ""  # what sampling starts from: "noise", "marginal", "screen" or "given"
    attributes: tuple[str, ...] = ()  # what its prompt was made of, where a grammar made it: "age: old"
    pictures: tuple[str, ...] = ()  # of its prompt's row, where a run has such columns: "control: poses/a.png"
    adapters: float = -1.0  # share of their weights that adapters counted for, where a run lowers them
    key_rgb: tuple[int, int, int] = (0, 255, 0)
    ai_generated: bool = False
    digital_source_type: str = COMPOSITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Every score a gate may look at; -1 means not scored. Definitions and units: quality/scores.py."""

    gsg: float = -1.0
    gsg_screen: float = -1.0
    screen_spread: float = -1.0
    coverage: float = -1.0
    border: float = -1.0
    agreement: float = -1.0
    residual: float = -1.0
    green_residue: float = -1.0
    key_distance: float = -1.0
    pinholes: float = -1.0
    detached: float = -1.0
    label_error: float = -1.0
    aesthetic: float = -1.0
    aesthetic_screen: float = -1.0
    text_agreement: float = -1.0
    text_agreement_screen: float = -1.0
    unsafe: float = -1.0
    unsafe_screen: float = -1.0


# Told by the user's own networks: a set has those that it asked for, in JSON and manifest (`Plan.asked_scores`).
ASKED_SCORES = ("aesthetic", "aesthetic_screen", "text_agreement", "text_agreement_screen", "unsafe", "unsafe_screen")
# Sets made before there were these lack them, in JSON and manifest.
ADDED_SCORES = frozenset({"gsg_screen", "pinholes", "detached", "label_error", *ASKED_SCORES})


class SeenScreen(NamedTuple):
    """A camera's screen, as the whole of a clip shows it."""

    colour: tuple[float, float, float]  # 8-bit levels
    noise: float  # σ in levels, of the noisiest channel
    plate: NDArray[np.uint16]  # (h, w, 3) the clean plate, 0..65535, at any size


class Neighbour(NamedTuple):
    """Another frame of the same clip.  name: what no other frame of its source goes by.  exact: see `Shot`."""

    name: tuple[int, int]
    exact: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What a source knows of a picture that is still to be keyed. The stage that keys takes it away; it is not stored.

    source: the source's name in the plan, by which its settings for keying are found.
    exact: (H, W, 3) float32 in 0..1: the picture, where it was read more finely than `Sample.rgb` can tell it.
    empty: (h, w, 3) the same screen with nothing in front, where somebody took it.
    screen: what is known of the screen already; else it is looked for in the picture.
    halved: whether rows surely have fewer chroma samples than luma ones, as in 4:2:0 and 4:2:2.
    pose: the seed of how the object is framed; None takes the request's own.
    name, beside: of a frame that is to be keyed steadily: what it goes by, and the frames about it.
    """

    source: str
    exact: NDArray[np.float32] | None = None
    empty: Picture | None = None
    screen: SeenScreen | None = None
    halved: bool = False
    pose: int | None = None
    name: tuple[int, int] | None = None
    beside: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture on its screen on the way to its matte. Stages return changed copies (`dataclasses.replace`)."""

    request: Request
    origin: Origin
    rgb: Picture
    shot: Shot | None = None  # of a picture that is still to be keyed
    coarse: Matte | None = None  # the matting head's mask
    alpha: Matte | None = None
    foreground: Picture | None = None  # straight (un-premultiplied) colour, despilled, defined everywhere
    plate: PlateCoefficients = ()  # the clean screen behind the object
    scores: Scores = field(default_factory=Scores)
    phash: str = ""  # perceptual hash of HASH_BITS as hex digits; of EARLIER_HASH_BITS in a stored sample of old
    layers: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)  # further members that the job declares


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A gate's verdict: `reason` is a short word that is counted, `detail` one sentence with the numbers."""

    sample: Sample
    reason: str
    detail: str


Source: TypeAlias = Callable[[Sequence[Request]], Sequence[Sample | DataError] | Iterator[Sample | DataError]]
"""Makes the raw samples of one batch, in the order asked. A bad item is returned as a DataError, not raised.

One that reads large pictures hands out one after the other, as an iterator: it is then not asked for the next before
the ones before are nearly finished."""

Stage: TypeAlias = Callable[[Sample], Sample | Rejection]
"""Improves or judges one sample. Pure: the same sample gives the same bytes. May raise DataError."""


@runtime_checkable
class BatchStage(Protocol):
    """A stage that wants many samples at once: a network on a device, or one that follows a video.

    device: what it computes on, for the shard's record: "cpu" or the GPU's name.
    """

    device: str

    def begin(self) -> "BatchStep":
        """A step for one shard, with whatever state it needs from the shard's beginning on."""
        ...


BatchStep: TypeAlias = Callable[[Sequence[Sample]], Sequence[Sample | Rejection | DataError]]
"""Improves or judges what is left of a batch, in slot order; the batches of a shard come in their order.

Where a batch must be full it pads by itself. Bad samples are returned as DataErrors, not raised."""

Admission: TypeAlias = Callable[[Sample], Rejection | None]
"""A gate with a memory of one shard (near-duplicates). Called in slot order; remembers what it admits."""
