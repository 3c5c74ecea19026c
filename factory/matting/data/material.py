"""The sets that are mixed, and what a loader reads of a sample: α and F, one range read, no picture more."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

import factory
from factory.equation import TERMS
from factory.errors import DataError, UsageError
from factory.home import at_home
from factory.matting.data.cache import Arrays, Cache
from factory.matting.data.order import Ranked
from factory.matting.data.settings import SetEntry
from factory.sample import Matte, Picture, PlateCoefficients
from factory.shards.commit import sha256_of
from factory.shards.data_set import DataSet
from factory.shards.encoding import decode_png
from factory.shards.foreign_text import parse_json
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_files
from factory.shards.members import JSON

MEMBERS = ("alpha.png", "fg.png", JSON)
CHANNELS = 3


@dataclass(frozen=True)
class Decoded:
    """foreground: straight.  plate: of the screen that the sample is stored on; () where it is not known."""

    alpha: Matte
    foreground: Picture
    plate: PlateCoefficients


@dataclass(frozen=True)
class OpenSet:
    """label: its name among the sets.  fingerprint: of its manifest.  trust: (N,) how far each label is trusted."""

    label: str
    samples: DataSet
    fingerprint: str
    trust: NDArray[np.float32]
    ranked: Ranked

    def key(self, position: int) -> str:
        """SET/KEY, apart from the same key in other sets."""
        return f"{self.label}/{self.samples.key_at(position)}"

    def read(self, position: int, cache: Cache | None) -> Decoded:
        """Raises DataError where the sample is damaged."""
        if cache is None:
            alpha, foreground, plate = self._decode(position)
        else:
            name = f"{self.fingerprint} {self.samples.key_at(position)}"
            alpha, foreground, plate = cache.get(name, lambda: self._decode(position))
        terms = np.frombuffer(plate.tobytes(), np.float32).reshape(-1, TERMS)
        return Decoded(alpha, foreground, tuple(map(tuple, terms.tolist())))

    def _decode(self, position: int) -> Arrays:
        key, bodies = self.samples.encoded(position, MEMBERS)
        try:
            alpha, foreground = (decode_png(bodies[name]) for name in MEMBERS[:2])
            meta = parse_json(bodies[JSON])
            plate = np.array(meta["plate"], np.float32).reshape(-1, TERMS)
            if len(plate) not in (0, CHANNELS) or not np.isfinite(plate).all():
                raise ValueError("its screen is none")  # noqa: TRY301  (told below with the name)
        except (DataError, ValueError, TypeError, KeyError) as error:
            raise DataError("undecodable", f"sample {key} of {self.label} is damaged ({error})") from error
        if meta.get("key") != key or alpha.ndim != 2 or foreground.shape != (*alpha.shape, 3):
            raise DataError("key", f"what lies at the place of sample {key} of {self.label} is not that sample")
        return alpha, foreground, plate.view(np.uint8)


def open_sets(entries: Sequence[SetEntry], binary: bool) -> tuple[OpenSet, ...]:
    """Only their manifests are read.

    binary: also take samples whose masks are binary.
    Raises UsageError where a set cannot be opened or has no sample that can be used.
    """
    paths = [at_home(Path(entry.path)) for entry in entries]
    names = Counter(path.resolve().name for path in paths)
    sets = []
    for entry, path in zip(entries, paths, strict=True):
        samples = factory.open(path).split(entry.split)
        if not binary:
            soft = samples.where(pc.field("soft_alpha"))
            if not len(soft):
                raise UsageError(
                    f"all masks of {path} are binary, which is wrong for soft edges: `binary: true` takes them."
                )
            samples = soft
        trust = samples.weights
        if entry.quality and not trust.any():
            raise UsageError(f"no label of {path} is trusted at all: leave it out, or say `quality: false`.")
        weights = trust if entry.quality else np.ones_like(trust)
        label = path.resolve().name if names[path.resolve().name] == 1 else str(path)
        sets.append(OpenSet(label, samples, _fingerprint(path), trust, Ranked(entry.share, samples.shards, weights)))
    return tuple(sets)


def _fingerprint(root: Path) -> str:
    return hashlib.sha256("".join(map(sha256_of, manifest_files(Layout(root)))).encode()).hexdigest()
