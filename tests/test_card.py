"""The card and croissant.json say what the set holds; the hub's parser and mlcroissant take them as they are."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from damage import check, found
from huggingface_hub import DatasetCard
from small_set import make_shards, small_plan

from factory.sample import CAPTURED, DRAWN, GENERATED
from factory.shards import croissant as croissant_file
from factory.shards.card import Contents, SourceLine, SplitCount, dataset_card
from factory.shards.commit import CommitRecord, FileRecord
from factory.shards.croissant import croissant
from factory.shards.finalise import FinishSettings, finalise, is_finished, mark_finished
from factory.shards.layout import Layout
from factory.shards.members import MATTING
from factory.shards.reader import Stored, read_samples
from factory.shards.schema import features

COUNTED = FinishSettings(
    title="Small",
    sources=(
        SourceLine(title="Drawn | things", found=20, used=14, paper=454),
        SourceLine(title="Own clips", found=-1, used=6, paper=0),
    ),
    excluded={"drawn": 3},
)


def records_of(root: Path) -> list[CommitRecord]:
    return make_shards(root, small_plan(), [])


def finish(root: Path, settings: FinishSettings) -> None:
    finalise(Layout(root), records_of(root), settings)
    mark_finished(Layout(root), records_of(root), settings)


def census(**source_types: int) -> Contents:
    made = Contents(splits={"train": SplitCount(shards=1, samples=sum(source_types.values()), bytes=9)})
    for term, count in source_types.items():
        kind = "generated" if term == "generated" else "composited"
        made.origins[kind, term, "MIT"] += count
        made.source_types[{"generated": GENERATED, "drawn": DRAWN, "captured": CAPTURED}[term]] += count
    return made


# --- card ---------------------------------------------------------------------------------------------------------


def test_the_hubs_own_parser_reads_the_card_back(finished_set: Path) -> None:
    text = (finished_set / "README.md").read_text(encoding="utf-8")
    card = DatasetCard(text)
    data = card.data.to_dict()
    assert str(card) == text
    assert data["license"] == "cc0-1.0"
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["image-segmentation"]
    assert data["dataset_info"]["features"] == features(MATTING)
    assert [entry["split"] for entry in data["configs"][0]["data_files"]] == ["train", "validation"]


def test_counts_stand_beside_the_papers(root: Path) -> None:
    finish(root, COUNTED)
    card = (root / "README.md").read_text(encoding="utf-8")
    assert "| Drawn ¦ things | 20 | 14 | 454 |" in card
    assert "| Own clips | – | 6 | – |" in card
    assert "test set are not in this set: 3 of drawn." in card
    assert check(root) == []


def test_a_set_of_one_source_has_no_table_of_the_paper(finished_set: Path) -> None:
    card = (finished_set / "README.md").read_text(encoding="utf-8")
    assert "paper" not in card
    assert "Benchmark" not in card


@pytest.mark.parametrize(
    ("made", "synthetic", "source", "annotated"),
    [
        (census(generated=3), True, ["original"], ["machine-generated"]),
        (census(drawn=3), True, ["original"], ["machine-generated"]),
        (census(captured=3), False, ["extended"], ["found", "machine-generated"]),
        (census(captured=3, generated=1), True, ["extended"], ["found", "machine-generated"]),
    ],
)
def test_the_tags_follow_from_what_is_inside(
    made: Contents, synthetic: bool, source: Sequence[str], annotated: Sequence[str]
) -> None:
    card = DatasetCard(dataset_card(made, "Set", (), {}))
    data = card.data.to_dict()
    assert ("synthetic" in data["tags"]) == synthetic
    assert data["source_datasets"] == source
    assert data["annotations_creators"] == annotated
    assert ("a model painted them" in card.text) == (made.generated > 0)


def test_foreign_text_stays_in_its_cell() -> None:
    made = census(captured=1)
    made.origins["composited", "a | b <script>", "x\n---\ny"] += 1
    made.attributions.add("Ann <b>\n# Heading")
    card = dataset_card(made, "T: [x] --- #", (), {"s|t": 2})
    assert "a ¦ b ‹script›" in card
    assert "\n# Heading" not in card
    assert "2 of s¦t." in card
    assert DatasetCard(card).data.to_dict()["pretty_name"] == "T: [x] --- #"


def test_other_counts_are_written_and_then_known(root: Path) -> None:
    layout = Layout(root)
    assert not is_finished(layout, records_of(root), COUNTED)
    finish(root, COUNTED)
    before = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    assert is_finished(layout, records_of(root), COUNTED)
    assert not is_finished(layout, records_of(root), replace(COUNTED, excluded={}))
    finish(root, COUNTED)
    assert before == {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


# --- croissant.json -----------------------------------------------------------------------------------------------


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Mlcroissant, unpacking into the test's folder: its own cache takes equal file names for equal files."""
    import mlcroissant
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path / "unpacked"))
    return mlcroissant


