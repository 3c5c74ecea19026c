"""Promises: prompts by quotas, exact and free of conflicts; the portrait line from a grammar to its report."""

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from factory.cli.app import main
from factory.engine.plan import read_plan
from factory.errors import UsageError
from factory.jobs.generate import GenerateRecipe
from factory.jobs.prepare import prepare
from factory.jobs.prompt_list import made_prompts
from factory.review.backdrops import gradient
from factory.run.execute import execute
from factory.shards.data_set import DataSet
from factory.sources.prompt_grammar import deal, quotas, read_grammar, rows_of

SMALL = """
class: "{head}"
prompt: "{a} {head}[ with {beard}]"
negative: bad, ugly
attributes:
  head: {bald man: 1, old woman: 1, hairy: {share: 2, says: "{colour} haired man"}}
  colour: {red: 1, gray: 1}
  beard: {none: {share: 3, says: ""}, full: {share: 1, says: a beard}}
never:
  - {head: old woman, beard: full}
"""
ROWS = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(st.just(np.random.default_rng(seed)), st.integers(1, 40), st.integers(1, 6))
)


def small(count: int, seed: int = 0) -> list[dict[str, object]]:
    return rows_of(read_grammar(SMALL, "g.yaml"), count, seed, "g.yaml")


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(any), st.integers(0, 10_000))
def test_a_quota_is_its_share_to_within_one_and_all_are_the_whole(shares: list[int], count: int) -> None:
    made = quotas(shares, count)
    assert made.sum() == count
    assert np.all(np.abs(made - np.array(shares) / sum(shares) * count) < 1)


@given(ROWS)
def test_values_are_dealt_as_often_as_wanted_wherever_that_can_be(case: tuple[np.random.Generator, int, int]) -> None:
    """Rows are each allowed one value of a hidden deal and others by chance: so there is one, and it must be found."""
    rng, count, values = case
    hidden = rng.integers(values, size=count)
    allowed = rng.random((count, values)) < 0.2
    allowed[np.arange(count), hidden] = True
    wanted = np.bincount(hidden, minlength=values)
    dealt = deal(wanted, allowed, rng)
    assert np.array_equal(np.bincount(dealt, minlength=values), wanted)
    assert allowed[np.arange(count), dealt].all()


def test_prompts_are_whole_sentences_and_say_what_they_were_made_of() -> None:
    rows = small(8)
    assert Counter(row["prompt"] for row in rows).keys() <= {
        *("a bald man", "a bald man with a beard", "an old woman"),
        *(f"a {colour} haired man{beard}" for colour in ("red", "gray") for beard in ("", " with a beard")),
    }
    assert {row["class"] for row in rows} == {"bald man", "old woman", "hairy"}
    made_of = [dict(str(one).split(": ") for one in row["attributes"]) for row in rows]  # type: ignore[attr-defined]
    assert Counter(own["head"] for own in made_of) == {"bald man": 2, "old woman": 2, "hairy": 4}
    assert Counter(own["beard"] for own in made_of) == {"none": 6, "full": 2}
    assert Counter(own.get("colour") for own in made_of) == {None: 4, "red": 2, "gray": 2}
    assert not [own for own in made_of if own == {"head": "old woman", "beard": "full"}]


def test_prompts_follow_from_the_seed() -> None:
    assert small(50, 1) == small(50, 1) != small(50, 2)


def test_the_shares_of_portraits_are_exact_and_no_rule_is_broken() -> None:
    path = REPOSITORY / "prompts" / "portraits.yaml"
    grammar = read_grammar(path.read_text(), path.name)
    rows = made_prompts(str(path), n=400, seed=5).rows
    made_of = [dict(one.split(": ") for one in row["attributes"]) for row in rows]
    for name, values in grammar.attributes.items():
        held = [own[name] for own in made_of if name in own]
        assert [held.count(value) for value in values] == quotas(
            [value.share for value in values.values()], len(held)
        ).tolist()
    for rule in grammar.never:
        assert not [own for own in made_of if all(own.get(name) in forbidden for name, forbidden in rule.items())]
    assert {("hair colour" in own) for own in made_of if own["hair"] == "bald"} == {False}


