"""MODEL_CARD.md of a matting network: what it is, what it learned from and how, and what was measured."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import yaml

from factory.matting.data.settings import SetEntry
from factory.matting.train.settings import FREE, MattingTraining
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.markdown import environment
from factory.training.folder import LOG_FILE
from factory.training.log import VALIDATION, read_log

CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class SetFacts:
    """One set that was learned from.  origins: ((source, licence), samples), the most first."""

    name: str
    split: str
    share: float
    samples: int
    origins: tuple[tuple[tuple[str, str], int], ...]


def model_card(settings: MattingTraining, out: Path, record: Mapping[str, Any]) -> str:
    """The whole card of the training in `out`.  record: what its finished.json will hold."""
    recipe = {name: value for name, value in asdict(settings).items() if name not in FREE}
    validations = [line for line in read_log(out / LOG_FILE) if line["name"] == VALIDATION]
    return (
        environment("factory.matting.train", ".")
        .get_template("model_card.md.j2")
        .render(
            title=out.resolve().name,
            s=settings,
            sets=[set_facts(entry) for entry in settings.loader.sets],
            measured=validations[-1] if validations else None,
            record=record,
            recipe=yaml.safe_dump(_plain(recipe), sort_keys=False, allow_unicode=True),
        )
    )


def set_facts(entry: SetEntry) -> SetFacts:
    """Read the set's manifest."""
    table = read_manifest(Layout(Path(entry.path)), ("status", "split", "source", "licence"))
    table = table.filter((pc.field("status") == "accepted") & (pc.field("split") == entry.split))
    origins = Counter(zip(table["source"].to_pylist(), table["licence"].to_pylist(), strict=True))
    name = Path(entry.path).resolve().name
    return SetFacts(name, entry.split, entry.share, table.num_rows, tuple(origins.most_common()))


def _plain(value: Any) -> Any:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
