"""The embedded model at work: 200 attempts over 20 classes that it knows, one each, gates at their fixed defaults.

Classes are taken at even distances from its list, each in ten colours, so nobody has chosen them. GSG is averaged over
every attempt that has one, rejected ones included. A contact sheet of three accepted samples of each class is for the
question that no number answers: can you name the object?

Colour: an accepted sample's mean colour is called by the name whose drawn objects (what the model learnt from) lie
nearest to it in Lab; the share that is called as the prompt asked is held against the same share of drawn objects.

    python benchmarks/embedded_model.py [--model FOLDER] [--seed 0] [--sheet embedded_model.png]
"""

import argparse
import math
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from figures import exit_code, shown, within
from numpy.typing import NDArray

from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.vocabulary import read_vocabulary
from factory.jobs.generate import GenerateRecipe
from factory.review.contact_sheet import contact_sheet
from factory.run.execute import execute
from factory.sample import Matte, Picture, Request, Sample
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.reader import Stored, read_samples
from factory.sources.procedural.palette import COLOURS
from factory.sources.procedural.source import ProceduralObjects, ProceduralSettings

ATTEMPTS = 200
CLASSES = 20
GSG = 5.0  # levels, of at most
ACCEPTED = 0.85  # of the attempts, at least
ON_THE_SHEET = 3  # samples of each class
COLOUR = 0.9  # of the drawn objects' share, at least
DRAWN = 1200  # objects from which the colours' means are taken, and as many to try them on


def main() -> int:
    """Generate, count, print."""
    parser = argparse.ArgumentParser(description="GSG and acceptance of the embedded model")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="model folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, default=Path(tempfile.gettempdir()) / "embedded_model.png")
    arguments = parser.parse_args()
    classes = known_classes(arguments.model)
    means = means_of(drawn(0))
    truth = share_called_right(drawn(DRAWN), means)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "embedded model"
        attempts = generate(arguments.model, arguments.seed, classes, out)
        accepted = [row for row in attempts if row["status"] == "accepted"]
        samples = list(read_samples(out, "train")) if accepted else []
        called = share_called_right([(s.meta["prompt"], mean_colour(s.foreground, s.alpha)) for s in samples], means)
        if samples:
            sheet(samples, classes, arguments.sheet)
            print(f"sheet: {arguments.sheet}")
    for index, name in enumerate(classes):
        print(by_class(name, [row for row in attempts if row["slot"] % len(classes) == index]))
    print(f"{sum(row['gsg'] < 0 for row in attempts)} pictures show no screen: they have no GSG")
    share = len(accepted) / len(attempts)
    return exit_code(
        within("embedded model, mean GSG", mean_gsg(attempts), GSG, "levels"),
        shown("embedded model, accepted", f"{len(accepted)}", f"{len(attempts)} attempts", share, ACCEPTED),
        shown("embedded model, colours", f"{called:.3f}", f"drawn objects {truth:.3f}", called / truth, COLOUR),
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
    columns = ["slot", "status", "reason", "gsg"]
    rows: list[dict[str, Any]] = read_manifest(Layout(out), columns).to_pylist()
    return rows


Colours = list[tuple[str, NDArray[np.float32]]]
"""Captions and the mean colours of what they name, Lab."""


def mean_colour(foreground: Picture, alpha: Matte) -> NDArray[np.float32]:
    """(3,) Lab of the object's mean colour, weighted by coverage."""
    weight = alpha.astype(np.float32)[..., None]
    mean = (foreground * weight).sum(axis=(0, 1)) / np.maximum(weight.sum(), 1) / 255
    return np.asarray(cv2.cvtColor(mean.reshape(1, 1, 3).astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0], np.float32)


def asked_colour(caption: str) -> str | None:
    """The one colour word of a caption."""
    words = [word for word in re.findall(r"\w+", caption) if word in COLOURS]
    return words[0] if len(words) == 1 else None


def drawn(first: int) -> Colours:
    """Drawn objects of all classes."""
    source = ProceduralObjects(ProceduralSettings(size=64))
    requests = [Request(key="", slot=first + i, attempt=0, seed=first + i) for i in range(DRAWN)]
    made = [sample for sample in source(requests) if isinstance(sample, Sample)]
    return [
        (sample.origin.caption, mean_colour(sample.foreground, sample.alpha))
        for sample in made
        if sample.foreground is not None and sample.alpha is not None
    ]


def means_of(colours: Colours) -> dict[str, NDArray[np.float32]]:
    """The mean Lab of each colour word."""
    return {
        name: np.mean([lab for caption, lab in colours if asked_colour(caption) == name], axis=0) for name in COLOURS
    }


def share_called_right(colours: Colours, means: dict[str, NDArray[np.float32]]) -> float:
    """Of the captions with a colour word, those whose object lies nearest to that word's mean."""
    asked = [(word, lab) for caption, lab in colours if (word := asked_colour(caption)) is not None]
    right = sum(min(means, key=lambda name: float(np.linalg.norm(lab - means[name]))) == word for word, lab in asked)
    return right / max(len(asked), 1)


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