@pytest.mark.parametrize(
    ("was", "now", "sentence"),
    [
        ("{beard}]", "{beerd}]", r"names {beerd}, which is no attribute \(did you mean beard\?\)"),
        ("bald man: 1", "bald man: -1", "bald man.*too small: give at least 0"),
        ("red: 1, gray: 1", "red: 0, gray: 0", "no value of colour has a share above 0"),
        ("{colour} haired", "haired", "nothing says {colour}"),
        ("[ with {beard}]", "[ with [a] {beard}]", "brackets that do not close, or stand in each other"),
        ("bald man: 1", '"bald {man}": 1', "says {man}, which is no attribute after it"),
        ("says: a beard", 'says: "a {head}"', "beard: full says {head}, which is no attribute after it"),
        ("beard: full}", "beard: fool}", r"never: beard has no value 'fool'"),
        ("never:\n  - {head", "never:\n  - {hat", "never: there is no attribute 'hat'"),
        ("negative:", "negatives:", "there is no such field"),
        ("class: ", "class: [", "is not a readable YAML grammar"),
    ],
)
def test_what_is_wrong_with_a_grammar_is_said(was: str, now: str, sentence: str) -> None:
    assert was in SMALL
    with pytest.raises(UsageError, match=sentence):
        read_grammar(SMALL.replace(was, now, 1), "g.yaml")


def test_shares_that_the_rules_leave_no_place_for_are_refused() -> None:
    text = SMALL.replace("{share: 3, says", "{share: 0, says")
    with pytest.raises(UsageError, match="the share of beard: full cannot be had beside `never`"):
        rows_of(read_grammar(text, "g.yaml"), 8, 0, "g.yaml")


def test_a_gradient_is_flat_nowhere() -> None:
    colours = gradient(32, 2).astype(int)
    assert (np.abs(np.diff(colours, axis=0)).sum(axis=(1, 2)) > 0).all()
    assert (np.abs(np.diff(colours, axis=1)).sum(axis=(0, 2)) > 0).all()