def test_mlcroissant_finds_nothing_wrong_in_a_published_set(root: Path, reader: Any) -> None:
    finish(root, COUNTED)
    issues = reader.Dataset(str(root / "croissant.json")).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


def test_mlcroissant_iterates_pictures_json_and_manifest(finished_set: Path, reader: Any) -> None:
    dataset = reader.Dataset(str(finished_set / "croissant.json"))
    for split, count in (("train", 22), ("validation", 6)):
        stored = {sample.key: sample for sample in read_samples(finished_set, split)}
        for member in ("rgb", "alpha", "fg"):
            name = f"{split}/{member}"
            rows = {row[f"{name}/key"].decode(): row[f"{name}/image"] for row in dataset.records(name)}
            assert len(rows) == count
            assert all(np.array_equal(np.asarray(rows[key]), picture_of(stored[key], member)) for key in stored)
        metas = {
            row[f"{split}/json/key"].decode(): row[f"{split}/json/text"] for row in dataset.records(f"{split}/json")
        }
        assert {key: json.loads(text) for key, text in metas.items()} == {key: s.meta for key, s in stored.items()}
    rows = list(dataset.records("manifest"))
    assert len(rows) == pq.read_metadata(finished_set / "manifest.parquet").num_rows
    assert {row["manifest/status"] for row in rows} == {b"accepted", b"rejected", b"failed"}


def picture_of(sample: Stored, member: str) -> Any:
    return {"rgb": sample.rgb, "alpha": sample.alpha, "fg": sample.foreground}[member]


def test_croissant_lists_every_tar_with_its_hash(finished_set: Path) -> None:
    content = json.loads((finished_set / "croissant.json").read_bytes())
    listed = {entry["contentUrl"]: entry for entry in content["distribution"] if "sha256" in entry}
    for record in records_of(finished_set):
        assert listed[f"data/{record.tar.name}"]["sha256"] == record.tar.sha256
    assert set(listed) >= {"manifest.parquet", "shardindex.json", "shardindex-validation.json"}
    assert content["rai:dataCollectionType"] == ["Existing datasets"]


def test_verify_misses_and_mistrusts_croissant(root: Path) -> None:
    path = root / "croissant.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert found(root) == {("croissant.json", "sha256")}
    path.unlink()
    assert found(root) == {("croissant.json", "missing")}
    assert not is_finished(Layout(root), records_of(root))


def test_a_set_without_samples_is_described_too(tmp_path: Path, reader: Any) -> None:
    finalise(Layout(tmp_path), [])
    assert not reader.Dataset(str(tmp_path / "croissant.json")).metadata.ctx.issues.errors


def test_of_very_many_tars_only_the_indexes_are_named(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    records = records_of(root)
    index = FileRecord(name="shardindex.json", bytes=3, sha256="0" * 64)
    monkeypatch.setattr(croissant_file, "TARS_LISTED", len(records) - 1)
    content = json.loads(croissant(Contents(), records, [index], "Many", ""))
    assert [entry["@id"] for entry in content["distribution"]] == ["shardindex.json"]
    assert content["recordSet"] == []
