"""What data is worth, at the scale of two CPU cores: an experiment that ships, on the pictures of FACTORY_DATA.

    python benchmarks/worth.py OUT [--experiment gom] [--only ARM] [--steps 2000] [--seeds 3] [--workers 2]

The 14 photographs of alphamatting_odd at a quarter of their size, in the recipe's folds; cut-outs are the emoji of
rgba_fluent_emoji_3d, backgrounds the photographs of backgrounds/mdn_cc0; sets are 160 pixels large, crops 64. What
wants a folder of the user's (keyed pictures, portraits) is left out. Stop it and start it as you like: what is done
stays. Each run prints the table, which OUT/table.md holds, and for `gom` the figures that real + assembled must reach.

What the sets of `gom` are made of, the width of bands and the rate were chosen on fold 0, with other seeds, before
folds 1 to 3 were looked at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import yaml
from figures import exit_code, shown
from material import DATA

from factory.experiments.cells import Outcome
from factory.experiments.matting.experiment import execute_experiment
from factory.experiments.matting.one_cell import train_and_measure
from factory.experiments.matting.recipe import parse_experiment
from factory.experiments.statistics import difference
from factory.shipped_files import find_shipped

SIZE, CROP, SCALE = 160, 64, 0.25
BAND = (1, 6)  # pixels: the test's trimaps are as small as its photographs
KINDS = {"image": "pictures", "trimap1": "trimaps", "alpha": "alphas"}
NAMES = ("gom", "capacity", "chroma", "refinement", "masks", "screen")
MUST = (("real", "mse", 0.154), ("real", "conn", 0.094), ("real + control", "mse", 0.10))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--experiment", default="gom", choices=NAMES)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=0, help="so many of them, for a first look")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    fields = filled_in(asked.experiment, asked.out, asked.steps)
    recipe = parse_experiment(fields | ({"seeds": fields["seeds"][: asked.seeds]} if asked.seeds else {}))
    ended = execute_experiment(recipe, train_and_measure, only=asked.only, workers=asked.workers)
    print(ended.table)
    return reached(ended.outcomes) if asked.experiment == "gom" else ended.exit_code


def filled_in(name: str, out: Path, steps: int) -> dict[str, Any]:
    """The shipped recipe with the folders that there are, at a small size."""
    shipped = find_shipped("pipelines", f"experiment-{name}")
    assert shipped is not None
    fields: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    photographs = reduced(out / "photographs")
    fields["out"] = str(out / name)
    fields["test"] = {kind: str(photographs / folder) for folder, kind in KINDS.items()}
    fields["training"]["loader"] |= {
        "backgrounds": str(DATA / "backgrounds" / "mdn_cc0"),
        "crop": CROP,
        "inside": list(BAND),
        "outside": list(BAND),
        "cache": str(out / "decoded"),
    }
    fields["training"] |= {"steps": steps, "warmup": 50}
    fields["sets"].pop("keyed", None)
    fields["arms"] = {arm: own for arm, own in fields["arms"].items() if "keyed" not in own["sets"]}
    for own in fields["sets"].values():
        recipe = own["recipe"]
        if "size" in recipe:
            recipe["size"] = SIZE
        for source in recipe.get("sources", ()):
            if source["type"] == "public":
                source["path"] = str(photographs)
            elif "path" in source:
                source["path"] = str(DATA / "rgba_fluent_emoji_3d")
    return fields


def reduced(folder: Path) -> Path:
    """The photographs, trimaps and mattes at SCALE of their size; trimaps keep their three levels."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for file in sorted((DATA / "alphamatting_odd" / kind).iterdir()):
            if not (to := folder / kind / file.name).exists():
                way = cv2.INTER_NEAREST if kind == "trimap1" else cv2.INTER_AREA
                picture = cv2.imread(str(file), cv2.IMREAD_COLOR if kind == "image" else cv2.IMREAD_GRAYSCALE)
                cv2.imwrite(str(to), cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=way))
    return folder


def reached(outcomes: Sequence[Outcome]) -> int:
    """The figures, as far as their cells are done."""
    held = []
    for other, metric, must in MUST:
        if (found := difference(outcomes, "real + assembled", other, metric)) is not None:
            outside = "outside" if found.outside else "not outside"
            name = f"real + assembled, {metric}, {found.absolute.count} seeds, {outside} one spread of differences"
            held.append(shown(name, f"{found.relative:+.1%}", other, -found.relative, must) and found.outside)
    return exit_code(*held)


if __name__ == "__main__":
    sys.exit(main())
