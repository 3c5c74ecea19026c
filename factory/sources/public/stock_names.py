"""What the file names of stock photographs tell."""

import re

ALPHAMATTING_NAMES = r"GT(0[1-9]|1\d|2[0-7])"  # the 27 pictures of alphamatting.com that other sets took over
_STOCK = re.compile(r"((?:[a-z]+-)+)\d{4,}(?:_\d+)*(?:_copy)?")
_SITES = {"a", "photo", "pexels", "unsplash", "stock"}


def stock_words(name: str) -> str:
    """Turn "wine-glass-2160516_1920" into "wine glass"; "" for a name of another make ("h_12", "035A4301")."""
    match = _STOCK.fullmatch(name)
    words = match[1].strip("-").split("-") if match else []
    return " ".join(word for word in words if word not in _SITES)
