"""A model without a matting head through the plain door, against the same model with its head: same seeds, same slots.

    python benchmarks/plain_door.py [--n 500] [--workers 2] [--out runs/plain_door]

The embedded model paints both sets. Without its head it is a Stable Diffusion folder like any other: asked for the
screen in the words that it was taught, with the same sampler, its pictures are keyed. Peers: of the attempts with the
head that gates accept, as many; α of the samples that both have at the same slot and attempt, 2/255 apart in the mean.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from figures import exit_code, shown, within
from pyarrow.parquet import read_table

import factory
from factory.cli.app import main as run
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.sample.settings import default_settings
from factory.shards.layout import Layout

MUST, APART = 0.8, 2.0  # of the head's acceptance; levels of α


def main() -> int:
    """Paint both, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/plain_door"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    plain = arguments.out / "model"
    shutil.copytree(EMBEDDED, plain, dirs_exist_ok=True, ignore=shutil.ignore_patterns("matting_head", "sampler.json"))
    own = default_settings(EMBEDDED)
    sampler = {"key": own.key, "sampler": own.sampler, "steps": own.steps, "guidance": own.guidance}
    sampler["negative_prompt"] = own.negative_prompt
    sets = {}
    for name, model, more in (("head", "", {}), ("plain", str(plain), {"template": "{key} screen, {prompt}"})):
        recipe = arguments.out / f"{name}.yaml"
        out = arguments.out / name
        lines = [f"  {key}: {value!r}" for key, value in (sampler | more).items()]
        fields = [
            "job: generate",
            f"out: {out}",
            f"n: {arguments.n}",
            f"model: {model!r}",
            f"workers: {arguments.workers}",
        ]
        recipe.write_text("\n".join([*fields, "sampler:", *lines]) + "\n")
        try:
            run(["run", str(recipe), "--allow-short"])
        except SystemExit as ended:
            if ended.code:
                return int(ended.code)
        sets[name] = out
    shares = {name: acceptance(out) for name, out in sets.items()}
    ratio = shares["plain"] / shares["head"]
    apart, common = difference(sets["head"], sets["plain"])
    print(
        f"attempts accepted: with the head {shares['head']:.3f}, keyed {shares['plain']:.3f}; {common} samples compared"
    )
    return exit_code(
        shown("acceptance", f"{shares['plain']:.3f}", f"{MUST} of the head's", ratio / MUST, 1),
        within("mean difference of alpha", apart, APART, "levels"),
    )


def acceptance(out: Path) -> float:
    """Of a set's attempts, the share that all gates let pass."""
    status = read_table(Layout(out).manifest, columns=["status"])["status"].to_pylist()
    return status.count("accepted") / len(status)


def difference(one: Path, other: Path) -> tuple[float, int]:
    """Mean |Δα| in levels over the samples that both have at the same key and attempt, and their number."""
    mine, yours = factory.open(one), factory.open(other)
    theirs = {key: index for index, key in enumerate(yours.keys)}
    apart = []
    for index, key in enumerate(mine.keys):
        if key in theirs:
            here, there = mine[index], yours[theirs[key]]
            if here.meta["attempt"] == there.meta["attempt"]:
                apart.append(float(np.abs(here.alpha.astype(int) - there.alpha).mean()))
    return float(np.mean(apart)), len(apart)


if __name__ == "__main__":
    sys.exit(main())
