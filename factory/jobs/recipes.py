"""Recipes as YAML: read from a file, changed by `--set a.b=1`, written out whole."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from factory.errors import UsageError
from factory.shards.foreign_text import parse_yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """The fields in a recipe file. Raises UsageError where it is missing, broken or not a mapping."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no recipe {path}: give a YAML file, or the name of one that ships (`factory recipes`)."
        ) from error
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a readable YAML recipe ({reason}).") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a recipe: it must be a YAML mapping with a field `job`.")
    return content


def set_dotted(fields: dict[str, Any], assignment: str) -> None:
    """Apply one `--set a.b=1` in place; the value is parsed as YAML."""
    name, equals, text = assignment.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {assignment} is not of the form a.b=value.")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"--set {name}: {text!r} is not a YAML value.") from error
    *parents, last = name.split(".")
    for parent in parents:
        inner = fields.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {name}: {parent} is not a group of fields.")
        fields = inner
    fields[last] = value


def to_yaml(recipe: BaseModel) -> str:
    """The recipe with every field written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
