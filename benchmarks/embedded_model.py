"""The embedded model at work: 200 attempts over 20 classes that it knows, one each, gates at their fixed defaults.

Classes are taken at even distances from its list, each in ten colours, so nobody has chosen them. GSG is averaged over
every attempt that has one, rejected ones included. A contact sheet of three accepted samples of each class is for the
question that no number answers: can you name the object?

    python benchmarks/embedded_model.py [--model FOLDER] [--seed 0] [--sheet embedded_model.png]
"""

import argparse
import math
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

from figures import exit_code, shown, within

from factory.diffusion.vocabulary import read_vocabulary
from factory.planning import EMBEDDED_MODEL
from factory.recipes import GenerateRecipe
from factory.review.contact_sheet import contact_sheet
from factory.run import execute
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.reader import Stored, read_samples

ATTEMPTS = 200
CLASSES = 20
GSG = 5.0  # levels, of at most
ACCEPTED = 0.85  # of the attempts, at least
ON_THE_SHEET = 3  # samples of each class


def main() -> int:
    """Generate, count, print."""
    parser = argparse.ArgumentParser(description="GSG and acceptance of the embedded model")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="model folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, default=Path(tempfile.gettempdir()) / "embedded_model.png")
    arguments = parser.parse_args()
    classes = known_classes(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "embedded model"
        attempts = generate(arguments.model, arguments.seed, classes, out)
        accepted = [row for row in attempts if row["status"] == "accepted"]
        if accepted:
            sheet(list(read_samples(out, "train")), classes, arguments.sheet)
            print(f"sheet: {arguments.sheet}")
    for index, name in enumerate(classes):
        print(by_class(name, [row for row in attempts if row["slot"] % len(classes) == index]))
    print(f"{sum(row['gsg'] < 0 for row in attempts)} pictures show no screen: they have no GSG")
    share = len(accepted) / len(attempts)
    return exit_code(
        within("embedded model, mean GSG", mean_gsg(attempts), GSG, "levels"),
        shown("embedded model, accepted", f"{len(accepted)}", f"{len(attempts)} attempts", share, ACCEPTED),
    )


def known_classes(model: Path) -> list[str]:
    """Twenty of the model's own classes, at even distances in its list."""
    vocabulary = read_vocabulary(model)
    if vocabulary is None:
        raise SystemExit(f"{model} has no list of the classes it knows: give an embedded model.")
    known, count = vocabulary.classes, min(CLASSES, len(vocabulary.classes))
    return [known[i * len(known) // count] for i in range(count)]


def generate(model: Path, seed: int, classes: list[str], out: Path) -> list[dict[str, Any]]:
    """Make one attempt for each of the 200 slots, as the product does; returns the manifest's rows."""
    prompts = out.with_name("classes.txt")
    prompts.write_text("\n".join(classes) + "\n", encoding="utf-8")
    recipe = GenerateRecipe(
        out=out, prompts=str(prompts), n=ATTEMPTS, max_attempts=1, model=str(model), seed=seed, executor="local"
    )
    execute(recipe)
    layout = Layout(out)
    columns = ["slot", "status", "reason", "gsg"]
    rows: list[dict[str, Any]] = read_manifest(layout.parts, layout.manifest, columns).to_pylist()
    return rows


def mean_gsg(attempts: list[dict[str, Any]]) -> float:
    """Over the attempts that have one: a picture that shows no screen at all fails before it is scored."""
    return fmean([row["gsg"] for row in attempts if row["gsg"] >= 0] or [math.nan])


def by_class(name: str, attempts: list[dict[str, Any]]) -> str:
    """Accepted of attempts, mean GSG, why the others were not."""
    accepted = sum(row["status"] == "accepted" for row in attempts)
    reasons = Counter(row["reason"] for row in attempts if row["status"] != "accepted")
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return f"{name:20} {accepted:3} of {len(attempts):3}   GSG {mean_gsg(attempts):6.2f}   {why}".rstrip()


def sheet(samples: list[Stored], classes: list[str], path: Path) -> None:
    """The first accepted samples of each class, a row a class."""
    of_class = {name: [sample for sample in samples if sample.meta["class"] == name] for name in classes}
    shown_ones = [sample for name in classes for sample in of_class[name][:ON_THE_SHEET]]
    contact_sheet(shown_ones, path, f"{len(classes)} classes of the embedded model", columns=ON_THE_SHEET)


if __name__ == "__main__":
    sys.exit(main())
