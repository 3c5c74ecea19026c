"""How near a picture is to what Stable Diffusion's safety checker holds to be unsafe.

The checker (CompVis/stable-diffusion-safety-checker) compares a picture's direction in a CLIP space with those of 17
concepts, each with a threshold; three more lower all thresholds by 0.01. The score is 0.5 and by how much the nearest
concept's cosine is above its threshold: above 0.5 the checker flags the picture. Its sums are rounded as it does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from factory.errors import UsageError
from factory.models.device import Device
from factory.quality.scorers.clip_folder import shapes_of
from factory.quality.scorers.scorer import ClipOf, Judge, View
from factory.settings import Place

FLAGGED = 0.5  # above this
CARE = 0.01
CONCEPTS = {"concept_embeds", "concept_embeds_weights", "special_care_embeds", "special_care_embeds_weights"}


@dataclass(frozen=True, kw_only=True)
class Safety:
    """model: a checker's folder, `safety_checker/` of a Stable Diffusion."""

    score: ClassVar[str] = "unsafe"
    model: Place

    def check(self) -> None:
        """The concepts must be there."""
        if not shapes_of(self.model, "scorers.safety.model").keys() >= CONCEPTS:
            raise UsageError(
                f"scorers.safety.model {self.model} is no safety checker: give `safety_checker/` of a Stable Diffusion."
            )

    def open(self, _clip_of: ClipOf, device: Device) -> Judge:
        """The checker, which blackens nothing here."""
        import torch  # noqa: PLC0415  (seconds; planning needs the names only)
        from diffusers.pipelines.stable_diffusion.safety_checker import (  # noqa: PLC0415
            StableDiffusionSafetyChecker,
            cosine_distance,
        )

        from factory.quality.scorers.clip import prepared, through, whole  # noqa: PLC0415

        checker = whole(StableDiffusionSafetyChecker, self.model).to(device.torch)
        side = checker.config.vision_config.image_size

        def above(directions: torch.Tensor, kind: str) -> torch.Tensor:
            """(B, concepts), before it is rounded."""
            cosines: torch.Tensor = cosine_distance(directions, getattr(checker, kind))
            thresholds: torch.Tensor = getattr(checker, f"{kind}_weights")
            return cosines - thresholds

        def nearest(pixels: torch.Tensor) -> torch.Tensor:
            """(B,), before it is rounded."""
            directions = checker.visual_projection(checker.vision_model(pixels).pooler_output)
            careful = (above(directions, "special_care_embeds").round(decimals=3) > 0).any(dim=1, keepdim=True)
            return (above(directions, "concept_embeds") + CARE * careful).amax(dim=1)

        def judge(view: View) -> Sequence[float]:
            margins = through(nearest, prepared(view.pictures, side), device)
            return [FLAGGED + round(max(margin, -FLAGGED), 3) for margin in margins.tolist()]  # NaN stays

        return judge
