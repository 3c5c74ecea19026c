"""The prompts of `generate`: a given list, the model's own classes, or those that a set was begun with."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import starmap
from pathlib import Path

from factory.diffusion.prompt_remarks import unused
from factory.diffusion.vocabulary import Vocabulary
from factory.engine.inputs import read_frozen
from factory.engine.plan import read_plan
from factory.errors import UsageError
from factory.shards.layout import Layout
from factory.shipped_files import choose
from factory.sources.prompt_grammar import ATTRIBUTES, MOST, SUFFIXES, read_grammar, rows_of
from factory.sources.prompts import Gone, Listed, PromptList, expand, read_prompts, text_of

TABLE = "prompts"  # of a plan
SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"


def listed_prompts(
    prompts: str,
    template: str,
    known: Vocabulary | None,
    columns: Sequence[str],
    *,
    n: int,
    seed: int,
    out: Path,
) -> PromptList:
    """The given list, what a grammar makes, or the model's own classes in all their colours. Raises UsageError.

    A set that was begun goes on with the prompts it was begun with where their list is no longer there.
    prompts, template, n, seed, out: as in a recipe.  columns: to be read beside the prompts.
    """
    template = template or (SMALL_MODEL_TEMPLATE if known else BIG_MODEL_TEMPLATE)
    palette = known.palette if known else {}
    if not prompts:
        if known is None:
            raise UsageError("--prompts is missing: this model knows no list of classes, so say what to paint.")
        return expand(starmap(Listed, enumerate(known.classes, 1)), "the model's class list", template, palette)
    begun = Layout(out).plan.exists()
    told: list[str] = []
    source = "-" if prompts == "-" else str(choose("prompts", prompts, told.append))
    try:
        if is_grammar(source):
            made = made_prompts(source, columns, n=n, seed=seed)
            return replace(made, remarks=[*(f"--prompts {prompts}: {remark}" for remark in told), *made.remarks])
        listed = read_prompts(source, template, palette, from_a_terminal=not begun, columns=columns)
    except Gone:
        frozen = read_frozen(Layout(out).inputs / f"{TABLE}.arrow") if begun else None
        if frozen is None:
            raise
        what = "nothing comes from standard input" if source == "-" else "it is not there"
        by_grammar = ATTRIBUTES in frozen.column_names
        return PromptList(
            frozen.to_pylist(),
            [f"--prompts {prompts}: {what}; going on with the prompts that {out} was begun with."],
            read_plan(Layout(out).plan).settings["sampler"].get("negative_prompt", "") if by_grammar else "",
        )
    told = [f"--prompts {prompts}: {remark}" for remark in told]
    return replace(listed, remarks=[*told, *listed.remarks, *unused(listed.rows, n)])


def is_grammar(source: str) -> bool:
    """Whether a list's file makes prompts, and is none itself."""
    return Path(source).suffix.lower() in SUFFIXES


def made_prompts(source: str, columns: Sequence[str] = (), *, n: int, seed: int) -> PromptList:
    """What a grammar's file makes.  source: its path.  n: how many. Raises UsageError, Gone where it is not there."""
    grammar = read_grammar(text_of(source), source)
    if columns:
        raise UsageError(f"{source} has no column `{columns[0]}`: give a csv, json, jsonl or parquet table.")
    remarks = [f"{source}: its shares hold over each {MOST:,} samples."] if n > MOST else []
    return PromptList(rows_of(grammar, n, seed, source), remarks, grammar.negative)


def prompts_text(prompts: str, *, n: int, show: int, seed: int) -> str:
    """The first of a grammar's prompts, and how often it chose each value. Raises UsageError.

    prompts: a file, or the name of a grammar that ships.
    """
    told: list[str] = []
    source = str(choose("prompts", prompts, told.append))
    if not is_grammar(source):
        raise UsageError(f"{prompts} is no grammar: give a yaml file, or the name of one that ships.")
    made = made_prompts(source, n=n, seed=seed)
    lines = [*(f"{prompts}: {remark}" for remark in told), *made.remarks, *(row["prompt"] for row in made.rows[:show])]
    counts: dict[str, Counter[str]] = {}
    for attribute in (attribute for row in made.rows for attribute in row[ATTRIBUTES]):
        name, _, value = attribute.partition(": ")
        counts.setdefault(name, Counter())[value] += 1
    for name, values in counts.items():
        lines.append(f"{name}: {', '.join(f'{value} {count:,}' for value, count in values.most_common())}")
    return "\n".join([*lines, *([f"not: {made.negative}"] if made.negative else [])])
