"""Recipes as YAML: read from a file, changed by `--set a.b=1`, written out whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from factory.errors import UsageError, nearest
from factory.shards.foreign_text import parse_yaml
from factory.shipped_files import choose, find_shipped, names

NAMES_OR_PATHS = {"prompts", "model"}  # fields with a path or with a name from elsewhere


def read_yaml(path: Path) -> dict[str, Any]:
    """The fields in a recipe file. Raises UsageError where it is missing, broken or not a mapping."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no recipe {path}{nearest(path.stem, names('pipelines'))}: give a YAML file, or the name of one "
            "that ships (`factory recipes`)."
        ) from error
    except IsADirectoryError as error:
        inside = path / "recipe.yaml"
        instead = str(inside) if inside.is_file() else "a YAML file, or the name of one that ships (`factory recipes`)"
        raise UsageError(f"{path} is a folder: give {instead}.") from error
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


def to_yaml(fields: Mapping[str, Any]) -> str:
    """The fields of a recipe, in their order."""
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def from_anywhere(recipe: BaseModel) -> dict[str, Any]:
    """Every field of a recipe, its paths absolute, so that it means the same in any folder."""
    return {name: _absolute(value, name) for name, value in recipe.model_dump().items()}


def _absolute(value: Any, field: str) -> Any:
    """The value as plain YAML.  field: its name."""
    match value:
        case dict():
            return {name: _absolute(inner, name) for name, inner in value.items()}
        case list() | tuple():
            return [_absolute(inner, field) for inner in value]
        case Path():
            return str(value.absolute())
        case str() if field in NAMES_OR_PATHS and value not in {"", "-"}:
            path = choose("prompts", value, lambda _: None) if field == "prompts" else Path(value)
            return str(path.absolute()) if path.exists() and path != find_shipped("prompts", value) else value
        case _:
            return value
