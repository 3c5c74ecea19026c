"""Recipes and prompt lists that ship: found by name from any folder, copied, and never mistaken for the user's own."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from program import factory_obeying_modes

from factory.cli.app import main
from factory.experiments.matting.arms import arms_of
from factory.experiments.matting.planning import training_of
from factory.experiments.matting.recipe import parse_experiment
from factory.experiments.painting.experiment import outlook
from factory.experiments.painting.recipe import parse_painting
from factory.experiments.sets import plan_sets
from factory.jobs.registry import parse
from factory.shipped_files import Kind, choose, find_shipped, shipped, summary

LONGEST_SUMMARY = 110  # with its indent it fits a line
SOURCES = "job: build-green100k\nsources: [{type: procedural, n: 3, classes: [heart]}]\nsize: 32\n"
TABLES = ("table1", "table2")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, far from the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err

    return call


def chosen(kind: Kind, name: str) -> tuple[Path, list[str]]:
    told: list[str] = []
    return choose(kind, name, told.append), told


def test_all_of_pipelines_and_prompts_ships() -> None:
    assert [path.name for path in shipped("pipelines")] == sorted(p.name for p in (REPOSITORY / "pipelines").iterdir())
    assert [path.name for path in shipped("prompts")] == sorted(p.name for p in (REPOSITORY / "prompts").iterdir())


def test_a_name_means_one_file_only() -> None:
    names = [path.stem for path in [*shipped("pipelines"), *shipped("prompts")]]
    assert len(names) == len(set(names)), "`factory recipes copy NAME` has to know which"


@pytest.mark.parametrize("path", [*shipped("pipelines"), *shipped("prompts")], ids=lambda path: path.name)
def test_each_says_in_one_line_what_it_is(path: Path) -> None:
    assert summary(path).endswith(".")
    assert len(summary(path)) <= LONGEST_SUMMARY


@pytest.mark.parametrize("path", shipped("pipelines"), ids=lambda path: path.name)
def test_each_recipe_is_valid(path: Path) -> None:
    fields = yaml.safe_load(path.read_text())
    if fields["job"] == "painting-experiment":
        photograph = Path("data/backgrounds/a.png")
        photograph.parent.mkdir(parents=True)
        cv2.imwrite(str(photograph), np.zeros((8, 8, 3), np.uint8))
        outlook(parse_painting(fields))
        return
    if fields["job"] != "experiment":
        parse(fields)
        return
    recipe = parse_experiment(fields)
    sets = plan_sets(recipe.sets, recipe.out, lambda _: None)
    for arm in arms_of(recipe):
        training_of(arm, {name: sets[name].folder for name in arm.sets})


def test_the_two_tables_have_sets_base_and_ours_in_common() -> None:
    one, two = (yaml.safe_load(next(p for p in shipped("pipelines") if p.stem == name).read_text()) for name in TABLES)
    assert {name: one["sets"][name] for name in two["sets"]} == two["sets"]
    for field in ("shared", "seeds", "choose_seeds", "rates", "choose_by", "training", "painting", "held_out"):
        assert one[field] == two[field]
    assert one["arms"]["ours"] == two["arms"]["ours"]


@pytest.mark.parametrize("path", [*shipped("pipelines"), *shipped("prompts")], ids=lambda path: path.name)
def test_no_comment_sends_a_reader_to_a_file_of_the_checkout(path: Path) -> None:
    """Who has the wheel alone has no folders pipelines/ and prompts/: there these files go by name."""
    assert "pipelines/" not in path.read_text()
    assert "prompts/" not in path.read_text()


@pytest.mark.parametrize("name", ["tiny-green", "tiny-green.yaml", "pipelines/tiny-green", "pipelines/tiny-green.yaml"])
def test_a_recipe_is_found_with_and_without_suffix_and_folder(name: str) -> None:
    found = find_shipped("pipelines", name)
    assert found is not None
    assert found.name == "tiny-green.yaml"


@pytest.mark.parametrize("name", ["demo", "demo.txt", "prompts/demo", "prompts/demo.txt"])
def test_a_prompt_list_is_found_with_and_without_suffix_and_folder(name: str) -> None:
    found = find_shipped("prompts", name)
    assert found is not None
    assert found.name == "demo.txt"


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "*", "tiny*", "unknown", "TINY", "tiny.txt", "tiny.yaml.yaml", "demo", "prompts/demo"),
        *("../tiny", "../pipelines/tiny.yaml", "pipelines/../tiny", "pipelines/../pipelines/tiny.yaml", "/tiny"),
        *("pipelines/pipelines/tiny", "/etc/passwd", "a\0b", "x" * 5000, "../factory/embedded/model/README.md"),
        str(REPOSITORY / "pipelines" / "tiny.yaml"),
    ],
    ids=lambda name: repr(name)[:40],
)
def test_no_path_and_no_other_name_reaches_a_shipped_file(name: str) -> None:
    assert find_shipped("pipelines", name) is None


def test_a_bare_name_means_the_shipped_file_and_nothing_is_said() -> None:
    assert chosen("pipelines", "tiny") == (find_shipped("pipelines", "tiny"), [])
    assert chosen("prompts", "demo") == (find_shipped("prompts", "demo"), [])


@pytest.mark.parametrize("name", ["tiny.yaml", "pipelines/tiny.yaml"])
def test_where_a_file_may_have_been_meant_it_is_said_which_is_taken(name: str) -> None:
    path, told = chosen("pipelines", name)
    assert path == find_shipped("pipelines", "tiny")
    assert told == ["not a file here; taking the recipe of that name that ships with factory."]


def test_a_folder_of_that_name_is_no_recipe(here: Path) -> None:
    (here / "tiny").mkdir()
    path, told = chosen("pipelines", "tiny")
    assert path == find_shipped("pipelines", "tiny")
    assert told == ["a folder here; taking the recipe of that name that ships with factory."]


@pytest.mark.parametrize("name", ["tiny.yaml", "pipelines/tiny.yaml", "tiny"])
def test_the_users_own_file_goes_first(here: Path, name: str) -> None:
    (here / "pipelines").mkdir()
    (here / name).write_text(SOURCES)
    assert chosen("pipelines", name) == (Path(name), [])


def test_so_does_a_copy_that_the_name_may_mean(here: Path) -> None:
    (here / "tiny.yaml").write_text(SOURCES)
    path, told = chosen("pipelines", "tiny")
    assert path == Path("tiny.yaml")
    assert told == ["taking tiny.yaml of this folder, not the recipe that ships under this name."]


def test_what_is_not_there_stays_what_was_given(here: Path) -> None:
    (here / "folder").mkdir()
    for name in ("unknown", "../x", "/nowhere/tiny", "folder", "x" * 5000):
        assert chosen("pipelines", name) == (Path(name), [])


def test_a_recipes_remark_is_one_line_on_stderr(run: Run) -> None:
    code, out, err = run("plan", "pipelines/tiny-green.yaml", "--executor", "local")
    assert code == 0
    assert "drawn objects" in out
    assert err == (
        "pipelines/tiny-green.yaml: not a file here; taking the recipe of that name that ships with factory.\n"
    )


@pytest.mark.parametrize("command", ["run", "plan", "train", "build-green100k"])
def test_an_unknown_recipe_is_told_how_to_list_them(run: Run, command: str) -> None:
    code, _, err = run(command, "unknown")
    assert code == 2
    assert "there is no recipe unknown" in err
    assert "`factory recipes`" in err


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (("run", "tiny-gren"), "(did you mean tiny-green?)"),
        (("run", "Green100K.yaml"), "(did you mean green100k?)"),
        (("train", "sd1.5"), "(did you mean sd15?)"),
        (("recipes", "copy", "class"), "(did you mean classes?)"),
        (("generate", "--prompts", "clases"), "(did you mean classes?)"),
    ],
)
def test_a_mistyped_name_is_met_with_the_nearest(run: Run, command: tuple[str, ...], meant: str) -> None:
    code, _, err = run(*command)
    assert code == 2
    assert meant in err


def test_a_plan_of_nothing_says_how_to_make_the_recipe_ones_own(run: Run) -> None:
    code, _, err = run("plan", "green100k")
    assert code == 2
    assert "there is nothing to make, for every source is empty" in err
    assert "correct its paths (`factory recipes copy NAME` copies one that ships)" in err


def test_an_unknown_prompt_list_is_told_how_to_list_them(run: Run) -> None:
    for name in ("unknown", "../demo", "pipelines/demo", "a red feather"):
        code, _, err = run("generate", "--prompts", name, "--dry-run")
        assert code == 2
        assert f"--prompts {name}: there is no such file" in err
        assert "`factory recipes`" in err


def test_a_whole_prompt_in_place_of_a_list_is_one_sentence_too(run: Run) -> None:
    code, _, err = run("generate", "--prompts", "a red ball and " * 40, "--dry-run")
    assert code == 2
    assert "cannot be read (File name too long)" in err


def test_a_recipe_of_another_job_is_called_as_the_user_called_it(run: Run) -> None:
    code, _, err = run("train", "tiny-green")
    assert code == 2
    assert err == (
        "factory: tiny-green is a recipe of job 'build-green100k', not 'train': use `factory run tiny-green`.\n"
    )


def test_build_green100k_alone_means_the_shipped_recipe_whatever_lies_here(run: Run, here: Path) -> None:
    (here / "tiny-green.yaml").write_text(SOURCES)
    code, out, err = run("build-green100k", "--dry-run", "--executor", "local")
    assert (code, err) == (0, "")
    assert "28,000 samples" in out


def test_prompts_demo_is_the_list_that_ships_also_beside_what_make_demo_left(run: Run, here: Path) -> None:
    code, plain, _ = run("generate", "--prompts", "demo", "--dry-run")
    assert code == 0
    (here / "demo").mkdir()
    code, out, _ = run("generate", "--prompts", "demo", "--dry-run")
    assert code == 0
    remark, _, rest = out.partition("\n")
    assert remark == "--prompts demo: a folder here; taking the prompt list of that name that ships with factory."
    assert rest == plain


def test_the_users_own_prompts_go_first(run: Run, here: Path) -> None:
    (here / "classes.txt").write_text("owl\n")
    _, own, _ = run("generate", "--prompts", "classes.txt", "--dry-run")
    _, bare, _ = run("generate", "--prompts", "classes", "--dry-run")
    assert "ships" not in own
    remark, _, rest = bare.partition("\n")
    assert remark.endswith("taking classes.txt of this folder, not the prompt list that ships under this name.")
    assert rest == own
    (here / "classes.txt").unlink()
    _, listed, _ = run("generate", "--prompts", "classes", "--dry-run")
    assert "of these 503 prompts" in listed


def test_the_list_names_every_file_its_use_and_how_to_copy(run: Run) -> None:
    code, out, err = run("recipes")
    assert (code, err) == (0, "")
    for path in [*shipped("pipelines"), *shipped("prompts")]:
        assert summary(path) in out
    assert "factory train tiny\n" in out
    assert "factory build-green100k tiny-green\n" in out
    assert "factory generate --prompts demo\n" in out
    assert "`factory recipes copy NAME`" in out
    assert max(len(line) for line in out.splitlines()) <= 120


def test_a_copy_is_the_same_and_says_what_takes_it(run: Run, here: Path) -> None:
    code, out, _ = run("recipes", "copy", "tiny-green")
    assert code == 0
    assert out == "tiny-green.yaml is yours to change; `factory run tiny-green.yaml` takes it.\n"
    assert (here / "tiny-green.yaml").read_bytes() == (REPOSITORY / "pipelines" / "tiny-green.yaml").read_bytes()
    code, out, _ = run("recipes", "copy", "prompts/demo.txt", "mine.txt")
    assert code == 0
    assert "`factory generate --prompts mine.txt`" in out
    assert (here / "mine.txt").read_bytes() == (REPOSITORY / "prompts" / "demo.txt").read_bytes()


def test_a_copy_goes_into_a_folder_under_its_own_name(run: Run, here: Path) -> None:
    (here / "recipes").mkdir()
    code, out, _ = run("recipes", "copy", "tiny", "recipes")
    assert code == 0
    assert out.startswith("recipes/tiny.yaml is yours")
    assert (here / "recipes" / "tiny.yaml").is_file()


def test_a_copy_overwrites_nothing(run: Run, here: Path) -> None:
    (here / "tiny.yaml").write_text("mine")
    (here / "folder").mkdir()
    (here / "folder" / "tiny.yaml").write_text("mine")
    for target in ((), ("tiny.yaml",), ("folder",)):
        code, _, err = run("recipes", "copy", "tiny", *target)
        assert code == 2
        assert "tiny.yaml exists: name another file, or remove it." in err
    assert (here / "tiny.yaml").read_text() == (here / "folder" / "tiny.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["unknown", "../tiny", "/etc/passwd", "../factory/embedded/model/README.md"])
def test_a_wrong_name_is_answered_with_the_names(run: Run, here: Path, name: str) -> None:
    code, _, err = run("recipes", "copy", name)
    assert code == 2
    assert err.count("\n") == 1
    for path in [*shipped("pipelines"), *shipped("prompts")]:
        assert path.stem in err
    assert list(here.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(run: Run, here: Path) -> None:
    (here / "file").write_text("")
    for target in ("absent/tiny.yaml", "file/tiny.yaml", "x" * 300):
        code, _, err = run("recipes", "copy", "tiny", target)
        assert code == 2
        assert f"{target} cannot be written (" in err
        assert "choose another place" in err


def test_so_is_a_folder_without_permission(here: Path) -> None:
    locked = here / "locked"
    locked.mkdir(mode=0o555)
    ended = factory_obeying_modes("recipes", "copy", "tiny", locked)
    assert ended.code == 2
    assert f"{locked / 'tiny.yaml'} cannot be written (Permission denied)" in ended.sentence


def test_a_list_behind_a_locked_door_is_one_sentence(here: Path) -> None:
    locked = here / "locked"
    locked.mkdir(mode=0o000)
    ended = factory_obeying_modes("generate", "--prompts", locked / "p.txt", "--dry-run")
    assert ended.code == 2
    assert "cannot be read (Permission denied)" in ended.sentence
