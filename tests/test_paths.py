"""Paths as people write them: with the home folder's `~`, with blanks, relative to somewhere else."""

import shlex
from pathlib import Path

import pytest
from program import LOCAL
from program import factory_here as factory
from small_sources import cut_outs, recipe
from small_sources import pair as put_pair

from factory.home import at_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with two cut-outs, and another folder to work in."""
    cut_outs(tmp_path / "home" / "things", 2)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_in_flags_and_in_recipes(home: Path) -> None:
    source = {"type": "rgba_folder", "path": "~/things"}
    asked = recipe(home / "recipe.yaml", source, out="~/from the recipe")
    assert factory("build-green100k", asked, *LOCAL).code == 0
    assert (home / "from the recipe" / "data").is_dir()
    assert factory("build-green100k", "~/recipe.yaml", *LOCAL, "--out=~/from a flag").code == 0
    assert (home / "from a flag" / "data").is_dir()
    assert factory("build-green100k", asked, *LOCAL, "--set", "out=~/set").code == 0
    assert (home / "set" / "data").is_dir()
    put_pair(home / "pairs", "a", 1)
    mattes = home / "pairs" / "matte"
    assert factory("evaluate", mattes, mattes, "--parquet=~/scores.parquet").code == 0
    assert (home / "scores.parquet").is_file()
    assert list((home.parent / "elsewhere").iterdir()) == []


def test_only_a_home_folder_is_put_in_place_of_a_tilde(home: Path) -> None:
    fields = {"prompt": "~ a cat", "licence": "~nobody here", "list": ["~", "a~/b"], "n": 3, "path": Path("~/x")}
    expected = {**fields, "list": [str(home), "a~/b"], "path": home / "x"}
    assert at_home(fields) == expected


def test_a_missing_folder_of_a_recipe_is_named_whole(home: Path) -> None:
    asked = recipe(home / "recipe.yaml", {"type": "rgba_folder", "path": "../../nas"}, out="out")
    ended = factory("build-green100k", asked, *LOCAL)
    assert ended.code == 2
    assert f"the recipe's folder {home.parents[1] / 'nas'} does not exist" in ended.sentence


def test_a_command_in_a_sentence_can_be_pasted_into_a_shell(home: Path) -> None:
    asked = recipe(home / "my recipe.yaml", {"type": "rgba_folder", "path": "~/things"})
    ended = factory("train", asked)
    assert ended.code == 2
    command = ended.sentence.split("`")[1]
    assert shlex.split(command) == ["factory", "run", str(asked)]
