"""What a scene's JSON says of it, in its field `prompt`: "kind: hair; screen: studio; group: report; …"."""

from collections.abc import Mapping

EXACT, AMBIGUOUS = "exact", "ambiguous"  # whether the foreground's colour can be told from the picture at all


def in_words(facts: Mapping[str, str]) -> str:
    """The facts in their order. Names and values hold neither colons nor semicolons."""
    return "; ".join(f"{name}: {value}" for name, value in facts.items())


def facts_in(words: str) -> dict[str, str]:
    """The facts again; of a text that holds none, none."""
    pairs = (part.partition(": ") for part in words.split("; "))
    return {name: value for name, colon, value in pairs if colon}
