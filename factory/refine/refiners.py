"""The refiners by name. A learned one (BackgroundMattingV2, a small known-background net) is one more line here."""

from collections.abc import Callable
from typing import Any

from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import Sample

REFINERS: dict[str, tuple[Callable[[Sample, Any], Sample], type]] = {
    "greenpost": (green_post, GreenPostSettings),
}
"""name → (function, its settings' class)."""
