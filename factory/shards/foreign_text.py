"""JSON and YAML that anybody may have written: what their parsers let pass, or fall over, is no text either."""

import json
from typing import Any

import yaml

MOST_VALUES = 100_000  # ten aliases of ten aliases … are a line each, and a billion values
# Where YAML's parser lets a value through that its own conversions fall over: "!!timestamp x", "2026-99-99".
WHAT_VALUES_RAISE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


def parse_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises ValueError where it is none, is nested too deeply to be read, or holds half a character (a lone surrogate),
    which no file and no terminal takes.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"))
        if rb"\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises ValueError where it is none, holds half a character, or grows beyond MOST_VALUES by its aliases.
    """
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, *WHAT_VALUES_RAISE) as error:
        raise ValueError(str(error)) from error
    values, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            one.encode()
        inner = [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list | set | tuple) else ()
        waiting += inner
        values += 1
        if values > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    return value
