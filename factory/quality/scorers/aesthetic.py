"""LAION's aesthetic score: what people are expected to give a picture, of 1 to 10, told from its place in CLIP's space.

https://github.com/christophschuhmann/improved-aesthetic-predictor. The head is read by aesthetic_head.py. What little
may be told below 0 is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from factory.errors import UsageError
from factory.models.device import Device
from factory.quality.scorers.aesthetic_head import read_head
from factory.quality.scorers.clip_folder import check_clip
from factory.quality.scorers.scorer import ClipOf, Judge, View
from factory.settings import Place


@dataclass(frozen=True, kw_only=True)
class Aesthetic:
    """clip: a folder, of the CLIP that the head was trained on (ViT-L/14).  head: a .safetensors or .npz file."""

    score: ClassVar[str] = "aesthetic"
    clip: Place
    head: Place

    def check(self) -> None:
        """The head must read embeddings as wide as this CLIP's."""
        width = check_clip(self.clip, "scorers.aesthetic.clip")
        if (reads := len(read_head(self.head, "scorers.aesthetic.head").weight)) != width:
            raise UsageError(
                f"scorers.aesthetic.head {self.head} reads embeddings of {reads} numbers, and those of {self.clip} "
                f"have {width}: give the CLIP that it was trained on (published heads: openai/clip-vit-large-patch14)."
            )

    def open(self, clip_of: ClipOf, _device: Device) -> Judge:
        """The head over a CLIP."""
        clip, head = clip_of(self.clip), read_head(self.head, "scorers.aesthetic.head")

        def judge(view: View) -> Sequence[float]:
            return [float(np.maximum(seen @ head.weight + head.bias, 0)) for seen in clip.pictures(view).numpy()]

        return judge
