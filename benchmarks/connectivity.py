"""Connectivity-aware refinement on true mattes with the faults of layer diffusion, and on true mattes without them.

    python benchmarks/connectivity.py [--group report] [--every 8]

The mattes are those of the free RGBA pictures among the test pictures, of the lemur and of the drawn classes; which of
them the refiner was tuned on and which are for the report, `factory/sources/groups.py` says by their names. Objects
that are translucent by nature are left alone by their class names; their folders name those whose files do not.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, get_args

import cv2
import numpy as np
from figures import exit_code, within
from layer_faults import FAULTS, faulty
from material import DATA

from factory.models.device import CPU
from factory.quality.metrics import mse, whole
from factory.refine.connectivity import ConnectivitySettings
from factory.refine.translucent import TRANSLUCENT, is_one_of, pattern
from factory.sample import Matte, Origin, Request, Sample, Stage
from factory.sources.captioning.names import name_from_path
from factory.sources.groups import Group, group_of
from factory.sources.procedural.render import CLASSES, render

MUST_LEAVE = 0.35  # of the faults' MSE, at the most
MAY_CHANGE = 0.1  # % of the pixels of true mattes
SETS = {"rgba_fluent_emoji_3d": "*.webp", "rgba_kenney_cc0": "*/*.webp", "pymatting_lemur": "lemur_alpha.png"}
SMOKE = {"particlePack_1.1", "smokeparticleassets"}  # folders of what their files call "star" or "puff"
SIDE = 512  # of drawn objects
SEED = 7


class Scene(NamedTuple):
    """A true matte and what it is of."""

    name: str
    class_name: str
    matte: Matte


def main() -> int:
    """Measure on the scenes of one group."""
    parser = argparse.ArgumentParser(description="connectivity-aware refinement of mattes")
    parser.add_argument("--group", choices=get_args(Group), default="report")
    parser.add_argument("--every", type=int, default=8, help="take one of so many pictures of a folder")
    wanted = parser.parse_args()
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    cv2.setNumThreads(1)
    words = pattern(TRANSLUCENT)
    refine = ConnectivitySettings(repaired_max=None).stage(CPU, 1)
    raw, left = defaultdict(list), defaultdict(list)
    changed, pixels, translucent, touched, worst = 0, 0, 0, 0, []
    for scene in scenes(wanted.group, wanted.every):
        difference = int(np.count_nonzero(refined(refine, scene, scene.matte) != scene.matte))
        if is_one_of(Origin(kind="generated", class_name=scene.class_name), words):
            translucent, touched = translucent + 1, touched + difference
            continue
        changed, pixels = changed + difference, pixels + scene.matte.size
        worst.append((100 * difference / scene.matte.size, scene.name))
        for fault in (*FAULTS, "all"):
            spoilt = faulty(scene.matte, scene.name, fault)
            raw[fault].append(error(spoilt, scene.matte))
            left[fault].append(error(refined(refine, scene, spoilt), scene.matte))
    for share, name in sorted(worst, reverse=True)[:5]:
        print(f"  of the true matte {name}, {share:.2f} % of the pixels changed")
    for fault, errors in left.items():
        ratios = np.array(errors) / np.maximum(raw[fault], 1e-9)
        told = f"MSE × 1000 {1e3 * np.mean(errors):.3f} of {1e3 * np.mean(raw[fault]):.3f}"
        print(f"  {fault:13} {told}, ratio {np.sum(errors) / np.sum(raw[fault]):.3f}; median {np.median(ratios):.3f}")
    print(f"  {len(worst)} scenes, {translucent} translucent ones; {milliseconds(refine):.0f} ms for 1024²")
    ratio = sum(map(sum, left.values())) / sum(map(sum, raw.values()))
    return exit_code(
        within("faults: MSE refined ÷ raw, all kinds", ratio, MUST_LEAVE, ""),
        within("true mattes: pixels changed", 100 * changed / pixels, MAY_CHANGE, "%"),
        within("translucent objects: pixels changed", touched, 0.5, "pixels"),
    )


def scenes(group: Group, every: int) -> Iterator[Scene]:
    """True mattes of one group, as they are; of folders with many only some."""
    for folder, files in SETS.items():
        paths = [path.relative_to(DATA / folder) for path in sorted((DATA / folder).glob(files))]
        for path in [path for path in paths if group_of(path.as_posix()) == group][::every]:
            picture = np.asarray(cv2.imread(str(DATA / folder / path), cv2.IMREAD_UNCHANGED))
            if picture.ndim == 3 and picture.shape[2] != 4:
                continue
            matte = np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., 3])
            is_smoke = path.parts[0] in SMOKE
            name = "smoke" if is_smoke else name_from_path(folder, path.as_posix(), "file")
            yield Scene(f"{folder}/{path.as_posix()}", name, matte.astype(np.uint8))
    for name in CLASSES:
        if group_of(name) == group:
            yield Scene(f"procedural/{name}", name, render(name, SEED, SIDE).alpha)


def refined(refine: Stage, scene: Scene, matte: Matte) -> Matte:
    """What the refiner makes of a matte of the scene's object."""
    sample = Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="generated", class_name=scene.class_name),
        rgb=np.zeros((*matte.shape, 3), np.uint8),
        alpha=matte,
    )
    result = refine(sample)
    assert isinstance(result, Sample)
    assert result.alpha is not None
    return result.alpha


def error(matte: Matte, truth: Matte) -> float:
    """MSE over the whole picture."""
    return mse(matte, truth, whole(truth))


def milliseconds(refine: Stage) -> float:
    """Processor time for a drawn wig of 1024² with all faults; the least of five."""
    scene = Scene("procedural/wig", "wig", render("wig", SEED, 1024).alpha)
    spoilt = faulty(scene.matte, scene.name, "all")
    taken = []
    for _ in range(5):
        begin = time.process_time()
        refined(refine, scene, spoilt)
        taken.append(1e3 * (time.process_time() - begin))
    return min(taken)


if __name__ == "__main__":
    sys.exit(main())
