"""Words that say an object has a screen's colour: colours by name, and things that are of a colour by nature.

Whole words only: neither a greenhouse nor Greenland, bluegrass or a bluetooth speaker need be of that colour; what is,
as an evergreen and a blueprint are, is listed. A thing's plural counts as the thing; a colour has none (the blues are
music).
"""

from collections.abc import Iterator, Mapping

from factory.diffusion.vocabulary import words_of
from factory.greenscreen.colours import KeyName

_BETWEEN_GREEN_AND_BLUE = frozenset({"aqua", "aquamarine", "cyan", "teal", "turquoise"})
_BETWEEN_BLUE_AND_MAGENTA = frozenset({"indigo", "purple", "purplish", "violet"})

NAMES: Mapping[KeyName, frozenset[str]] = {
    "green": frozenset({"green", "greenish", "chartreuse", "viridian"}) | _BETWEEN_GREEN_AND_BLUE,
    "blue": frozenset({"blue", "bluish", "blueish", "azure", "cerulean", "cobalt", "navy", "ultramarine"})
    | _BETWEEN_GREEN_AND_BLUE
    | _BETWEEN_BLUE_AND_MAGENTA,
    "magenta": frozenset({"magenta", "fuchsia", "mauve", "pink", "pinkish"}) | _BETWEEN_BLUE_AND_MAGENTA,
}
"""Screen → the names of colours that lie near it."""

THINGS: Mapping[KeyName, frozenset[str]] = {
    "green": frozenset({
        "agave", "algae", "alligator", "aloe", "artichoke", "asparagus", "avocado", "bamboo", "basil", "bonsai",
        "broccoli", "budgerigar", "budgie", "bullfrog", "bush", "cabbage", "cacti", "cactus", "caterpillar", "celery",
        "chameleon", "clover", "conifer", "courgette", "crocodile", "cucumber", "cypress", "dill", "dinosaur",
        "edamame", "emerald", "evergreen", "fern", "fir", "foliage", "frog", "gecko", "gherkin", "grass", "grasshopper",
        "greens", "guacamole", "hedge", "herb", "holly", "houseplant", "iguana", "ivy", "jade", "kale", "katydid",
        "kelp", "kiwi", "leaf", "leek", "leprechaun", "lettuce", "lily pad", "lime", "lizard", "malachite", "mantis",
        "matcha", "mint", "mistletoe", "moss", "okra", "olive", "palm tree", "parakeet", "parrot", "parsley", "pea",
        "peacock", "pear", "pesto", "pickle", "pine", "plant", "sapling", "seaweed", "seedling", "shamrock", "shrub",
        "slime", "spinach", "spruce", "succulent", "tennis ball", "topiary", "tree", "turtle", "vine", "wasabi",
        "watermelon", "willow", "wreath", "zucchini",
    }),
    "blue": frozenset({
        "bluebell", "blueberry", "bluebird", "blueprint", "cornflower", "denim", "forget me not", "hydrangea", "jeans",
        "kingfisher", "lapis", "peacock", "sapphire", "smurf",
    }),
    "magenta": frozenset({
        "amethyst", "aubergine", "azalea", "beet", "beetroot", "bougainvillea", "bubblegum", "cherry blossom",
        "cotton candy", "dragon fruit", "dragonfruit", "eggplant", "flamingo", "foxglove", "hydrangea", "lavender",
        "lilac", "orchid", "peony", "petunia", "pig", "piglet", "pitaya", "plum", "raspberry", "thistle", "wisteria",
    }),
}  # fmt: skip
"""Screen → what is near its colour unless a caption says otherwise; of up to three words, the last in the singular."""

LONGEST_THING = 3  # words


def speaking_against(prompt: str, key: KeyName) -> tuple[bool, bool]:
    """Whether the prompt names a colour near the screen's, and whether it names a thing of such a colour."""
    words = words_of(prompt)
    return not NAMES[key].isdisjoint(words), not THINGS[key].isdisjoint(_phrases(words))


def _phrases(words: list[str]) -> Iterator[str]:
    """Each run of words, as it stands and with the last one in what may be its singular."""
    for count in range(1, LONGEST_THING + 1):
        for start in range(len(words) - count + 1):
            before = words[start : start + count - 1]
            for last in _singulars(words[start + count - 1]):
                yield " ".join([*before, last])


def _singulars(word: str) -> Iterator[str]:
    """The word, and what it may be the plural of; what is no word is in no list."""
    yield word
    for ending, others in (("s", ("",)), ("es", ("",)), ("ies", ("y",)), ("ves", ("f", "fe"))):
        if word.endswith(ending):
            yield from (word.removesuffix(ending) + other for other in others)
