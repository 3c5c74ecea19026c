"""A sample's metadata in people's words and order; fields that do not apply are left out."""

from collections.abc import Mapping
from typing import Any

from factory.quality.gsg import GSG_DEFINITION
from factory.shards.manifest import SCORES

MADE = (
    "class", "caption", "prompt", "negative_prompt", "seed", "slot", "attempt", "kind", "source", "item", "licence",
    "attribution", "model",
)  # fmt: skip


def facts(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) pairs of a sample's JSON or of its manifest row. Numbers of 64 bits come out whole, as text."""
    found = [("key", str(meta["key"]))]
    found += [(name.replace("_", " "), str(meta[name])) for name in MADE if meta.get(name, "") not in ("", -1)]
    sampler = meta.get("sampler", {})
    if sampler.get("name"):
        start = f", from {sampler['start']}" if sampler["start"] else ""
        settings = f"{sampler['name']}, {sampler['steps']} steps, guidance {sampler['guidance']:g}{start}"
        found.append(("sampler", settings))
    if meta.get("width", -1) > 0:
        found.append(("size", f"{meta['width']} × {meta['height']}"))
    if "key_rgb" in meta:
        found.append(("key colour", "({}, {}, {})".format(*meta["key_rgb"])))
    if meta.get("foreground"):
        found.append(("foreground", str(meta["foreground"])))
    if "soft_alpha" in meta:
        found.append(("alpha", "soft" if meta["soft_alpha"] else "binary"))
    scores = meta.get("scores", meta)
    for name in SCORES:
        if scores.get(name, -1) >= 0:
            found.append((score_name(name), f"{scores[name]:.4g}{definition(name)}"))
    if meta.get("phash"):
        found.append(("perceptual hash", str(meta["phash"])))
    if "digital_source_type" in meta:
        origin = str(meta["digital_source_type"]).rpartition("/")[2]
        found.append(("AI-generated", f"{'yes' if meta['ai_generated'] else 'no'} ({origin})"))
    return found


def definition(name: str) -> str:
    """What must stand beside a score's number, in brackets: GSG says little without its K and size. Else ""."""
    return f" ({GSG_DEFINITION})" if name == "gsg" else ""


def score_name(name: str) -> str:
    """A score's field name in people's words."""
    return "GSG" if name == "gsg" else name.replace("_", " ")
