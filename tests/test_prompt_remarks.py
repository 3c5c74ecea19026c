"""What a run says of its prompts before it paints: what is left out, cut off or was never taught. Once, with counts."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_page import read_page
from safetensors.numpy import save_file

from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.new_words import Word
from factory.diffusion.text_length import text_length
from factory.engine.plan import Plan, read_plan
from factory.errors import UsageError
from factory.jobs.generate import GenerateRecipe
from factory.jobs.prepare import prepare
from factory.models.folder import read_json
from factory.review.report import write_report
from factory.shards.durable import write_json
from factory.shards.layout import Layout


def remarks(tmp_path: Path, prompts: str, n: int = 32, **fields: object) -> list[str]:
    path = tmp_path / "p.txt"
    path.write_text(prompts, encoding="utf-8")
    return prepare(GenerateRecipe(prompts=str(path), n=n, out=tmp_path / "set", **fields)).remarks


@settings(deadline=None)
@given(st.text(max_size=80))
def test_tokens_are_counted_as_the_model_reads_them(text: str) -> None:
    from transformers import CLIPTokenizer

    length = text_length(EMBEDDED)
    assert length is not None
    reader = CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer")
    assert length.most == reader.model_max_length == 24
    assert length.of(text) == len(reader(text).input_ids)


def test_prompts_that_the_model_does_not_read_to_the_end_are_said(tmp_path: Path) -> None:
    fits = "a red cat " * 6 + "a"  # 19 words, with the screen's three and begin and end 24 tokens
    assert remarks(tmp_path, fits + "\n") == []
    (said,) = remarks(tmp_path, f"{fits}\n{fits} red\n{fits} hat, a cat\n")
    assert said.startswith("2 of 3 prompts are longer than the 24 tokens that this model reads")
    assert "'a red cat a red cat" in said


def test_prompts_that_are_not_painted_are_said(tmp_path: Path) -> None:
    three = "a red cat\ncat\na blue hat\n"  # the class in all its colours is one of three
    (said,) = remarks(tmp_path, three, n=2)
    assert said == "only the first 2 of 3 prompts will be painted: --n 3 paints each once."
    assert remarks(tmp_path, three, n=3) == []
    assert prepare(GenerateRecipe(n=2, out=tmp_path / "set")).remarks == [], "nobody listed the model's own classes"


def test_strict_words_refuses_what_was_never_taught(tmp_path: Path) -> None:
    assert remarks(tmp_path, "a red cat\n", strict_words=True) == []
    with pytest.raises(UsageError, match=r"--strict-words: 2 prompts have .* \(sphinx, obelisk\)"):
        remarks(tmp_path, "a red cat\na red sphinx\na red obelisk\n", strict_words=True)


def test_words_from_files_are_known_and_those_of_no_prompt_are_said(tmp_path: Path) -> None:
    width = read_json(EMBEDDED / "text_encoder" / "config.json")["hidden_size"]
    save_file({"<sphinx-toy>": np.zeros(width, np.float32)}, tmp_path / "style.safetensors")
    words = (Word(file=tmp_path / "style.safetensors"),)
    said = remarks(tmp_path, "a red <sphinx-toy>\n", strict_words=True, words=words)
    assert said == ["new words for prompts: <sphinx-toy>"]
    said = remarks(tmp_path, "a red cat\n", words=words)
    assert said[1:] == ["no prompt has <sphinx-toy>: write it into the prompts as it stands here."]
    assert len(remarks(tmp_path, "a red cat\n", words=words, sampler={"negative_prompt": "<sphinx-toy>"})) == 1


def test_the_report_lists_every_unknown_word(tmp_path: Path, root: Path) -> None:
    words = [f"{a}{b}q" for a in "bcdfgh" for b in "bcdfgh"]
    (tmp_path / "p.txt").write_text("\n".join(f"a red {word}" for word in words))
    plan = prepare(GenerateRecipe(prompts=str(tmp_path / "p.txt"), n=36, out=tmp_path / "set")).plan
    assert plan.census["diffumatting"]["unknown_words"] == words
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.fingerprint == replace(plan, census={}).fingerprint, "no byte depends on them"
    layout = Layout(root)
    write_json(layout.plan, replace(read_plan(layout.plan), census=plan.census).to_json(), tmp_path)
    said = read_page(write_report(root)).words()
    assert f"Words that the model was never taught 36 {', '.join(words)}" in said


def test_planning_loads_no_transformers() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom factory.jobs.generate import GenerateRecipe\n"
        "from factory.jobs.prepare import prepare\nprepare(GenerateRecipe(prompts='demo', n=99, out=Path('nowhere')))\n"
        "assert not {'transformers', 'torch'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
