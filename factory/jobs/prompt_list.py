"""The prompts of `generate`: a given list, the model's own classes, or those that a set was begun with."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import starmap
from pathlib import Path

from factory.diffusion.prompt_remarks import unused
from factory.diffusion.vocabulary import Vocabulary
from factory.engine.inputs import read_frozen
from factory.errors import UsageError
from factory.shards.layout import Layout
from factory.shipped_files import choose
from factory.sources.prompts import Gone, Listed, PromptList, expand, read_prompts

TABLE = "prompts"  # of a plan
SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"


def listed_prompts(
    prompts: str, template: str, known: Vocabulary | None, columns: Sequence[str], *, n: int, out: Path
) -> PromptList:
    """The given list, or the model's own classes in all their colours. Raises UsageError.

    A set that was begun goes on with the prompts it was begun with where their list is no longer there.
    prompts, template, n, out: as in a recipe.  columns: to be read beside the prompts.
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
        listed = read_prompts(source, template, palette, from_a_terminal=not begun, columns=columns)
    except Gone:
        frozen = read_frozen(Layout(out).inputs / f"{TABLE}.arrow") if begun else None
        if frozen is None:
            raise
        what = "nothing comes from standard input" if source == "-" else "it is not there"
        return PromptList(
            frozen.to_pylist(),
            [f"--prompts {prompts}: {what}; going on with the prompts that {out} was begun with."],
        )
    told = [f"--prompts {prompts}: {remark}" for remark in told]
    return replace(listed, remarks=[*told, *listed.remarks, *unused(listed.rows, n)])