def test_remarks_count_the_prompts_of_a_grammar_and_not_its_class(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(SMALL.replace("class: ", "class: thing #", 1).replace("haired", "red " * 30))
    recipe = GenerateRecipe(prompts=str(tmp_path / "g.yaml"), n=8, out=tmp_path / "set")
    (said,) = [remark for remark in prepare(recipe).remarks if "tokens" in remark]
    assert said.startswith("2 of ")


def test_a_grammar_and_its_seed_are_in_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(SMALL)

    def planned(**changes: object) -> tuple[str, str]:
        recipe = GenerateRecipe.model_validate({"out": tmp_path / "set", "prompts": str(path), "n": 8, **changes})
        plan = prepare(recipe).plan
        return plan.inputs["prompts"], plan.settings["sampler"]["negative_prompt"]

    begun = planned()
    assert begun == planned()
    assert begun[1] == "bad, ugly"
    assert planned(sampler={"negative_prompt": "blur"})[1] == "blur"
    assert planned(seed=1)[0] != begun[0]
    path.write_text(SMALL.replace("red: 1", "red: 2"))
    assert planned()[0] != begun[0]


def test_the_command_shows_prompts_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prompts", "heads", "--n", "20", "--show", "1"])
    first, sizes, heads, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("a ")
    assert sizes == "size: medium 12, large 5, small 3"
    assert heads.startswith("head: wig 8, ")


def painted(prompts: list[str], seeds: list[int]) -> list[np.ndarray]:
    """Busts with hair, by code of one's own; every third is cut by the upper edge."""
    pictures = []
    for number, seed in enumerate(seeds):
        rng, alpha = np.random.default_rng(seed), np.zeros((96, 96), np.uint8)
        top = 0 if rng.random() < 0.3 else 20
        cv2.ellipse(alpha, (48, 96), (34, 30), 0, 0, 360, 255, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, (48, top + 22), (18, 24), 0, 0, 360, 255, -1, cv2.LINE_AA)
        for _ in range(12):
            end = rng.integers(20, 76, 2)
            cv2.line(alpha, (48, top + 30), (int(end[0]), int(max(top + 1, end[1]))), 255, 1, cv2.LINE_AA)
        colours = rng.integers(60, 200, (3, 3, 3), np.uint8)
        colours[..., 1] //= 2
        picture = cv2.resize(colours, (96, 96), interpolation=cv2.INTER_LINEAR)
        pictures.append(np.dstack([picture, alpha]))
        assert prompts[number]
    return pictures


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set by the recipe of the portrait line, painted by code that cuts some heads off."""
    folder = tmp_path_factory.mktemp("portraits")
    (folder / "rooms").mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "rooms" / "room.png"), rng.integers(0, 256, (40, 60, 3), np.uint8))
    (folder / "rooms" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "own.yaml").write_text(SMALL)
    fields = yaml.safe_load((REPOSITORY / "pipelines" / "ld-portrait.yaml").read_text())
    fields |= {"out": folder / "set", "prompts": str(folder / "own.yaml"), "n": 8, "executor": "local", "workers": 1}
    fields |= {"painter": "test_portraits:painted", "backdrops": folder / "rooms", "shard_size": 8, "batch": 4}
    fields["gates"] |= {"border_max": 0.35, "duplicate_distance": -1}
    result = execute(GenerateRecipe.model_validate(fields))
    assert result.accepted == 8
    return folder / "set"


def test_samples_say_what_their_prompts_were_made_of(portraits: Path) -> None:
    made_of = [sample.meta["attributes"] for sample in DataSet(portraits)]
    assert Counter(one for own in made_of for one in own if one.startswith("head")) == {
        "head: bald man": 2,
        "head: old woman": 2,
        "head: hairy": 4,
    }


def test_the_report_counts_quotas_and_shows_grounds_and_what_was_deleted(portraits: Path) -> None:
    page = (portraits / "report" / "index.html").read_text(encoding="utf-8")
    assert '<td>hairy</td><td class="number">4</td><td class="number">4</td>' in page
    assert "grey, a checkerboard, a gradient, a picture" in page
    assert "1 of the pictures in" in page
    sheet = cv2.imread(str(portraits / "report" / "composites.png"))
    assert sheet is not None
    assert cv2.imread(str(portraits / "report" / "deleted.png")) is not None
    card = (portraits / "README.md").read_text(encoding="utf-8")
    assert "](report/composites.png)" in card
    assert "| head_cut | " in card


def test_a_report_is_made_where_the_backdrops_are_gone(portraits: Path, tmp_path: Path) -> None:
    from factory.review.report import write_report

    shutil.copytree(portraits, tmp_path / "set")
    plan = json.loads((tmp_path / "set" / "plan.json").read_text())
    plan["places"]["backdrops"] = str(tmp_path / "nowhere")
    (tmp_path / "set" / "plan.json").write_text(json.dumps(plan))
    assert "There are no pictures in" in write_report(tmp_path / "set").read_text(encoding="utf-8")


def test_a_set_goes_on_with_its_prompts_where_the_grammar_is_gone(portraits: Path) -> None:
    fields = yaml.safe_load((portraits / "recipe.yaml").read_text())
    recipe = GenerateRecipe.model_validate({**fields, "prompts": "gone.yaml"})
    prepared = prepare(recipe)
    assert prepared.plan.fingerprint == read_plan(portraits / "plan.json").fingerprint
    assert "going on with the prompts" in prepared.remarks[0]


def test_backdrops_without_a_picture_are_refused(tmp_path: Path) -> None:
    recipe = GenerateRecipe(out=tmp_path / "set", n=2, backdrops=tmp_path)
    with pytest.raises(UsageError, match="holds no picture"):
        prepare(recipe)


@pytest.mark.slow
def test_the_portrait_line_runs_with_what_ships(tmp_path: Path) -> None:
    fields = yaml.safe_load((REPOSITORY / "pipelines" / "ld-portrait.yaml").read_text())
    recipe = GenerateRecipe.model_validate(
        {**fields, "n": 8, "out": tmp_path / "set", "executor": "local", "workers": 1}
    )
    result = execute(recipe)
    assert result.accepted == 8
    alphas = [sample.alpha for sample in DataSet(tmp_path / "set")]
    assert all(alpha.any() and not alpha.all() for alpha in alphas)
