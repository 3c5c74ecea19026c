"""What each adapter does to the screen: the same slots and seeds without any, with all, and with each left out.

    python benchmarks/adapter_screens.py --lora a.safetensors=0.7 [--lora b.safetensors] [--model FOLDER]
        [--prompts FILE] [--n 64] [--must 0.9] [--out runs/adapter_screens]

One attempt a slot, so that all sets are of the same attempts. Of each set the mean GSG of the screen, and the share of
attempts that pass the gate `gsg_max`; must be reached: with all adapters, of the share without. What an adapter costs
in company is the share without it less the share with all. A model without a matting head is keyed onto a pure screen:
what counts there is whether the keyer finds one.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from figures import exit_code, shown

from factory.diffusion.lora.settings import Lora, said_in_a_flag
from factory.engine.plan import read_plan
from factory.jobs.generate import GenerateRecipe
from factory.run.execute import execute
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest


class Screens(NamedTuple):
    """Of one set: its attempts, their mean GSG, and the shares that the gate lets pass and that all gates do."""

    attempts: int
    gsg: float
    passing: float
    accepted: float


def main() -> int:
    """Paint all sets, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", action="append", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--prompts", default="")
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--must", type=float, default=0.9)
    parser.add_argument("--out", type=Path, default=Path("runs/adapter_screens"))
    arguments = parser.parse_args()
    laid = tuple(said_in_a_flag(text) for text in arguments.lora)
    sets = {"none": (), "all": laid}
    if len(laid) > 1:
        sets |= {f"all but {one.file.name}": tuple(other for other in laid if other is not one) for one in laid}
    found = {}
    for name, loras in sets.items():
        out = arguments.out / name.replace(" ", "_")
        found[name] = painted(out, loras, arguments.n, model=arguments.model, prompts=arguments.prompts)
        print(in_words(name, found[name]), flush=True)
    return exit_code(held_against(found["all"], found["none"], arguments.must))


def painted(out: Path, loras: tuple[Lora, ...], n: int, *, model: str = "", prompts: str = "") -> Screens:
    """A set of n attempts, made or gone on with, and its screens."""
    recipe = GenerateRecipe(
        out=out,
        prompts=prompts,
        model=model,
        loras=loras,
        n=n,
        max_attempts=1,
        allow_short=True,
        executor="local",
        workers=1,
    )
    execute(recipe)
    layout = Layout(out)
    table = read_manifest(layout, ["gsg_screen", "status"])
    gsg = table["gsg_screen"].to_numpy()
    passing = (gsg >= 0) & (gsg <= read_plan(layout.plan).settings["gates"]["gsg_max"])
    accepted = np.array(table["status"].to_pylist()) == "accepted"
    return Screens(len(gsg), float(gsg[gsg >= 0].mean()), float(passing.mean()), float(accepted.mean()))


def in_words(name: str, screens: Screens) -> str:
    """A row."""
    return (
        f"adapters: {name}; {screens.attempts} attempts, mean GSG {screens.gsg:.2f}, "
        f"{screens.passing:.3f} pass its gate, {screens.accepted:.3f} all gates"
    )


def held_against(laid: Screens, bare: Screens, must: float) -> bool:
    """The figure."""
    peer = f"without {bare.passing:.3f}"
    return shown("attempts that pass GSG with adapters", f"{laid.passing:.3f}", peer, laid.passing / bare.passing, must)


if __name__ == "__main__":
    sys.exit(main())
