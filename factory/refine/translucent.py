"""Objects that are translucent by nature, and the words that say so: no fractional α of theirs is a fault."""

import re
from collections.abc import Sequence

from factory.sample import Origin

# Whole words, one or more; their plurals count too. Words for the style and light of a picture must not be among them
# ("window light", "flash", "85 mm lens", "blurred background"): they stand in prompts of opaque things.
TRANSLUCENT: tuple[str, ...] = (
    # glass and what is clear like it
    *("glass", "eyeglasses", "sunglasses", "spectacles", "goggles", "magnifier", "monocle", "visor"),
    *("bottle", "jar", "vial", "flask", "carafe", "decanter", "goblet", "aquarium", "fishbowl", "snow globe"),
    *("test tube", "alembic", "hourglass", "shower", "display case", "light bulb"),
    *("crystal", "gem", "diamond", "prism", "ice", "icicle"),
    *("bubble", "plastic bag", "cellophane", "jelly", "jellyfish", "hologram", "ghost"),
    # water, smoke, fire
    *("water", "waterfall", "splash", "fountain", "droplet", "raindrop", "spray", "foam"),
    *("smoke", "fog", "mist", "steam", "vapor", "vapour", "haze", "dust", "cloud", "puff", "particle"),
    *("fire", "flame", "bonfire", "torch", "explosion", "spark", "sparkler", "firework", "muzzle"),
    *("laser", "lightning", "halo", "comet", "meteor"),
    # cloth and meshes that are seen through
    *("net", "netting", "fishnet", "mesh", "lace", "doily", "veil", "tulle", "gauze", "chiffon", "organza", "voile"),
    *("web", "cobweb", "spiderweb", "dreamcatcher", "feather"),
    # what moves too fast to be opaque, and what says it itself
    *("spinning", "motion blur", "transparent", "translucent", "see through", "sheer"),
)


def pattern(words: Sequence[str]) -> re.Pattern[str]:
    """What finds one of these words, in the singular or the plural; nothing where there are none."""
    spelt = (r"\W+".join(map(re.escape, word.split())) for word in words if word.strip())
    return re.compile("|".join(rf"\b{word}(?:s|es)?\b" for word in spelt) or "(?!)", re.IGNORECASE)


def is_one_of(origin: Origin, words: re.Pattern[str]) -> bool:
    """Whether the class, the caption or the prompt of a sample has one of the words of a `pattern`."""
    return any(words.search(said) for said in (origin.class_name, origin.caption, origin.prompt))
