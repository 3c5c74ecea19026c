"""For which base a file of adapters was made, where its metadata tells, and which one a model is."""

import re
from collections.abc import Mapping
from typing import Any

SAID = (  # the keys of metadata that name a base, and patterns of what trainers write there
    "modelspec.architecture",
    "ss_base_model_version",
)
FAMILIES = (
    ("Stable Diffusion XL", r"sdxl|diffusion-xl|sd_xl"),
    ("Stable Diffusion 3", r"diffusion-3|^sd3"),
    ("Stable Diffusion 2", r"diffusion-v2|^sd_v2"),
    ("Stable Diffusion 1", r"diffusion-v1|^sd_v1"),
    ("FLUX.2", r"flux-?_?2|flux\.2"),
    ("FLUX.1", r"flux-?_?1|flux\.1"),
    ("Qwen-Image", r"qwen"),
    ("Z-Image", r"z-?_?image"),
)
BY_CONTEXT = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}


def family_said(metadata: Mapping[str, str]) -> str | None:
    """The base that a file says it was made for, None where it says nothing that is known."""
    for key in SAID:
        said = metadata.get(key, "").lower()
        for family, pattern in FAMILIES:
            if re.search(pattern, said):
                return family
    return None


def family_of_unet(config: Mapping[str, Any]) -> str | None:
    """The base that a U-Net's configuration is of, None for one of another size than any published one's.

    It is told from the width of the text that its cross-attention reads.
    """
    context = config.get("cross_attention_dim")
    return BY_CONTEXT.get(context) if isinstance(context, int) else None
