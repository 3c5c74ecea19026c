"""Cards in Markdown: foreign text stands in their tables, and must stay there."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment(package: str, folder: str) -> Environment:
    """Templates in a folder of a package, with the filter `cell`. Kept: each template is compiled once."""
    made = Environment(
        loader=PackageLoader(package, folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: `cell` is what escapes
    )
    made.filters["cell"] = cell
    return made


def cell(text: str) -> str:
    """Foreign text that neither breaks a table nor smuggles in markup."""
    return " ".join(text.replace("|", "¦").replace("<", "‹").replace(">", "›").split()) or "–"
