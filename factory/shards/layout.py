"""Where everything of a data set lies. See docs/format.md."""

from dataclasses import dataclass
from pathlib import Path

from factory.shards.keys import shard_name
from factory.shards.store import Store, open_store


@dataclass(frozen=True)
class Layout:
    """Paths inside one data set folder."""

    root: Path

    @property
    def store(self) -> Store:
        """Where these paths are published."""
        return open_store(self.root)

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def scratch(self) -> Path:
        return self.root / ".tmp"

    @property
    def survey(self) -> Path:
        """What planning saw when it looked at the inputs, so that no look is done twice."""
        return self.root / ".survey"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def commits(self) -> Path:
        return self.root / "commits"

    @property
    def parts(self) -> Path:
        return self.root / "manifest"

    @property
    def rejected(self) -> Path:
        return self.root / "rejected"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.parquet"

    @property
    def duplicates(self) -> Path:
        """Of a set that is too large for one manifest: the rows of which it would say `duplicate_of`."""
        return self.root / "duplicates.parquet"

    @property
    def index(self) -> Path:
        return self.root / "index"

    @property
    def card(self) -> Path:
        return self.root / "README.md"

    @property
    def croissant(self) -> Path:
        return self.root / "croissant.json"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def sequences(self) -> Path:
        """Whole clips, of a set that was asked for them."""
        return self.root / "sequences"

    @property
    def finished(self) -> Path:
        """Marker that finalisation completed; it holds the hash of the commit records it was made from."""
        return self.root / "finished.json"

    def committed(self) -> set[str] | None:
        """Names of the shards that have a record, "000003"; None where the set was handed on without its records."""
        if not self.commits.is_dir():
            return None
        return {name.removesuffix(".json") for name in self.store.sizes(self.commits)}

    def tar(self, shard: int, split: str) -> Path:
        return self.data / f"{split}-{shard_name(shard)}.tar"

    def part(self, shard: int) -> Path:
        return self.parts / f"part-{shard_name(shard)}.parquet"

    def commit(self, shard: int) -> Path:
        return self.commits / f"{shard_name(shard)}.json"

    def rejected_tar(self, shard: int) -> Path:
        """Thumbnails of some rejected attempts, for people."""
        return self.rejected / f"{shard_name(shard)}.tar"

    def attempts_tar(self, shard: int) -> Path:
        """The rejected attempts themselves, with all their members, of a set that keeps them."""
        return self.rejected / f"attempts-{shard_name(shard)}.tar"

    def idx(self, shard: int, split: str) -> Path:
        return self.index / f"{split}-{shard_name(shard)}.idx"
