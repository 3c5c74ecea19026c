"""Which pictures mattes are measured on, and which anything may be tuned or trained with: a rule on names, no choice.

*develop* is to look at, to tune and to train with; *validate* chooses between versions, in few looks; *report* is
measured and nothing else. What looks alike must not be parted: a picture belongs to a family, its folder where pictures
lie in folders, else the thing that its name begins with ("cat_face" goes with "cat", "man_artist" with "artist").
"""

from hashlib import sha256
from pathlib import PurePosixPath
from typing import Literal, TypeAlias, get_args

Group: TypeAlias = Literal["develop", "validate", "report"]
GROUPS: tuple[Group, ...] = get_args(Group)

REPORT, VALIDATE = 0.3, 0.4  # bounds of a family's number (0..1): up to the first report, up to the second validate
PEOPLE = frozenset({"man", "men", "woman", "women", "person", "people", "boy", "girl", "child"})
# Pictures that the keyer before this rule was tuned with, or that were looked at: benchmarks/keyer.py.
SEEN = frozenset({
    *("man_beard", "kite", "parrot", "lobster"),
    *("baggage_claim", "dog", "ice_skate", "monkey_face", "racing_car", "tiger_face"),
    *("smokeparticleassets", "castle-kit-1.0", "kenney_animalpackredux"),
})  # fmt: skip


def group_of(path: str) -> Group:
    """The group of a picture. path: relative to its set's folder, POSIX separators."""
    family = family_of(path)
    if family in SEEN or PurePosixPath(path).stem in SEEN:
        return "develop"
    number = int.from_bytes(sha256(family.encode()).digest()[:4], "big") / 2**32
    return "report" if number < REPORT else "validate" if number < VALIDATE else "develop"


def family_of(path: str) -> str:
    """What a picture is held out together with: its uppermost folder, else the first word of its name."""
    parts = PurePosixPath(path).parts
    if len(parts) > 1:
        return parts[0]
    words = PurePosixPath(path).stem.lower().replace("-", "_").split("_")
    return next((word for word in words if word not in PEOPLE), words[0])
