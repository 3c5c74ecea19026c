"""A sample's metadata in people's words and order; fields that do not apply are left out."""

from collections.abc import Mapping
from typing import Any

from factory.greenscreen.gsg import GSG_DEFINITION
from factory.shards.manifest import SCORES

MADE = (
    "class", "caption", "prompt", "negative_prompt", "seed", "slot", "attempt", "kind", "source", "item", "colour",
    "licence", "attribution", "model", "adapters",
)  # fmt: skip
NAMES = {  # where the field's name won't do
    "gsg": "GSG",
    "gsg_screen": "GSG of the screen",
    "pinholes": "see-through spots inside",
    "detached": "share apart from the largest piece",
    "aesthetic": "aesthetic score on grey",
    "aesthetic_screen": "aesthetic score on the screen",
    "text_agreement": "agreement with the text, on grey",
    "text_agreement_screen": "agreement with the text, on the screen",
    "unsafe": "safety checker's score on grey",
    "unsafe_screen": "safety checker's score on the screen",
    "adapters": "share of the adapters' weights",
    "colour": "colours read as",
    "ai_generated": "AI-generated",
}
FOREGROUNDS = {
    "given": "given with the source",
    "estimated": "estimated from picture and alpha",
    "unmixed": "unmixed from the screen",
}


def facts(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) pairs of a sample's JSON or of its manifest row. Numbers of 64 bits come out whole, as text."""
    found = [("key", str(meta["key"]))]
    found += [(in_words(name), str(meta[name])) for name in MADE if meta.get(name, "") not in ("", -1)]
    found += [("attributes", "; ".join(meta["attributes"]))] if meta.get("attributes") else []
    found += [("painted after", "; ".join(meta["pictures"]))] if meta.get("pictures") else []
    sampler = meta.get("sampler", {})
    if sampler.get("name"):
        start = f", from {sampler['start']}" if sampler["start"] else ""
        settings = f"{sampler['name']}, {sampler['steps']} steps, guidance {sampler['guidance']:g}{start}"
        found.append(("sampler", settings))
    if meta.get("width", -1) > 0:
        found.append(("size", f"{meta['width']} × {meta.get('height', '?')}"))
    if "key_rgb" in meta:
        found.append(("key colour", "({}, {}, {})".format(*meta["key_rgb"])))
    if meta.get("foreground"):
        found.append(("foreground", FOREGROUNDS.get(meta["foreground"], meta["foreground"])))
    if meta.get("kind"):  # an item that failed never came to be anything
        found.append(("alpha", "soft" if meta.get("soft_alpha", True) else "binary"))
    scores = meta.get("scores", meta)
    for name in SCORES:
        if scores.get(name, -1) >= 0:
            found.append((in_words(name), f"{scores[name]:.4g}{definition(name)}"))
    if meta.get("phash"):
        found.append(("perceptual hash", str(meta["phash"])))
    if meta.get("kind"):
        found.append((in_words("ai_generated"), "yes" if meta.get("ai_generated") else "no"))
        found.append((in_words("digital_source_type"), source_type(meta)))
    return found


def source_type(meta: Mapping[str, Any]) -> str:
    """IPTC's term without its address."""
    return str(meta.get("digital_source_type", "")).rpartition("/")[2]


def definition(name: str) -> str:
    """What must stand beside a score's number, in brackets: GSG says little without its K and size. Else ""."""
    return f" ({GSG_DEFINITION})" if name in {"gsg", "gsg_screen"} else ""


def in_words(name: str) -> str:
    """The name of a field, or of a score, for people."""
    return NAMES.get(name, name.replace("_", " "))
