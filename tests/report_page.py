"""A report as a browser would see it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class Page(HTMLParser):
    """What a browser would see: elements, the files they name, and the text."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    scripts: dict[str, str] = field(default_factory=dict)
    _inside: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "
        self._inside = (dict(attrs).get("id") or "code") if tag == "script" else tag if tag == "style" else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("", "style"):
            self.text += data if not self._inside else ""
        else:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data

    def links(self) -> Iterator[str]:
        for _, attributes in self.elements:
            yield from (
                value for name in ("src", "href", "srcset", "poster", "data") if (value := attributes.get(name))
            )

    def words(self) -> str:
        return " ".join(self.text.split())


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page
