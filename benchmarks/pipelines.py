"""Every text-to-image pipeline of the installed diffusers, as a tiny random model, through `factory generate`.

    python benchmarks/pipelines.py [--only FluxPipeline] [--table docs/pipelines.md]

The list is read from diffusers itself (its automatic text-to-image pipelines, less those that need a control picture
beside the text, or make videos, which the product refuses and the table names). Of each: a folder is written as the
pipeline saves itself; `factory generate` makes a set of it, gates open, which is verified; and what it painted is
compared with the pipeline's own call with the same prompts, seeds and arguments, in 8-bit levels. What does not work is
named with its reason. Peer: 90 % of the classes.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from figures import exit_code, shown
from pyarrow.parquet import read_table
from tiny_pipelines import BUILDERS, build

from factory import open as open_set
from factory.cli.app import main as factory
from factory.diffusion.generators import plain
from factory.diffusion.plain.arguments import check_arguments
from factory.diffusion.plain.pipeline import PlainPipeline, check_importable
from factory.diffusion.plain.screen_start import screen_start
from factory.diffusion.plain.settings import PlainSettings
from factory.engine.plan import read_plan
from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels
from factory.models.device import CPU
from factory.review.verify import verify_set
from factory.shards.layout import Layout

OPEN = (
    "gates={key_distance_min: null, green_residue_max: null, coverage_min: 0, spread_max: null, residual_max: null, "
    "coverage_max: null, gsg_max: null, border_max: null, flush_max: null, label_error_max: 1, duplicate_distance: -1}"
)
PROMPTS, SEEDS = ("a red feather", "a blue leaf"), (17, 18)
STEPS, SIZE, MUST = 2, 64, 0.9


class Outcome(NamedTuple):
    """accepted: samples in the verified set.  apart: levels from the pipeline's own call.  fault: what went wrong."""

    pipeline: str
    accepted: int = 0
    apart: int = -1
    fault: str = ""

    @property
    def is_none(self) -> bool:
        """Whether it is not what is meant: one that needs a picture beside the text, or makes videos."""
        return "needs more than a prompt" in self.fault or "something else than still pictures" in self.fault

    @property
    def works(self) -> bool:
        return not self.fault and self.accepted > 0 and 0 <= self.apart <= 1


def main() -> int:
    """Try all, say of each what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="classes")
    parser.add_argument("--table", type=Path, help="write the outcomes as a table of Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.only or sorted({kind.__name__ for kind in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()})
    outcomes = []
    for name in names:
        outcomes.append(outcome := tried(name))
        told = (
            "works" if outcome.works else outcome.fault or f"{outcome.accepted} samples, {outcome.apart} levels apart"
        )
        print(f"{name:44} {'works' if outcome.works else told}", flush=True)
    if arguments.table:
        arguments.table.write_text(table(outcomes))
    works = sum(outcome.works for outcome in outcomes)
    outcomes = [outcome for outcome in outcomes if not outcome.is_none]
    names = [outcome.pipeline for outcome in outcomes]
    return exit_code(shown("pipelines", f"{works} of {len(names)}", f"{MUST:.0%}", works / len(names) / MUST, 1))


def tried(name: str) -> Outcome:
    """What comes of one class."""
    with tempfile.TemporaryDirectory() as place:
        model, out, prompts = Path(place) / "model", Path(place) / "out", Path(place) / "prompts.txt"
        try:
            check_importable(Path(name), getattr(diffusers, name))
            check_arguments(Path(name), name)
            build(name).save_pretrained(model)
        except UsageError as refused:
            return Outcome(name, fault=str(refused).removeprefix(f"{name} is for {name}, "))
        except KeyError:
            return Outcome(name, fault="no tiny one was written" if name not in BUILDERS else "it cannot be built")
        prompts.write_text("\n".join(PROMPTS))
        code, said = _factory(
            *("generate", "--model", model, "--prompts", prompts, "--n", "2", "--batch", "2", "--key", "green"),
            *("--steps", str(STEPS), "--set", f"sampler.size={SIZE}", "--set", OPEN, "--max-attempts", "3"),
            *("--out", out, "--executor", "local", "--allow-short"),
        )
        if code != 0 and "missing" not in said:
            return Outcome(name, fault=_sentence(said).replace(str(model), "the folder"))
        if faults := verify_set(out, 1):
            return Outcome(name, fault=str(faults[0]))
        accepted = len(open_set(out).keys)
        return Outcome(name, accepted, apart=_apart(model, out), fault="" if accepted else _reasons(out))


def _sentence(said: str) -> str:
    """What the program said went wrong."""
    lines = [line for line in said.splitlines() if line.startswith(("factory: ", "shard 0 is"))]
    return (lines or said.strip().splitlines() or ["nothing was said"])[-1].removeprefix("factory: ")


def _reasons(out: Path) -> str:
    """Why no attempt came to anything."""
    rows = read_table(Layout(out).manifest, columns=["reason", "detail"]).to_pylist()
    return "; ".join(sorted({f"{row['reason']}: {row['detail']}" for row in rows}))[:200]


def _apart(model: Path, out: Path) -> int:
    """The largest difference, in levels, of what the generator paints and the pipeline's own call."""
    painter, settings, _ = plain.opened(read_plan(Layout(out).plan), model, CPU)
    template = settings.template or painter.family.template
    prompts = [template.replace("{prompt}", prompt).replace("{key}", "green") for prompt in PROMPTS]
    painted = painter.paint(prompts, SEEDS, settings, ["green"] * len(PROMPTS))
    return int(np.abs(as_levels(painted).astype(int) - own_call(model, painter, settings, prompts)).max())


def own_call(model: Path, painter: PlainPipeline, settings: PlainSettings, prompts: Sequence[str]) -> Any:
    """(B, H, W, C) levels, of the pipeline as anybody calls it, with SEEDS."""
    pipeline: Any = getattr(diffusers, painter.name).from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    call = painter.call_with(prompts, settings)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in SEEDS[: len(prompts)]]
    if settings.start == "screen":
        call["latents"] = screen_start(pipeline, generators, ["green"] * len(prompts), call, {})
    groups = [slice(i, i + 1) for i in range(len(prompts))] if painter.family.alone else [slice(None)]
    pictures: list[Any] = []
    for group in groups:
        own = {name: value[group] if isinstance(value, list) else value for name, value in call.items()}
        pictures += list(pipeline(**own, generator=generators[group]).images)
    return as_levels(np.stack([np.asarray(picture) for picture in pictures])).astype(int)


def table(outcomes: Sequence[Outcome]) -> str:
    """In Markdown."""
    rows = [
        f"| `{one.pipeline}` | {'yes' if one.works else 'no'} | {one.apart if one.apart >= 0 else ''} | {one.fault} |"
        for one in outcomes
    ]
    head = [
        "# The text-to-image pipelines of diffusers",
        "",
        f"Made by `benchmarks/pipelines.py` with diffusers {diffusers.__version__}: each as a tiny random model, as it",
        "saves itself, through `factory generate` to a verified set, gates open. What it painted is compared with the",
        "pipeline's own call. None was run with published weights.",
        "",
        "| pipeline | works | levels apart from its own call | if not, why |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _factory(*arguments: str | Path) -> tuple[int, str]:
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            factory([str(argument) for argument in arguments])
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
        except UsageError as error:
            return 2, str(error)
    return 0, said.getvalue()


if __name__ == "__main__":
    sys.exit(main())
