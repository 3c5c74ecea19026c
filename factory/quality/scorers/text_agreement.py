"""How far a picture shows what its text says: the cosine of the two in CLIP's space, 0 where it is below.

CLIPScore (Hessel et al., EMNLP 2021) without its factor of 2.5. The text is the sample's caption, else its prompt,
else its class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from factory.models.device import Device
from factory.quality.scorers.clip_folder import check_clip, check_tokenizer
from factory.quality.scorers.scorer import UNTOLD, ClipOf, Judge, View
from factory.settings import Place


@dataclass(frozen=True, kw_only=True)
class TextAgreement:
    """clip: a folder, with its tokenizer."""

    score: ClassVar[str] = "text_agreement"
    clip: Place

    def check(self) -> None:
        """Both encoders and the words must be there."""
        check_clip(self.clip, "scorers.agreement.clip")
        check_tokenizer(self.clip, "scorers.agreement.clip")

    def open(self, clip_of: ClipOf, _device: Device) -> Judge:
        """Both encoders of a CLIP."""
        clip = clip_of(self.clip)

        def judge(view: View) -> Sequence[float]:
            cosines = (clip.pictures(view) * clip.texts(view.texts)).sum(dim=-1).clamp(min=0)  # NaN stays
            return [cosine if text else UNTOLD for cosine, text in zip(cosines.tolist(), view.texts, strict=True)]

        return judge
