"""A wrong field of a recipe is named by its place, with what to write there, in our words."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.errors import UsageError
from factory.jobs.registry import ALL, parse
from factory.refine.greenpost import GreenPostSettings
from factory.settings import changed
from factory.sources.kinds import KINDS

GENERATE = {"job": "generate", "out": "o"}
BUILD = {"job": "build-green100k", "out": "o"}
FOREIGN = ("Input ", "should ", "Field required", "Extra inputs", "permitted", "keyword", "class '", "Value error")


def refusal(fields: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        parse(fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "job: it is missing: take one of build-green100k, captions, filter, generate, greenbench, key"),
        ({"job": "gen"}, "job: 'gen' is unknown (did you mean generate?)"),
        ({"job": "generate"}, "out: it is missing"),
        ({**GENERATE, "prompst": "x"}, "prompst: there is no such field (did you mean prompts?)"),
        ({**GENERATE, "n": 0}, "n: 0 is too small: give at least 1"),
        ({**GENERATE, "n": "many"}, "n: 'many' is not a whole number"),
        ({**GENERATE, "gates": {"gsg": 3}}, "gates.gsg: there is no such field (did you mean gsg_max?)"),
        ({**GENERATE, "gates": 3}, "gates: 3 is not a group of fields"),
        ({**GENERATE, "executor": "slurm"}, "executor: 'slurm' is unknown: take ray, local"),
        ({**BUILD, "sources": []}, "sources: it holds too little: give at least 1"),
        ({**BUILD, "sources": [{"type": "video", "path": "x"}]}, "sources[0].type: 'video' is unknown (did you mean v"),
        (
            {**BUILD, "sources": [{"path": "x"}]},
            "sources[0].type: it is missing: take one of pasted, procedural, public, rg",
        ),
        ({**BUILD, "sources": [{"type": "videos"}]}, "sources[0].path: it is missing"),
        (
            {**BUILD, "sources": [{"type": "videos", "path": "x", "select": {"frames": "all"}}]},
            "sources[0].select.frames: 'all' is unknown: take every, keyframes, rate",
        ),
        ({**BUILD, "sources": [{"type": "videos", "path": "x", "include": []}]}, "sources[0].include: it holds too li"),
        ({**BUILD, "sources": [{"type": "rgba_folder", "path": "x", "include": []}]}, "sources[0].include: it holds"),
        ({**BUILD, "sources": [{"type": "videos", "path": ""}]}, "sources[0].path: it is empty: name a file or folder"),
        ({**GENERATE, "out": ""}, "out: it is empty: name a file or folder"),
        ({"job": "filter", "out": "o", "data": ""}, "data: it is empty: name a file or folder"),
        (
            {**BUILD, "sources": [{"type": "procedural", "n": 1}], "exclude": [""]},
            "exclude[0]: it is empty: name a",
        ),
        ({"job": "train", "out": "o", "train": {"x": 1}}, "train.data: it is missing; train.phases: it is missing; "),
    ],
)
def test_a_wrong_field_is_named_with_its_mend(fields: dict[str, Any], said: str) -> None:
    assert f"wrong recipe: {said}" in refusal(fields)


def test_settings_that_a_recipe_lays_over_others_are_told_the_same_way() -> None:
    with pytest.raises(UsageError, match=r"greenpost has no field blackpoint \(did you mean black_point\?\)"):
        changed("greenpost", GreenPostSettings(), {"blackpoint": 3})
    with pytest.raises(UsageError, match="wrong greenpost settings: black_point: 'dark' is not a"):
        changed("greenpost", GreenPostSettings(), {"black_point": "dark"})


WRONG = st.sampled_from([None, "x", "", -1, 10**9, 1.5, True, {}, {"x": 1}, [], [3], [None], {3: 4}, b"\xff"])


@settings(deadline=None)
@given(job=st.sampled_from(ALL), data=st.data())
def test_no_fault_is_told_in_the_librarys_words(job: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(job.recipe.model_fields)))
    fields = {**GENERATE, "job": job.recipe.model_fields["job"].default, name: data.draw(WRONG)}
    told_in_our_words(fields)


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_no_fault_of_a_source_is_told_in_the_librarys_words(kind: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(kind.entry.model_fields)))
    source = {"type": kind.entry.model_fields["type"].default, name: data.draw(WRONG)}
    told_in_our_words({**BUILD, "sources": [source]})


def told_in_our_words(fields: dict[str, Any]) -> None:
    try:
        parse(fields)
    except UsageError as error:
        assert not any(words in str(error) for words in FOREIGN), error
        assert "what belongs here" not in str(error), error
