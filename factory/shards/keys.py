"""Keys: the name of a sample in its set, its shard's number and its place in it. This is the one place that knows how.

No dots (webdataset splits there), one length, so that keys sort as text.
"""

SHARD_DIGITS = 6
INDEX_DIGITS = 4
KEY_DIGITS = SHARD_DIGITS + INDEX_DIGITS
MAX_SHARDS = 10**SHARD_DIGITS
SHARD_PATTERN = rf"\d{{{SHARD_DIGITS}}}"  # of a shard's number in the names of its files
KEY_PATTERN = rf"^[0-9]{{{KEY_DIGITS}}}$"
SPLIT_PATTERN = r"^[a-z]{1,32}$"  # of what stands before a shard's number in the names of its files
MAX_SHARD_SIZE = 10**INDEX_DIGITS


def make_key(shard: int, index: int) -> str:
    """Unique in the set."""
    return f"{shard_name(shard)}{index:0{INDEX_DIGITS}d}"


def attempt_name(key: str, attempt: int) -> str:
    """What a rejected attempt is called in its tar, in front of the first dot."""
    return f"{key}-{attempt}"


def shard_name(shard: int) -> str:
    """A shard's number as it stands in keys and in the names of its files."""
    return f"{shard:0{SHARD_DIGITS}d}"


def shard_digits(key: str) -> str:
    """The shard's part of a key."""
    return key[:SHARD_DIGITS]


def shard_of(key: str) -> int:
    """The number of the shard that a key belongs to."""
    return int(key[:SHARD_DIGITS])


def is_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return len(text) == KEY_DIGITS and text.isascii() and text.isdecimal()


def key_of_number(number: int) -> str:
    """The key that reads as this number, as tables of numbers hold keys."""
    return f"{number:0{KEY_DIGITS}d}"
