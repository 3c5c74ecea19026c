"""Promise: the report of a refined set shows what changed, the most first, or says plainly that it cannot."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from program import factory_here
from report_page import Page, read_page

from factory.engine.plan import read_plan
from factory.review.before_after import signed
from factory.review.digest import read_digest
from factory.review.report import write_report
from factory.shards.data_set import DataSet
from factory.shards.encoding import decode_png
from factory.shards.layout import Layout

OLD_SET = Path(__file__).parent / "old_sets" / "built"
LOOSE = ("--set", "gates={duplicate_distance: -1, residual_max: 999, agreement_min: 0, coverage_max: 1, border_max: 1}")


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, and beside it what the keyer makes of it."""
    home = tmp_path_factory.mktemp("sets")
    shutil.copytree(OLD_SET, home / "old")
    ended = factory_here(
        *("refine", home / "old", "--backend", "keyer", "--out", home / "new", *LOOSE),
        *("--executor", "local", "--workers", "1"),
    )
    assert ended.code == 0, ended.err
    return home / "new"


def moved(refined: Path, home: Path) -> Path:
    """Copies of both sets, the new one of which looks for the old one where its copy lies."""
    for name in ("old", "new"):
        shutil.copytree(refined.parent / name, home / name)
    plan = Layout(home / "new").plan
    plan.write_text(plan.read_text().replace(str(refined.parent / "old"), str(home / "old")))
    return home / "new"


def page_of(root: Path) -> Page:
    return read_page(write_report(root))


def test_the_largest_changes_come_first_and_the_counts_are_those_of_all(refined: Path) -> None:
    old, new = (DataSet(root) for root in (refined.parent / "old", refined))
    means = {s.key: float(np.abs(s.alpha.astype(int) - old[s.key].alpha).mean() / 255) for s in new}
    page = page_of(refined)
    expected = sorted((key for key in means if means[key]), key=lambda key: -means[key])
    links = [link for link in page.links() if link.endswith("-change.png")]
    assert list(dict.fromkeys(links)) == [f"thumbs/{key}-change.png" for key in expected]
    assert expected
    words = page.words()
    assert f"{len(means)} of {len(means)} samples compared" in words
    unchanged = len(means) - len(expected)
    assert f"unchanged {unchanged or '–'} " in words
    assert f"{expected[0]} · mean |Δα| {means[expected[0]]:.3g}" in words
    panes = decode_png((refined / "report" / "thumbs" / f"{expected[0]}-change.png").read_bytes())
    assert panes.shape == (224, 4 * 224 + 3 * 4, 3)


def test_a_set_that_was_not_refined_has_no_such_section(refined: Path, tmp_path: Path) -> None:
    assert "Before and after" not in page_of(Path(shutil.copytree(refined.parent / "old", tmp_path / "old"))).words()
    out = tmp_path / "filtered"
    ended = factory_here("filter", refined, "--out", out, "--executor", "local", "--workers", "1")
    assert ended.code in {0, 1}
    assert "input" in read_plan(Layout(out).plan).settings
    assert "Before and after" not in read_page(out / "report" / "index.html").words()


def test_it_says_when_the_old_set_is_gone_another_or_broken(refined: Path, tmp_path: Path) -> None:
    new = moved(refined, tmp_path)
    old = tmp_path / "old"
    assert "samples compared" in page_of(new).words()
    for tar in (old / "data").glob("*.tar"):
        tar.write_bytes(b"")
    assert f"made of {old}, and it cannot be read" in page_of(new).words()
    plan = Layout(old).plan
    plan.write_text(plan.read_text().replace('"seed": ', '"seed": 1'))
    assert f"made of {old}, and another set lies there now" in page_of(new).words()
    shutil.rmtree(old)
    words = page_of(new).words()
    assert f"made of {old}, and it is no longer there" in words
    assert read_digest(Layout(new)).accepted == 6, "the rest of the report is as ever"
    assert not list((new / "report" / "thumbs").glob("*-change.png"))


def test_what_came_is_blue_and_what_went_red() -> None:
    paint = signed(np.array([[0, 255, 7]], np.uint8), np.array([[255, 0, 7]], np.uint8))
    assert paint.tolist() == [[[0, 102, 255], [255, 0, 0], [255, 255, 255]]]
