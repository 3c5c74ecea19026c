"""The report, `show` and `status` over a set from several sources, made as a user makes it."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from built_set import build
from PIL import Image
from program import factory
from report_page import Page, read_page

from factory.engine.census import SourceCount
from factory.quality.gates import limits_by_score
from factory.review.choice import EACH_SOURCE, choose
from factory.review.digest import read_digest
from factory.review.report import THUMBNAILS, write_report
from factory.review.show import show
from factory.review.sources import are_told_apart, labels, of_the_papers, total
from factory.shards.layout import Layout

TITLES = {"procedural-0": "drawn objects", "rgba_folder-1": "paintings", "public-2": "AM-2k", "videos-3": "clips"}


@dataclass(frozen=True)
class Built:
    """A finished set. Read it only. rows: of its manifest, each with the title of its source."""

    root: Path
    out: str  # what the run said
    rows: Sequence[Mapping[str, Any]]

    def count(self, title: str, status: str) -> int:
        return sum(row["title"] == title and row["status"] == status for row in self.rows)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    ended = build(folder)
    assert ended.code == 1, "there are files with bad data"
    assert "Traceback" not in ended.err
    layout = Layout(folder / "set")
    plan = read_digest(layout).plan
    rows = pq.read_table(layout.manifest).to_pylist()
    titled = [{**row, "title": TITLES[plan.shard(row["shard"]).segment.source]} for row in rows]
    return Built(folder / "set", ended.out, titled)


@pytest.fixture(scope="module")
def page(built: Built) -> Page:
    return read_page(Layout(built.root).report / "index.html")


def test_each_kind_of_source_has_what_the_tests_ask_of_it(built: Built) -> None:
    for title in TITLES.values():
        assert built.count(title, "accepted") > 0
    assert {row["reason"] for row in built.rows if row["title"] == "paintings"} == {
        "",
        "near_key",
        "empty",
        "undecodable",
    }
    assert {row["reason"] for row in built.rows if row["title"] == "AM-2k"} >= {"near_key", "undecodable"}


def test_the_sources_stand_beside_the_papers_counts(built: Built, page: Page) -> None:
    def numbers(title: str) -> str:
        rejected, failed = (built.count(title, status) or "–" for status in ("rejected", "failed"))
        return f"{built.count(title, 'accepted')} {rejected} {failed}"

    words = page.words()
    used = built.count("AM-2k", "accepted")
    assert f"drawn objects – – {numbers('drawn objects')} – " in words
    assert f"paintings 6 – {numbers('paintings')} – " in words
    assert f"AM-2k 5 – {numbers('AM-2k')} 1,942 {used / 19.42:.1f} %" in words
    assert f"clips 6 – {numbers('clips')} 4 {built.count('clips', 'accepted') / 4:.1%}".replace("%", " %") in words
    of_paper = used + built.count("clips", "accepted")
    assert f"1,946 {of_paper / 19.46:.1f} %" in words
    assert f"({of_paper} samples are from those sources)" in words


def test_status_and_the_end_of_the_run_say_the_same_of_the_sources(built: Built) -> None:
    ended = factory("status", built.root)
    assert ended.code == 0
    said = [line.split() for line in ended.out.splitlines()]
    lines = [line.split() for line in built.out.splitlines()]
    for title in TITLES.values():
        (line,) = (line for line in lines if line[: len(title.split())] == title.split())
        assert line in said


def test_every_reason_of_every_source_has_a_picture_and_the_gates_sentence(built: Built, page: Page) -> None:
    items = json.loads(page.scripts["items"])
    shown = {(item["why"][0], dict(item["facts"])["key"]) for item in items if item["rejected"]}
    of_key = {row["key"]: row for row in built.rows if row["status"] == "rejected"}
    turned_down = {(row["reason"], row["title"]) for row in of_key.values()}
    assert {(reason, of_key[key]["title"]) for reason, key in shown} == turned_down
    words = page.words()
    for row in of_key.values():
        if (row["reason"], row["key"]) in shown:
            assert " ".join(row["detail"].split()) in words
    counts = Counter((row["reason"], row["title"]) for row in of_key.values())
    assert f"AM-2k {counts['near_key', 'AM-2k']} · paintings {counts['near_key', 'paintings']}" in words or (
        f"paintings {counts['near_key', 'paintings']} · AM-2k {counts['near_key', 'AM-2k']}" in words
    )
    assert "with `key: magenta` it is far enough" in words


def test_failed_files_are_named_once_under_their_source(built: Built, page: Page) -> None:
    words = page.words()
    section = words[words.index("Failed items", words.index("Rejections by reason")) :]
    for title, files in {
        "paintings": ("nothing.png", "torn.png"),
        "AM-2k": ("train/original/m_torn.png",),
        "clips": ("no film.mp4",),
    }.items():
        start = section.index(f"{title} {built.count(title, 'failed')} ")
        for file in files:
            (sentence, *_) = {row["detail"] for row in built.rows if row["item"] == file}
            told = rf"{re.escape(file)}( × \d+)? {re.escape(sentence)}"
            assert re.search(told, section[start : start + 600])
            assert section.count(f" {file} ") == 1, "although it was asked for more than once"


def test_cards_and_show_tell_where_a_sample_comes_from(built: Built, page: Page, tmp_path: Path) -> None:
    told = {
        "paintings": ("foreground given", "composite", "red ball.png"),
        "AM-2k": ("foreground estimated", "compositeCapture", "train/original/m_cat.png"),
        "clips": ("foreground unmixed", "algorithmicallyEnhanced", "rolling ball.mp4@0.240s", "bt601 tv"),
    }
    accepted = [row for row in built.rows if row["status"] == "accepted"]
    words = page.words()
    for title, parts in told.items():
        for part in parts:
            assert any(part in card for card in words.split(f"{title} · ")[1:]), f"{part} is on no card of {title}"
        item = parts[2].partition("@")[0]
        keys = [row["key"] for row in accepted if row["title"] == title and row["item"].startswith(item)]
        texts = [show(built.root, key, tmp_path)[0] for key in keys]
        for part in (*parts[1:], parts[0].removeprefix("foreground ")):
            assert any(part in text for text in texts), f"{part} is not shown"


def test_a_failed_item_is_shown_without_what_it_never_had(built: Built, tmp_path: Path) -> None:
    key = next(row["key"] for row in built.rows if row["item"] == "no film.mp4")
    text, picture = show(built.root, key, tmp_path)
    assert picture is None
    assert "no film.mp4" in text
    for name in ("alpha", "AI-generated", "digital source type"):
        assert name not in text


def test_samples_can_be_looked_at_source_by_source(built: Built, page: Page) -> None:
    items = json.loads(page.scripts["items"])
    why = Counter(reason for item in items if not item["rejected"] for reason in item["why"])
    chips = [attributes["data-group"] for tag, attributes in page.elements if "data-group" in attributes]
    for title in TITLES.values():
        assert title in chips
        assert why[title] == built.count(title, "accepted")
    digest = read_digest(Layout(built.root))
    chosen = choose(digest, most=16)
    assert len(chosen) == 16
    assert sum("each source" in reasons for reasons in choose(digest, most=THUMBNAILS).values()) == sum(
        min(EACH_SOURCE, built.count(title, "accepted")) for title in TITLES.values()
    )


def test_the_report_over_several_sources_is_the_same_when_written_again(built: Built) -> None:
    report = Layout(built.root).report
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    write_report(built.root)
    thumbs = [path for path in before if path.parent.name == "thumbs"]
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    for path in thumbs:
        with Image.open(path) as picture:
            picture.verify()


def test_objects_set_on_their_screen_are_judged_by_their_own_border_limit() -> None:
    gates = {"border_max": 0.01, "flush_max": 0.75, "coverage_min": 0.1, "duplicate_distance": 4}
    assert limits_by_score(gates, {"generated"})["border"] == [("max", 0.01)]
    assert limits_by_score(gates, {"composited", "keyed"})["border"] == [("max", 0.75)]
    assert limits_by_score(gates, {"generated"}).keys() == {"border", "coverage"}
    assert limits_by_score(gates, {"generated", "keyed"})["border"] == [("max", 0.01), ("max", 0.75)]
    assert limits_by_score({"gsg_max": 20.0}, {"composited"}) == {}, "their screens are pure: GSG is not asked"


def test_one_source_without_a_paper_needs_no_table_and_no_name() -> None:
    one = SourceCount(name="procedural-0", title="drawn objects", used=4)
    assert not are_told_apart([one])
    assert are_told_apart([replace(one, paper=7)])
    assert are_told_apart([one, replace(one, name="other")])
    assert labels([one]) == {"procedural-0": ""}


def test_sources_of_the_same_title_are_told_apart_and_sums_leave_out_what_has_no_end() -> None:
    endless = SourceCount(name="procedural-0", title="drawn objects", used=4)
    folder = SourceCount(name="rgba_folder-1", title="pictures", found=5, used=3, failed=2, asked=5)
    other = replace(folder, name="rgba_folder-2", paper=10, excluded=1)
    assert labels([endless, folder, other]) == {
        "procedural-0": "drawn objects",
        "rgba_folder-1": "pictures (rgba_folder-1)",
        "rgba_folder-2": "pictures (rgba_folder-2)",
    }
    everything = total([endless, folder, other])
    assert (everything.found, everything.used, everything.failed, everything.paper) == (10, 10, 4, 10)
    assert everything.excluded == 1
    assert of_the_papers([endless, folder, other]) == 3
